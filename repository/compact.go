package repository

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/repository/index"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const (
	// compactEntries is how many blobs a compacted fragment has at most, unless
	// a single one that it replaces has more: writing it takes about 400 bytes of
	// memory for each.
	compactEntries = 512 << 10
	// compactFrom is how many small fragments there must be to be joined when
	// nothing else is wrong with them.
	compactFrom = 8
)

// Compacted is what writing the index anew did.
type Compacted struct {
	Written, Removed int
}

// CompactOptions says which parts of the index are written anew, beside small
// ones when there are many.
type CompactOptions struct {
	// Dead packs are left out.
	Dead func(PackID) bool
	// Reseal writes fragments anew that were sealed with an older key.
	Reseal bool
}

// Compact writes parts of the index anew: fragments that name packs which are to
// go or are gone, and small ones when there are many. The new ones are durable
// before the old ones are deleted, and say which ones they replace, for
// snapshots name the fragments they rely on.
func (c *Collector) Compact(ctx context.Context, s *Survey, o CompactOptions) (Compacted, error) {
	// Whoever had an index from before an earlier compaction counts still.
	census, err := c.watch.Look(ctx, c.lease.ID())
	if err != nil {
		return Compacted{}, err
	}
	x := &compaction{c: c, s: s, o: o, census: census, named: map[string]bool{}}
	// Those that are replaced go before what stands for them may.
	if err := x.leftovers(ctx); err != nil {
		return x.done, err
	}
	for _, snap := range s.Snapshots {
		for _, name := range snap.Index {
			x.named[name] = true
		}
	}
	chosen, err := x.choose(ctx)
	if err != nil {
		return x.done, err
	}
	for len(chosen) > 0 && err == nil {
		n := x.group(chosen)
		err = x.write(ctx, chosen[:n])
		chosen = chosen[n:]
	}
	if err == nil {
		err = x.leftovers(ctx)
	}
	return x.done, err
}

// compaction is one run of Compact.
type compaction struct {
	c      *Collector
	s      *Survey
	o      CompactOptions
	census *lease.Census
	named  map[string]bool // fragments that snapshots rely on
	done   Compacted
	// dead remembers which packs that the survey did not list are gone.
	dead map[PackID]bool
}

// gone tells whether entries of a pack are of no use.
func (x *compaction) gone(ctx context.Context, id PackID) (bool, error) {
	if x.o.Dead != nil && x.o.Dead(id) {
		return true, nil
	}
	if _, there := x.s.find(id); there {
		return false, nil
	}
	if gone, known := x.dead[id]; known {
		return gone, nil
	}
	// It may have come since packs were listed.
	_, err := x.c.r.be.Stat(ctx, id.Object())
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, err
	}
	if x.dead == nil {
		x.dead = map[PackID]bool{}
	}
	x.dead[id] = err != nil
	return err != nil, nil
}

// input is a fragment to be written anew.
type input struct {
	f    *fragment
	live []bool // of its packs
	left int    // entries in live packs
}

// choose returns the fragments to be written anew, small ones first.
func (x *compaction) choose(ctx context.Context) ([]input, error) {
	var chosen, small []input
	for _, f := range x.c.r.index.fragments() {
		if _, ok := isFragmentName(f.name); !ok {
			continue
		}
		in := input{f: f, live: make([]bool, f.Packs()), left: f.Len()}
		deadPacks := 0
		for n := range in.live {
			p, _ := f.Pack(uint32(n))
			gone, err := x.gone(ctx, p.ID)
			if err != nil {
				return nil, err
			}
			in.live[n] = !gone
			if gone {
				deadPacks++
				in.left -= min(in.left, int(p.Blobs))
			}
		}
		old, err := x.old(ctx, f)
		switch {
		case err != nil:
			return nil, err
		case deadPacks > 0 || old:
			chosen = append(chosen, in)
		case in.left < compactEntries/2:
			small = append(small, in)
		}
	}
	if len(small) >= compactFrom || len(chosen) > 0 && len(small) > 1 {
		chosen = append(chosen, small...)
	}
	slices.SortFunc(chosen, func(a, b input) int { return cmp.Compare(a.left, b.left) })
	return chosen, nil
}

// old tells whether a fragment must be sealed again.
func (x *compaction) old(ctx context.Context, f *fragment) (bool, error) {
	if !x.o.Reseal {
		return false, nil
	}
	for _, name := range []string{f.name, copyOf(f.name)} {
		version, err := x.c.r.keyVersion(ctx, name)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil && ctx.Err() != nil:
			return false, context.Cause(ctx)
		case err != nil || version != x.c.r.keys.Current():
			return true, nil //nolint:nilerr // what cannot be read is best written again
		}
	}
	return false, nil
}

// group returns how many of the fragments become one.
func (x *compaction) group(in []input) int {
	n, entries := 0, 0
	for ; n < len(in) && (n == 0 || entries+in[n].left <= compactEntries); n++ {
		entries += in[n].left
	}
	return n
}

