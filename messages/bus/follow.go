package bus

import (
	"context"
	"errors"
	"sync"
	"time"
)

// quietWatch is after how long without a change a key is read that must not be missed.
const quietWatch = time.Second

// Follow is Watch for one key of which no change may be missed for long. A watch lives on
// one of the servers, and when that one dies it takes ten seconds and more until another
// has it. So a key of which nothing is heard for a second is read, from whoever leads the
// bucket, and again every second until something is. Each revision is told once.
func (s *Store) Follow(ctx context.Context, key string, fn func(Value) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &follower{fn: fn, heard: s.c.clock.Now()}
	var reading sync.WaitGroup
	reading.Go(func() {
		for s.c.clock.Sleep(ctx, quietWatch) == nil {
			if f.quiet(s.c.clock.Now()) < quietWatch {
				continue
			}
			look, done := context.WithTimeout(ctx, quietWatch)
			v, err := s.Get(look, key)
			done()
			if err != nil {
				continue // nobody answers, or it was removed, which the watch tells
			}
			if err := f.tell(v, s.c.clock.Now()); err != nil {
				cancel(err)
			}
		}
	})
	err := s.Watch(ctx, key, func(v Value) error { return f.tell(v, s.c.clock.Now()) })
	cancel(err)
	reading.Wait()
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) {
		err = cause // of what was read
	}
	return err
}

// follower hands on what two hear.
type follower struct {
	mu       sync.Mutex
	fn       func(Value) error
	revision uint64
	heard    time.Time
}

// quiet is how long nothing was heard.
func (f *follower) quiet(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Sub(f.heard)
}

// tell hands on what is newer than what was told.
func (f *follower) tell(v Value, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.Revision <= f.revision {
		return nil
	}
	f.revision, f.heard = v.Revision, now
	return f.fn(v)
}

// followed is a bucket whose watches miss no change for long.
type followed struct{ *Store }

// Watch implements leaseStore.
func (s followed) Watch(ctx context.Context, key string, fn func(Value) error) error {
	return s.Follow(ctx, key, fn)
}
