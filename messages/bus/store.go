package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
)

// Store is a key-value bucket. It is safe for concurrent use.
type Store struct {
	c  *Conn
	kv jetstream.KeyValue
}

// Value is what a key holds.
type Value struct {
	Key  string
	Data []byte
	// Revision is what Update compares; it grows over the whole bucket.
	Revision uint64
	// Time is the server's when the value was written.
	Time time.Time
	// Deleted is set by Watch when the key was removed.
	Deleted bool
}

func value(e jetstream.KeyValueEntry) Value {
	return Value{Key: e.Key(), Data: e.Value(), Revision: e.Revision(), Time: e.Created(), Deleted: e.Operation() != jetstream.KeyValuePut}
}

// readTime is after how long a read is tried again whose answer, or which itself, was lost
// on the way: a failover waits for some of them.
const readTime = time.Second

// writeTime is the same for a compare-and-set. One that arrived after all is refused when it is
// sent again, and known for the writer's own.
const writeTime = time.Second

// Get reads a key, or returns ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (Value, error) {
	var v Value
	err := s.c.persist(ctx, "read", s.object(key), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		e, err := s.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted) {
			return ErrNotFound
		}
		if err == nil {
			v = value(e)
		}
		return err
	})
	return v, err
}

// Now is the time by the clock of the server that leads the bucket, which also gives values
// their time.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.c.persist(ctx, "read the time of", s.kv.Bucket(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		status, err := s.kv.Status(ctx)
		if err != nil {
			return err
		}
		bucket, ok := status.(*jetstream.KeyValueBucketStatus)
		if !ok || bucket.StreamInfo() == nil {
			return errors.New("the server does not tell it")
		}
		now = bucket.StreamInfo().TimeStamp
		return nil
	})
	return now, err
}

// Put writes a key, whatever it holds.
func (s *Store) Put(ctx context.Context, key string, data []byte) (revision uint64, err error) {
	err = s.c.persist(ctx, "write", s.object(key), func(ctx context.Context) error {
		var err error
		revision, err = s.kv.Put(ctx, key, data)
		return err
	})
	return revision, err
}

// Create writes a key that does not exist, or returns ErrExists.
func (s *Store) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	return s.write(ctx, key, data, 0, ErrExists)
}

// Update writes a key whose revision is still the one given, or returns
// ErrConflict.
func (s *Store) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	return s.write(ctx, key, data, revision, ErrConflict)
}

// write is a compare-and-set; revision 0 is a key that does not exist.
//
// A write that was sent again because its acknowledgement was lost is refused
// for being the second one. So a refusal after a repetition is checked: when
// the key holds exactly what was sent, the first one did it. Values carry who
// wrote them, so another writer's cannot be taken for our own. When it holds what it
// held before, the first one is still on its way through the cluster, whose leader
// knows of it before it can be read: then nothing is decided yet, and it is tried again.
func (s *Store) write(ctx context.Context, key string, data []byte, revision uint64, conflict error) (uint64, error) {
	var written uint64
	unsure := false
	err := s.c.persist(ctx, "write", s.object(key), func(ctx context.Context) error {
		var err error
		try, cancel := context.WithTimeout(ctx, writeTime)
		if revision == 0 {
			written, err = s.kv.Create(try, key, data)
		} else {
			written, err = s.kv.Update(try, key, data, revision)
		}
		cancel()
		switch {
		case err == nil:
			return nil
		case !refused(err):
			unsure = true
			return err
		case !unsure:
			return conflict
		}
		now, err := s.kv.Get(ctx, key)
		switch gone := errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted); {
		case gone && revision > 0:
			return conflict
		case gone, err == nil && now.Revision() <= revision:
			return errUnsettled
		case err != nil:
			return err
		case now.Revision() > revision && bytes.Equal(now.Value(), data):
			written = now.Revision()
			return nil
		}
		return conflict
	})
	return written, err
}

// refused reports whether a compare-and-set found another revision. Replicated
// streams use a code of their own.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Delete removes a key whose revision is still the one given (0: any), or
// returns ErrConflict. A missing key is no error when the revision is 0.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	unsure := false
	return s.c.persist(ctx, "delete", s.object(key), func(ctx context.Context) error {
		options := []jetstream.KVDeleteOpt{jetstream.PurgeTTL(removedFor)}
		if revision > 0 {
			options = append(options, jetstream.LastRevision(revision))
		}
		err := s.kv.Purge(ctx, key, options...)
		if err == nil {
			return nil
		}
		if !refused(err) {
			unsure = true
			return err
		}
		if _, read := s.kv.Get(ctx, key); unsure && (errors.Is(read, jetstream.ErrKeyDeleted) || errors.Is(read, jetstream.ErrKeyNotFound)) {
			return nil
		}
		return ErrConflict
	})
}

// Each calls fn for every key that matches, in no order that matters. The
// pattern is a subject pattern: "a.*", "a.>", or "" for all.
func (s *Store) Each(ctx context.Context, pattern string, fn func(Value) error) error {
	return s.watch(ctx, pattern, false, fn, jetstream.IgnoreDeletes())
}

// Watch calls fn for every key that matches and then for every change, until
// ctx ends or fn returns an error, and returns that. Reconnects are survived.
func (s *Store) Watch(ctx context.Context, pattern string, fn func(Value) error) error {
	return s.watch(ctx, pattern, true, fn)
}

func (s *Store) watch(ctx context.Context, pattern string, follow bool, fn func(Value) error, options ...jetstream.WatchOpt) error {
	if pattern == "" {
		pattern = jetstream.AllKeys
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var w jetstream.KeyWatcher
	err := s.c.persist(ctx, "watch", s.object(pattern), func(context.Context) error {
		var err error
		// The watcher lives as long as the context it is given.
		w, err = s.kv.Watch(ctx, pattern, options...) //nolint:contextcheck // not the short one of one try
		return err
	})
	if err != nil {
		return err
	}
	// Nobody waits for that: it asks the server that leads the watch, and when that has just died
	// there is no answer for seconds. Whoever has won a lease meanwhile has none to lose.
	defer func() {
		go func() {
			w.Stop() //nolint:errcheck // the subscription ends with its context too
			for range w.Updates() {
				// The library's goroutine may be waiting to hand over a value; the
				// channel closes once it is gone.
			}
		}()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-w.Updates():
			switch {
			case !ok && ctx.Err() != nil:
				return context.Cause(ctx)
			case !ok:
				return fault.New("watch", s.object(pattern), ErrClosed, "the connection was closed")
			case e == nil && !follow:
				return nil
			case e == nil:
				continue
			}
			if err := fn(value(e)); err != nil {
				return err
			}
		}
	}
}

func (s *Store) object(key string) string { return fmt.Sprintf("%s/%s", s.kv.Bucket(), key) }
