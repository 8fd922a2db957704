package dispersed

import (
	"context"
	"errors"
	"time"

	"mahavishnu/storage/backend"
)

// spreading is how far a put has come.
type spreading struct {
	good  int     // members that have their shard
	taken bool    // some have something else under the name
	errs  []error // by member; nil also for those that have not answered
}

// shardPut puts the shard of a member.
type shardPut func(ctx context.Context, m *member, shard []byte) error

// spread calls do for every member at once. It returns when a quorum has its shard,
// while the others go on behind it, or when all have answered. late is called for
// members that have something else under the name, when the put succeeded without
// them. A nil late is for puts that replace: they would overwrite what somebody put after
// them, so nothing goes on behind, and members that do not answer are given up
// when patience is over.
func (p *put) spread(s *shards, do, late shardPut) spreading {
	b := p.b
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(p.ctx))
	release := context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })
	stop := context.AfterFunc(b.life, func() { cancel(context.Cause(b.life)) })
	replies := make(chan reply[struct{}], b.n)
	for _, m := range b.members {
		s.hold()
		b.running.Go(func() {
			defer s.drop()
			err := do(ctx, m, s.all[m.index])
			if err != nil && !errors.Is(err, backend.ErrExists) {
				s.spoil()
			}
			replies <- reply[struct{}]{m: m, err: err}
		})
	}
	r := spreading{errs: make([]error, b.n)}
	left := b.n
	take := func(a reply[struct{}]) {
		left--
		r.errs[a.m.index] = a.err
		switch {
		case a.err == nil:
			if a.m.counts(nil) == nil {
				r.good++
			}
			a.m.figures.recovered()
		case errors.Is(a.err, backend.ErrExists):
			r.taken = true
		default:
			a.m.figures.failed()
		}
	}
	var patience <-chan time.Time
	for left > 0 && (r.good < b.quorum || late == nil || !b.room(int64(left)*int64(len(s.all[0])))) {
		if patience == nil && (r.taken || late == nil && r.good >= b.quorum) {
			timer := b.clock.NewTimer(b.patience)
			defer timer.Stop()
			patience = timer.C()
		}
		select {
		case a := <-replies:
			take(a)
		case <-patience: // it needs another way: nothing is gained by waiting
			cancel(errSlow)
			patience = make(chan time.Time)
		}
	}
	if r.good < b.quorum || left == 0 && !r.taken {
		release()
		stop()
		cancel(nil)
		for _, err := range r.errs {
			b.fellBehind(r.good >= b.quorum && err != nil)
		}
		for i, m := range b.members {
			if r.good < b.quorum {
				r.errs[i] = m.counts(r.errs[i])
			}
		}
		return r
	}
	release()
	waiting := int64(left) * int64(len(s.all[0]))
	if left == 0 {
		waiting = 0
	}
	behind := &rest{done: make(chan struct{}), cancel: cancel}
	p.lock.rest = behind
	b.stay(p.lock)
	s.hold()
	errs := append([]error(nil), r.errs...)
	b.running.Go(func() {
		defer b.leave(p.name, p.lock)
		defer close(behind.done)
		defer cancel(nil)
		defer stop()
		defer s.drop()
		for range left {
			a := <-replies
			errs[a.m.index] = a.err
		}
		for i, err := range errs {
			if errors.Is(err, backend.ErrExists) {
				err = late(ctx, b.members[i], s.all[i])
			}
			b.fellBehind(err != nil)
		}
		b.waiting.Add(-waiting)
	})
	return r
}

// room reserves that many bytes of what may wait for slow members.
func (b *Backend) room(bytes int64) bool {
	if b.waiting.Add(bytes) <= b.behind {
		return true
	}
	b.waiting.Add(-bytes)
	return false
}

// fellBehind counts a shard that could not be put behind a confirmed put.
func (b *Backend) fellBehind(failed bool) {
	if failed {
		b.mu.Lock()
		b.weak++
		b.mu.Unlock()
	}
}
