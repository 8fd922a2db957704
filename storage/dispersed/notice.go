package dispersed

import (
	"context"
	"errors"
	"fmt"
)

// Notice says that a storage cannot be counted on, or can again.
type Notice struct {
	// Storage is its number, from 1, Location where it is.
	Storage  int
	Location string
	// Problem is Away, Emptied, Foreign or RolledBack; "" says that it answers again.
	Problem Problem
	// Err is what is known of why.
	Err error
	// TooMany says that more storages than may be lost have the problem RolledBack.
	TooMany bool
}

// String is a sentence without its end.
func (n Notice) String() string {
	if n.Problem == "" {
		return fmt.Sprintf("storage %d, %s, answers again", n.Storage, n.Location)
	}
	return fmt.Sprintf("storage %d, %s, is %s: %v", n.Storage, n.Location, n.Problem, n.Err)
}

// Advice says what to do.
func (n Notice) Advice() string {
	switch n.Problem {
	case Away:
		return "what is stored meanwhile lacks its part there; when it is back: mahavishnu verify --repair"
	case Foreign:
		return "put the storages in the order in which they were, or mount the right one"
	case RolledBack:
		if n.TooMany {
			return adviceOlder
		}
		return "put its newest state back; if there is none, what the others have is made good by: mahavishnu verify --repair"
	}
	return "what it lacks is made good by: mahavishnu verify --repair; mount first what should be mounted"
}

func (m *member) notice(p Problem, err error) Notice {
	return Notice{Storage: m.index + 1, Location: m.Location(), Problem: p, Err: err}
}

// notify tells of a storage, of the same once.
func (b *Backend) notify(n Notice) {
	key := fmt.Sprint(n.Storage, n.Problem)
	b.mu.Lock()
	told := b.told[key]
	b.told[key] = true
	b.mu.Unlock()
	if b.tell != nil && !told {
		b.tell(n)
	}
}

// problemOf returns what a record, or the failure to read it, says of a storage.
func problemOf(err error) Problem {
	switch {
	case errors.Is(err, errEmptied):
		return Emptied
	case errors.Is(err, errForeign):
		return Foreign
	}
	return Away
}

// Examine asks every storage what it is, and returns what is wrong. Of storages that are
// no set yet it says only which of them do not answer.
func (b *Backend) Examine(ctx context.Context) ([]Notice, error) {
	const op = "examine"
	if err := ended(ctx, op, b.Location()); err != nil {
		return nil, err
	}
	unsettled := b.ready(ctx, op, b.Location(), false)
	set, formed := b.identity.get()
	replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (struct{}, error) {
		rec, err := m.own(ctx)
		if formed {
			err = m.judge(set, rec, err)
		}
		return struct{}{}, err
	})
	if err := ended(ctx, op, b.Location()); err != nil {
		return nil, err
	}
	var all []Notice
	for _, r := range replies {
		if r.err != nil && (formed || unsettled != nil || !errors.Is(r.err, errEmptied)) {
			all = append(all, r.m.notice(problemOf(r.err), r.err))
		}
	}
	if formed {
		b.survey(ctx, true)
		for _, m := range b.members {
			if err := b.history.against(m); err != nil {
				all = append(all, m.olderNotice(err))
			}
		}
	}
	return all, nil
}
