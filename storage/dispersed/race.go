package dispersed

import (
	"context"
	"errors"
	"time"

	"mahavishnu/storage/backend"
)

var errSlow = errors.New("no answer while the others had long answered")

// reply is what a member answered.
type reply[T any] struct {
	m     *member
	value T
	err   error
}

// ask calls fn for every member at once. It returns when all have answered; or,
// when need of them have without an error, after waiting for the rest no longer
// than patience: those are cancelled and count as failed.
func ask[T any](ctx context.Context, b *Backend, need int, fn func(context.Context, *member) (T, error)) []reply[T] {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errSlow)
	replies := make(chan reply[T], b.n)
	answers := make([]reply[T], b.n)
	for i, m := range b.members {
		answers[i] = reply[T]{m: m, err: errSlow}
		b.running.Go(func() {
			value, err := fn(ctx, m)
			replies <- reply[T]{m, value, err}
		})
	}
	var patience <-chan time.Time
	good := 0
	for range b.n {
		select {
		case r := <-replies:
			answers[r.m.index] = r
			if answered(r.err) {
				good++
			}
			if good >= need && patience == nil {
				timer := b.clock.NewTimer(b.patience)
				defer timer.Stop()
				patience = timer.C()
			}
		case <-patience:
			cancel(errLate)
			return answers
		case <-ctx.Done():
			for i := range answers {
				if errors.Is(answers[i].err, errSlow) {
					answers[i].err = context.Cause(ctx)
				}
			}
			return answers
		}
	}
	return answers
}

// answered tells whether a member said something of the object: what it has, or that
// it has nothing, or nothing that makes sense.
func answered(err error) bool {
	return err == nil || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrShort) || unusable(err)
}

// unusable tells whether a member has something that is not what it should be.
func unusable(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, errOther)
}

// count returns how many replies are no errors.
func count[T any](replies []reply[T]) int {
	n := 0
	for _, r := range replies {
		if r.err == nil {
			n++
		}
	}
	return n
}

func errsOf[T any](replies []reply[T]) []error {
	errs := make([]error, 0, len(replies))
	for _, r := range replies {
		errs = append(errs, r.err)
	}
	return errs
}

// race asks the members in order: the first so many at once, and more whenever one
// does not help or, with hedging, is slow. took is called for every reply, one at a
// time, and says how many more it needs that help. Race returns when that is none, or
// when no member is left.
func race[T any](ctx context.Context, b *Backend, order []*member, first, class int, fn func(context.Context, *member) (T, error), took func(reply[T]) (need int)) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errSlow)
	replies := make(chan reply[T], len(order))
	started, pending := 0, 0
	start := func(n int) {
		for ; n > 0 && started < len(order); n-- {
			m := order[started]
			started++
			pending++
			begun := b.clock.Now()
			b.running.Go(func() {
				value, err := fn(ctx, m)
				switch elapsed := b.clock.Now().Sub(begun); {
				case answered(err):
					m.figures.note(class, elapsed)
				case errors.Is(context.Cause(ctx), errSlow):
					m.figures.gaveUp(class, elapsed)
				case ctx.Err() == nil:
					m.figures.failed()
				}
				replies <- reply[T]{m, value, err}
			})
		}
	}
	start(first)
	var slow <-chan time.Time
	if b.hedge {
		timer := b.clock.NewTimer(b.hedgeDelay(class))
		defer timer.Stop()
		slow = timer.C()
	}
	for pending > 0 {
		select {
		case r := <-replies:
			pending--
			need := took(r)
			if need <= 0 {
				return
			}
			start(need - pending)
		case <-slow:
			start(max(1, b.k-started))
			slow = nil
			if started < len(order) { // the delay begins anew for the next
				timer := b.clock.NewTimer(b.hedgeDelay(class))
				defer timer.Stop()
				slow = timer.C()
			}
		case <-ctx.Done():
			return
		}
	}
}
