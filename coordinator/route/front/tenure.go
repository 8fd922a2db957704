package front

import (
	"context"
	"fmt"
	"time"

	"mahavishnu/coordinator/route"
)

// over reports whether the tenure that is held has ended. f.mu is held.
func (f *Front) over() bool { return f.fenced >= f.held.Epoch }

// take begins a tenure, or renews the one that is held. f.mu is held.
func (f *Front) take(t route.Target, epoch uint64) error {
	done, err := f.held.Admit(t, epoch)
	if err != nil {
		return err
	}
	if epoch < f.fenced || epoch == f.fenced && f.ended == endedByWord {
		return fmt.Errorf("the tenure with epoch %d is over: %w", epoch, route.ErrStale)
	}
	if f.o.State != nil && !done {
		if err := f.o.State.Store(route.Remembered{Promised: epoch, State: route.State{Epoch: epoch, Target: t}}); err != nil {
			return err
		}
	}
	f.renewed = f.o.Clock.Now()
	if done && f.fenced < epoch {
		return nil
	}
	// A tenure that seemed to have lapsed, or was remembered from before a restart,
	// goes on: it was renewed after all.
	f.fenced = min(f.fenced, epoch-1)
	if f.held.Target.Member != t.Member {
		f.stats.Switches++
	}
	f.held = route.State{Epoch: epoch, Target: t}
	f.cut(func(l *link) bool { return l.tenure.Epoch < epoch || !l.tenure.Target.Equal(t) })
	f.announce()
	return nil
}

// fence ends tenures up to an epoch. f.mu is held.
func (f *Front) fence(epoch uint64) {
	f.end(epoch, endedByWord)
}

// end ends tenures up to an epoch for a reason. f.mu is held.
func (f *Front) end(epoch uint64, how ending) {
	if epoch < f.fenced || epoch == f.fenced && f.ended == endedByWord {
		return
	}
	f.fenced, f.ended = epoch, how
	f.cut(func(l *link) bool { return l.tenure.Epoch <= epoch })
	f.announce()
}

// announce wakes who waits for a change. f.mu is held.
func (f *Front) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// tenure is the one that clients are led to, and what is closed when that
// changes; false while there is none.
func (f *Front) tenure() (route.State, <-chan struct{}, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held, f.changed, f.held.Epoch > 0 && !f.over()
}

// watchLapse ends a tenure that nobody renews.
func (f *Front) watchLapse(ctx context.Context) {
	if f.o.Lapse <= 0 {
		return
	}
	for wait := f.o.Lapse; f.o.Clock.Sleep(ctx, wait) == nil; {
		wait = f.lapse()
	}
}

// lapse ends the tenure if its time has come, and says when to look again.
func (f *Front) lapse() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held.Epoch == 0 || f.over() {
		return f.o.Lapse
	}
	left := f.renewed.Add(f.o.Lapse).Sub(f.o.Clock.Now())
	if left > 0 {
		return left
	}
	f.end(f.held.Epoch, endedByTime)
	return f.o.Lapse
}

// ending is how a tenure ended.
type ending int

const (
	// endedByTime is a lapse, and what was remembered from before a restart.
	endedByTime ending = iota
	// endedByWord is a fence, or a lease that was released.
	endedByWord
)
