package dispersed

import (
	"context"
	"errors"
	"sync"
	"time"

	"mahavishnu/storage/backend"
)

// identity is which set of storages this is.
type identity struct {
	turn chan struct{} // held by who finds it out

	mu     sync.Mutex
	formed bool
	set    setID
	blank  time.Time // when it was found that there is no set yet; zero: never
}

func newIdentity() *identity { return &identity{turn: make(chan struct{}, 1)} }

func (i *identity) get() (set setID, formed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.set, i.formed
}

func (i *identity) settle(set setID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.set, i.formed = set, true
}

// blankFor is how long storages in which there is nothing are believed to have no
// records, by operations that only read.
const blankFor = time.Second

// ready finds out which set the storages are, before anything is asked of them. A
// write makes the set when there is none: all storages must be there for that.
func (b *Backend) ready(ctx context.Context, op, name string, write bool) error {
	if _, formed := b.identity.get(); formed {
		return nil
	}
	select {
	case b.identity.turn <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx, op, name)
	}
	defer func() { <-b.identity.turn }()
	b.identity.mu.Lock()
	formed, blank := b.identity.formed, b.identity.blank
	b.identity.mu.Unlock()
	if formed || !write && !blank.IsZero() && b.clock.Now().Sub(blank) < blankFor {
		return nil
	}
	return b.identify(ctx, op, name, write)
}

// identify reads the records. DESIGN.md says what follows from them.
func (b *Backend) identify(ctx context.Context, op, name string, write bool) error {
	var errs []error
	for range 2 {
		replies := b.records(ctx)
		if err := ended(ctx, op, name); err != nil {
			return err
		}
		if set, good := mostly(replies); good >= b.k {
			b.identity.settle(set)
			for _, r := range replies {
				_ = r.m.judge(set, r.value, r.err) // who did not answer is asked when needed
			}
			b.running.Go(func() { b.survey(b.probes, false) })
			return nil
		}
		errs = errsOf(replies)
		set, ok := unformed(replies)
		if !ok {
			break
		}
		stored := false
		if set != (setID{}) {
			var err error
			if stored, err = b.anything(ctx, op, name); err != nil {
				return err
			}
		}
		if !stored {
			b.identity.mu.Lock()
			b.identity.blank = b.clock.Now()
			b.identity.mu.Unlock()
			if write {
				return b.form(ctx, op, name, set)
			}
			return nil
		}
		// Another process may have made the set, and used it, since the records were read.
	}
	return b.tooFew(ctx, op, name, b.k, errs...)
}

// mostly returns the set that most records name, and how many do.
func mostly(replies []reply[membership]) (set setID, good int) {
	votes := map[setID]int{}
	for _, r := range replies {
		if r.err == nil {
			if votes[r.value.set]++; votes[r.value.set] > good {
				set, good = r.value.set, votes[r.value.set]
			}
		}
	}
	return set, good
}

// unformed tells whether the records are those of a set that is not made yet, or only
// in part: then it names the set. All storages must have said so.
func unformed(replies []reply[membership]) (set setID, ok bool) {
	for _, r := range replies {
		switch {
		case r.err == nil && (set == setID{} || set == r.value.set):
			set = r.value.set
		case r.err == nil || !errors.Is(r.err, errEmptied):
			return set, false
		}
	}
	return set, true
}

// records reads the records of all members; it waits for no more when k name one set.
func (b *Backend) records(ctx context.Context) []reply[membership] {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errSlow)
	replies := make(chan reply[membership], b.n)
	all := make([]reply[membership], b.n)
	for i, m := range b.members {
		all[i] = reply[membership]{m: m, err: errSlow}
		b.running.Go(func() {
			rec, err := m.own(ctx)
			replies <- reply[membership]{m, rec, err}
		})
	}
	for range b.n {
		select {
		case r := <-replies:
			all[r.m.index] = r
		case <-ctx.Done():
			return all
		}
		if _, good := mostly(all); good >= b.k {
			return all
		}
	}
	return all
}

var errSomething = errors.New("there is something")

// anything tells whether any storage holds anything but records.
func (b *Backend) anything(ctx context.Context, op, name string) (bool, error) {
	replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (bool, error) {
		err := m.Backend.List(ctx, "", func(i backend.Info) error {
			if i.Name != recordName {
				return errSomething
			}
			return nil
		})
		if errors.Is(err, errSomething) {
			return true, nil
		}
		return false, err
	})
	if count(replies) < b.n {
		return false, b.tooFew(ctx, op, name, b.n, errsOf(replies)...)
	}
	for _, r := range replies {
		if r.value {
			return true, nil
		}
	}
	return false, nil
}

// form makes the storages a set. The first one decides which when several processes do
// so at once.
func (b *Backend) form(ctx context.Context, op, name string, set setID) error {
	if set == (setID{}) {
		set = newSetID()
	}
	join := func(ctx context.Context, m *member) (membership, error) {
		err := m.write(ctx, membership{set: set}, backend.PutOptions{IfAbsent: true})
		if errors.Is(err, backend.ErrExists) {
			var rec membership
			if rec, err = m.own(ctx); err == nil {
				return rec, nil
			}
		}
		return membership{set: set}, err
	}
	first, err := join(ctx, b.members[0])
	if err != nil {
		return b.tooFew(ctx, op, name, b.n, err)
	}
	set = first.set
	replies := ask(ctx, b, b.n, join)
	errs := errsOf(replies)
	for i, r := range replies {
		if r.err == nil && r.value.set != set {
			errs[i] = errForeign
		}
	}
	if err := errors.Join(errs...); err != nil {
		return b.tooFew(ctx, op, name, b.n, errs...)
	}
	b.identity.settle(set)
	for _, r := range replies {
		_ = r.m.judge(set, r.value, nil)
	}
	return nil
}
