package dispersed

import (
	"context"
	"sync"
)

// nameLock lets the changes of one name by this process happen one by one, those that
// go on behind a confirmed put included.
type nameLock struct {
	mu    sync.Mutex
	users int
	rest  *rest // guarded by mu
}

// rest is what goes on behind a confirmed put.
type rest struct {
	done   chan struct{}
	cancel context.CancelCauseFunc
}

// lock waits until no other change of the name is under way. What goes on behind
// the last one is given patience to come to its end, and is cancelled then.
func (b *Backend) lock(ctx context.Context, name string) (*nameLock, func()) {
	b.mu.Lock()
	l := b.names[name]
	if l == nil {
		l = &nameLock{}
		b.names[name] = l
	}
	l.users++
	b.mu.Unlock()
	l.mu.Lock()
	if r := l.rest; r != nil {
		timer := b.clock.NewTimer(b.patience)
		select {
		case <-r.done:
		case <-timer.C():
		case <-ctx.Done():
		}
		timer.Stop()
		r.cancel(errSlow)
		<-r.done
		l.rest = nil
	}
	return l, func() {
		l.mu.Unlock()
		b.leave(name, l)
	}
}

// leave forgets the lock when nobody uses it any more.
func (b *Backend) leave(name string, l *nameLock) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(b.names, name)
	}
}

// stay keeps the lock in memory until leave.
func (b *Backend) stay(l *nameLock) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.users++
}
