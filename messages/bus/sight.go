package bus

import (
	"context"
	"errors"
	"time"

	"mahavishnu/clock"
	"mahavishnu/messages"
)

// Sight is a lease as somebody sees it who did not follow it.
type Sight struct {
	messages.LeaseValue
	// Renewed is when it was written last, Age how long ago that is: both by the clocks of
	// the servers.
	Renewed time.Time
	Age     time.Duration
	// Lapsed is set when its time is over, so that any candidate may take it. One that was
	// released has no Holder instead.
	Lapsed bool
}

// skew is by how much the clocks of two servers may differ before a lease looks older
// than it is: one wrote it, another tells the time.
const skew = time.Second

// See tells people who holds leases, and which of them have lapsed; those that nobody ever
// held are left out. Whoever acts on it has to win the lease.
//
// A lease is taken for lapsed that is older, by the clocks of the servers, than a candidate
// waits, and that nobody renewed while this looked again: so clocks of servers that differ
// make no lapsed lease of one that is held.
func (l *Leases) See(ctx context.Context, timing messages.LeaseTiming, names ...string) (map[string]Sight, error) {
	all, err := l.sights(ctx, timing, names)
	if err != nil {
		return nil, err
	}
	var doubtful []string
	for name, s := range all {
		if s.Lapsed {
			doubtful = append(doubtful, name)
		}
	}
	if len(doubtful) == 0 {
		return all, nil
	}
	if err := clock.Or(l.clock).Sleep(ctx, 2*timing.RenewEvery); err != nil {
		return nil, err
	}
	again, err := l.sights(ctx, timing, doubtful)
	if err != nil {
		return nil, err
	}
	for name, s := range again {
		s.Lapsed = s.Lapsed && s.Renewed.Equal(all[name].Renewed)
		all[name] = s
	}
	return all, nil
}

// sights reads leases once, and takes those for lapsed that look so by their age.
func (l *Leases) sights(ctx context.Context, timing messages.LeaseTiming, names []string) (map[string]Sight, error) {
	all := make(map[string]Sight, len(names))
	for _, name := range names {
		v, lease, err := l.read(ctx, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = Sight{LeaseValue: lease, Renewed: v.Time}
	}
	if len(all) == 0 {
		return all, nil
	}
	now, err := l.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	for name, s := range all {
		s.Age = max(now.Sub(s.Renewed), 0)
		s.Lapsed = s.Holder != "" && s.Age >= timing.Promotion+skew
		all[name] = s
	}
	return all, nil
}
