package dispersed

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"mahavishnu/storage/backend"
)

// mend makes the wrong shards of an object of the others.
func (c *checking) mend(ctx context.Context, l *nameLock, name string, f *found, wrong []Problem) error {
	if slices.ContainsFunc(wrong, func(p Problem) bool { return p != "" }) {
		c.mu.Lock()
		c.report.Reduced++
		c.mu.Unlock()
	}
	var s *shards
	for i, problem := range wrong {
		if problem == "" {
			continue
		}
		finding := Finding{Name: name, Storage: i + 1, Problem: problem}
		newer := f.newer(i)
		if newer {
			finding.Err = errNewer
		}
		err := c.found(ctx, finding, func(ctx context.Context) (err error) {
			if newer && !c.mayUndo(name, f, i) {
				return errNewer
			}
			if s == nil {
				if s, err = c.b.rebuild(ctx, name, f); err != nil {
					return err
				}
			}
			p := &put{b: c.b, ctx: ctx, name: name, lock: l}
			if p.o.RetainUntil, err = c.b.keptUntil(ctx, name); err != nil {
				return err
			}
			p.o.Sync = true
			if newer {
				c.b.known.forget(name)
				return c.b.members[i].Put(ctx, name, s.all[i], p.replacing())
			}
			return p.overtake(ctx, c.b.members[i], f.head.version, s.all[i])
		})
		if err != nil {
			return err
		}
	}
	if s != nil {
		s.drop()
	}
	return nil
}

// newer tells whether a member has a shard of a newer version than the object that was
// found, which has too few of them.
func (f *found) newer(i int) bool {
	r := f.view[i]
	return r.err == nil && r.value.compare(f.head.version) > 0
}

// mayUndo tells whether such a shard may be replaced by one of the object that was found:
// its version was lost, which was accepted, or nobody can be putting it any more. All
// members have to say that there are no more of them.
func (c *checking) mayUndo(name string, f *found, i int) bool {
	silent, _ := f.view.silent()
	return silent == 0 && (c.o.LetGo[name] || c.old(f.view[i].value.seq))
}

// rebuild reads an object and cuts it into the very same shards again.
func (b *Backend) rebuild(ctx context.Context, name string, f *found) (*shards, error) {
	return b.cut(ctx, &object{b: b, name: name, head: *f.head, paths: f.paths, sure: f.sure(), fresh: true})
}

func (b *Backend) cut(ctx context.Context, o *object) (*shards, error) {
	var data []byte
	if o.head.size > 0 {
		var err error
		if data, err = b.rows(ctx, o, 0, o.head.size); err != nil {
			return nil, err
		}
	}
	o.head.index = 0
	return b.codec.encode(o.head, data)
}

// deleted checks what is left of an object that was deleted while some storages were
// away. When all are back, their shards are removed, and the tombstones when no put
// from before can be under way any more.
func (c *checking) deleted(ctx context.Context, name string, f *found) error {
	b := c.b
	silent, _ := f.view.silent()
	for i, r := range f.view {
		stale := unusable(r.err) || r.err == nil && r.value.version != f.top.version
		if !stale {
			continue
		}
		err := c.found(ctx, Finding{Name: name, Storage: i + 1, Problem: Stale}, func(ctx context.Context) error {
			h := head{
				version: f.top.version, data: uint8(b.k), parity: uint8(b.n - b.k), index: uint8(i), flags: flagGone,
				name: hashName(name), time: f.top.time,
			}
			return errors.Join(
				b.removeWaiting(ctx, r.m, name, f),
				r.m.Put(ctx, name, h.tombstone(), backend.PutOptions{Sync: true}),
			)
		})
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	open := c.open[dirOf(name)]
	c.mu.Unlock()
	if !c.repair || silent > 0 || open || !c.old(f.top.seq) {
		return nil
	}
	replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.Delete(ctx, name)
	})
	c.cleaned(count(replies))
	return ended(ctx, c.op, name)
}

// unfinished checks what is left of a put that never was confirmed: too few shards to
// be anything, with all storages there to say so.
func (c *checking) unfinished(ctx context.Context, name string, f *found) error {
	silent, _ := f.view.silent()
	for i, r := range f.view {
		if r.err != nil && !unusable(r.err) {
			continue
		}
		err := c.found(ctx, Finding{Name: name, Storage: i + 1, Problem: Unfinished}, func(ctx context.Context) error {
			if silent > 0 {
				return c.hint(errSlow)
			}
			// What cannot be used is of no use to whoever put it either.
			if r.err == nil && !c.old(f.top.seq) {
				return errFresh
			}
			return r.m.Delete(ctx, name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// clean removes what elections and puts left in the area, of objects that are as they
// should be, and of such that never came to be.
func (c *checking) clean(ctx context.Context) error {
	type remainder struct {
		m    *member
		name string
	}
	var mu sync.Mutex
	var all []remainder
	ask(ctx, c.b, c.b.n, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.List(ctx, area, func(i backend.Info) error {
			dir, base, _ := strings.Cut(strings.TrimPrefix(i.Name, area), "/")
			r, ok := parseRecord(base)
			c.mu.Lock()
			open := c.open[area+dir+"/"]
			c.mu.Unlock()
			if ok && !open && c.old(r.time()) {
				mu.Lock()
				all = append(all, remainder{m, i.Name})
				mu.Unlock()
			}
			return nil
		})
	})
	mu.Lock()
	defer mu.Unlock()
	for _, r := range all {
		if err := ended(ctx, c.op, r.name); err != nil {
			return err
		}
		if err := r.m.Delete(ctx, r.name); err == nil {
			c.cleaned(1)
		}
	}
	return nil
}

func (c *checking) cleaned(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Cleaned += n
}
