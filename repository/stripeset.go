package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// stripe is a stripe that can be used: its head was read.
type stripe struct {
	object string // where it lies; not under its own name when it was exchanged
	head   *parity.Head
	size   int64 // of the object
}

// misnamed tells whether the stripe lies under another's name.
func (s *stripe) misnamed() bool { return s.head.ID.Object() != s.object }

// stripeSet is all stripes, by their packs.
type stripeSet struct {
	all     []*stripe
	members map[PackID][]*stripe
	bad     map[string]error // objects whose head cannot be read
}

func (s *stripeSet) of(id PackID) []*stripe { return s.members[id] }

// covers tells whether a pack is in a stripe that is none of those.
func (s *stripeSet) covers(id PackID, stale map[string]error) bool {
	for _, x := range s.members[id] {
		if stale[x.object] == nil {
			return true
		}
	}
	return false
}

func (s *stripeSet) add(x *stripe) {
	s.all = append(s.all, x)
	for _, m := range x.head.Members {
		s.members[m.ID] = append(s.members[m.ID], x)
	}
}

// staleStripes returns the stripes that can protect nothing any more, because a
// pack of theirs was deleted. Packs are listed after the stripes: each was there
// before its stripe was.
func (r *Repository) staleStripes(ctx context.Context, set *stripeSet) (map[string]error, error) {
	there := map[PackID]bool{}
	err := r.eachPackObject(ctx, func(id PackID, _ int64) error {
		there[id] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return set.stale(func(id PackID) bool {
		_, indexed := r.index.pack(id)
		return !indexed && !there[id]
	}), nil
}

// stale returns the stripes with packs that are gone.
func (s *stripeSet) stale(gone func(PackID) bool) map[string]error {
	stale := map[string]error{}
	for _, x := range s.all {
		for _, m := range x.head.Members {
			if gone(m.ID) {
				stale[x.object] = fmt.Errorf("a pack of it is gone: %s", m.ID.Object())
			}
		}
	}
	return stale
}

// stripeReaders is how many heads of stripes are read at once.
const stripeReaders = 8

// stripeSet returns the stripes, read once until the next Refresh. Its caller
// holds the corrector's turn.
func (r *Repository) stripeSet(ctx context.Context) (*stripeSet, error) {
	c := &r.correct
	c.mu.Lock()
	set, age := c.stripes, c.age
	c.mu.Unlock()
	if set != nil {
		return set, nil
	}
	set, err := r.readStripes(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age == age {
		c.stripes = set
	}
	return set, nil
}

// readStripes reads the heads of all stripes.
func (r *Repository) readStripes(ctx context.Context) (*stripeSet, error) {
	set := &stripeSet{members: map[PackID][]*stripe{}, bad: map[string]error{}}
	var found []storage.Info
	err := listBelow(ctx, r.be, parity.StripePrefix, func(o storage.Info) error {
		if _, err := parity.ParseStripeID(strings.TrimPrefix(o.Name, parity.StripePrefix)); err == nil {
			found = append(found, o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(stripeReaders)
	for _, o := range found {
		group.Go(func() error {
			head, err := r.readStripeHead(groupCtx, o)
			if groupCtx.Err() != nil {
				return context.Cause(groupCtx)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil, errors.Is(err, parity.ErrOther) && head != nil:
				set.add(&stripe{object: o.Name, head: head, size: o.Size})
			case errors.Is(err, storage.ErrNotFound): // replaced since it was listed
			default:
				set.bad[o.Name] = err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return set, nil
}

// readStripeHead reads either of a stripe's heads.
func (r *Repository) readStripeHead(ctx context.Context, o storage.Info) (*parity.Head, error) {
	id, err := parity.ParseStripeID(strings.TrimPrefix(o.Name, parity.StripePrefix))
	if err != nil {
		return nil, err
	}
	head, err := r.readFirstHead(ctx, id, o)
	if head != nil || err == nil || errors.Is(err, storage.ErrNotFound) || ctx.Err() != nil {
		return head, err
	}
	// The last bytes: twice as many as heads have, which is enough for any that
	// this program writes.
	end := make([]byte, min(o.Size, 2*parity.HeadRead))
	if tailErr := storage.ReadRange(ctx, r.be, o.Name, o.Size-int64(len(end)), end); tailErr == nil {
		if last, tailErr := parity.ParseTail(id, end); last != nil {
			return last, tailErr
		}
	}
	return nil, fault.New("read", o.Name, damage(err), "")
}

func (r *Repository) readFirstHead(ctx context.Context, id parity.StripeID, o storage.Info) (*parity.Head, error) {
	n := min(o.Size, parity.HeadRead)
	for {
		start := make([]byte, n)
		if err := storage.ReadRange(ctx, r.be, o.Name, 0, start); err != nil {
			return nil, readCause(ctx, err)
		}
		head, more, err := parity.ParseHead(id, start)
		if !errors.Is(err, parity.ErrMore) {
			return head, err
		}
		if int64(more) > o.Size {
			return nil, parity.ErrDamaged
		}
		n = int64(more)
	}
}