// write puts what is left of fragments into one. A fragment has room for one
// place of each blob, so those that have several get a second fragment: no place
// is ever left out, since another collector may count on it. The last one says
// that it replaces the old ones, so that whatever is there is complete.
func (x *compaction) write(ctx context.Context, in []input) error {
	packs, entries := x.gather(in)
	layers := layer(entries)
	for i := len(layers) - 1; i >= 0; i-- {
		b := &index.Builder{}
		b.AddAll(packs, layers[i], i > 0)
		if i == 0 {
			for _, f := range in {
				name, _ := isFragmentName(f.f.name)
				b.Replace(index.Name(name))
				for _, older := range f.f.Replaces() {
					if x.mustRemember(older) {
						b.Replace(older)
					}
				}
			}
		}
		if err := x.put(ctx, b, in, i == 0); err != nil {
			return err
		}
	}
	for _, f := range in {
		if err := x.remove(ctx, f.f.name); err != nil {
			return err
		}
	}
	return nil
}

// mustRemember tells whether somebody may still rely on a fragment that went in
// an earlier run: a snapshot, or a session that is not finished.
func (x *compaction) mustRemember(name index.Name) bool {
	return len(x.census.Unfinished) > 0 || x.named[indexPrefix+PackID(name).String()]
}

// gather returns the live packs of fragments and their entries, which count the
// packs in this order.
func (x *compaction) gather(in []input) (packs []index.Pack, entries []index.Entry) {
	number := map[PackID]uint32{}
	left := 0
	for _, f := range in {
		left += f.left
	}
	entries = make([]index.Entry, 0, left)
	for _, f := range in {
		of := make([]uint32, len(f.live))
		for n, live := range f.live {
			if !live {
				continue
			}
			p, _ := f.f.Pack(uint32(n))
			at, known := number[p.ID]
			if !known {
				at = uint32(len(packs))
				number[p.ID] = at
				packs = append(packs, p)
			}
			of[n] = at
		}
		for i := range f.f.Len() {
			e := f.f.Entry(i)
			if int(e.Pack) < len(f.live) && f.live[e.Pack] {
				e.Pack = of[e.Pack]
				entries = append(entries, e)
			}
		}
	}
	return packs, entries
}

// layer sorts entries by id and deals them out so that each id is in each part
// once at most. There is at least one part.
func layer(entries []index.Entry) [][]index.Entry {
	slices.SortFunc(entries, func(a, b index.Entry) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Pack, b.Pack))
	})
	layers := [][]index.Entry{entries[:0]}
	depth := 0
	var last index.Entry
	for i, e := range entries {
		switch {
		case i > 0 && e.ID == last.ID && e.Pack == last.Pack:
			continue // two sessions took the same pack over
		case i > 0 && e.ID == last.ID:
			depth++
		default:
			depth = 0
		}
		last = e
		if depth == len(layers) {
			layers = append(layers, nil)
		}
		layers[depth] = append(layers[depth], e)
	}
	return layers
}

// put stores a fragment and brings it into use. In a full storage the second copies
// of those that it replaces make room for it, and, once it is the last of what
// replaces them and durable, they themselves for its own second copy.
func (x *compaction) put(ctx context.Context, b *index.Builder, in []input, last bool) error {
	text, err := b.Build()
	if err != nil {
		return err
	}
	name := indexPrefix + randomHex(16)
	sealed, err := x.c.r.keys.Seal(seal.TypeIndex, name, b.Stored())
	if err != nil {
		return err
	}
	put := func(object string) error {
		err := x.c.r.be.Put(ctx, object, sealed, storage.PutOptions{IfAbsent: true, Sync: true})
		if errors.Is(err, storage.ErrExists) {
			return nil // repeated by a retry below us, or mended
		}
		return err
	}
	err = put(name)
	if errors.Is(err, storage.ErrFull) {
		if err = x.each(in, func(old string) error { return x.c.r.be.Delete(ctx, copyOf(old)) }); err == nil {
			err = put(name)
		}
	}
	if err != nil {
		return err
	}
	err = put(copyOf(name))
	if errors.Is(err, storage.ErrFull) && last {
		if err = x.each(in, func(old string) error { return deleteTwice(ctx, x.c.r.be, old) }); err == nil {
			err = put(copyOf(name))
		}
	}
	if err != nil {
		return err
	}
	x.done.Written++
	_, err = x.c.r.index.add(name, text)
	return err
}

// each calls fn with the names of fragments.
func (x *compaction) each(in []input, fn func(name string) error) error {
	for _, f := range in {
		if err := fn(f.f.name); err != nil {
			return err
		}
	}
	return nil
}

func (x *compaction) remove(ctx context.Context, name string) error {
	x.done.Removed++
	return deleteTwice(ctx, x.c.r.be, name)
}

// leftovers deletes fragments that others stand for: who compacted them died.
func (x *compaction) leftovers(ctx context.Context) error {
	if err := x.c.r.refreshAll(ctx, "compact the index of"); err != nil {
		return err
	}
	for _, name := range x.c.r.index.replacedThere() {
		if err := x.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
