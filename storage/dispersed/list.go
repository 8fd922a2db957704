package dispersed

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"mahavishnu/storage/backend"
)

// entry is what the members list under one name.
type entry struct {
	lengths []int64 // by member; negative: nothing
	modTime time.Time
}

// List lists what any storage has and can be read, or could be if those that do not
// answer did: nothing that is confirmed is left out because of them.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	if err := backend.CheckPrefix(op, prefix); err != nil {
		return err
	}
	if err := ended(ctx, op, prefix); err != nil {
		return err
	}
	if err := b.ready(ctx, op, prefix, false); err != nil {
		return err
	}
	all, listed, err := b.listAll(ctx, op, prefix, b.k)
	if err != nil {
		return err
	}
	for name, e := range all {
		info, ok, err := b.weigh(ctx, name, e, listed)
		if err != nil {
			return err
		}
		if ok {
			if err := fn(info); err != nil {
				return err
			}
		}
	}
	return ended(ctx, op, prefix)
}

// listAll collects the listings of the members, of which at least k answer; it waits
// for the rest no longer than patience when so many have.
func (b *Backend) listAll(ctx context.Context, op, prefix string, enough int) (all map[string]*entry, listed []bool, err error) {
	var mu sync.Mutex
	all = map[string]*entry{}
	over := false // a member that was given up goes on for a moment
	replies := ask(ctx, b, enough, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.List(ctx, prefix, func(i backend.Info) error {
			if strings.HasPrefix(i.Name, area) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if over {
				return errSlow
			}
			e := all[i.Name]
			if e == nil {
				e = &entry{lengths: make([]int64, b.n)}
				for j := range e.lengths {
					e.lengths[j] = -1
				}
				all[i.Name] = e
			}
			e.lengths[m.index] = i.Size
			if i.ModTime.After(e.modTime) {
				e.modTime = i.ModTime
			}
			return nil
		})
	})
	mu.Lock()
	over = true
	mu.Unlock()
	if count(replies) < b.k {
		return nil, nil, b.tooFew(ctx, op, prefix, b.k, errsOf(replies)...)
	}
	listed = make([]bool, b.n)
	for i, r := range replies {
		listed[i] = r.err == nil
	}
	return all, listed, nil
}

// weigh decides whether a name that some members list is an object. Lengths are enough
// nearly always; where they are not, the members are asked.
func (b *Backend) weigh(ctx context.Context, name string, e *entry, listed []bool) (backend.Info, bool, error) {
	info := backend.Info{Name: name, ModTime: e.modTime}
	shards, gone, silent := 0, 0, 0
	agreed, first := true, -1
	for i, length := range e.lengths {
		switch {
		case !listed[i]:
			silent++
		case length < 0:
		case isGone(length):
			gone++
		default:
			if shards++; first < 0 {
				first = i
				continue
			}
			size, ok := sizeOf(b.k, first, e.lengths[first], i, length)
			if !ok || shards > 2 && size != info.Size {
				agreed = false
			}
			info.Size = size
		}
	}
	switch {
	case agreed && shards >= b.k:
		return info, true, nil
	case gone > b.n-b.k:
		return info, false, nil
	case agreed && gone == 0 && shards >= 2 && shards+silent >= b.k:
		return info, true, nil
	}
	f, err := b.look(ctx, "list", name, true)
	if ctx.Err() != nil {
		return info, false, ended(ctx, "list", name)
	}
	switch {
	case f.head != nil:
		info.Size = f.head.size
		return info, true, nil
	case err == nil || errors.Is(err, backend.ErrNotFound):
		return info, false, nil
	case f.top != nil && !f.top.gone():
		info.Size = f.top.size
		return info, true, nil
	case errors.Is(err, backend.ErrDamaged):
		return info, true, nil // it is there, and reading it says what is wrong
	}
	return info, false, err
}
