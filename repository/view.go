package repository

import (
	"context"
	"slices"
	"sync/atomic"

	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
)

// view is what a session may reuse: the index fragments it started with and
// those it wrote, and for each which of its packs are there. It is immutable.
type view struct {
	parts  []viewPart
	doubts *doubts // blobs that are stored again although they are there
}

type viewPart struct {
	f *fragment
	// usable has a bit for each pack of the fragment; nil means all, in one that
	// the session wrote.
	usable []uint64
	used   *atomic.Bool // the session relies on a blob of it
}

func (p viewPart) uses(n uint32) bool {
	return p.usable == nil || p.usable[n/64]>>(n%64)&1 == 1
}

// has tells whether a blob is stored in a pack that is there.
func (v *view) has(id ID) bool {
	for _, p := range v.parts {
		if e, ok := p.f.Lookup(id); ok && p.uses(e.Pack) && !v.doubted(p.f, e) {
			if !p.used.Load() {
				p.used.Store(true)
			}
			return true
		}
	}
	return false
}

// doubted tells whether a verification found that a blob cannot be had from
// its pack.
func (v *view) doubted(f *fragment, e index.Entry) bool {
	if v.doubts == nil {
		return false
	}
	p, _ := f.Pack(e.Pack)
	return v.doubts.of(p.ID, e.ID).Why != 0
}

// with returns a view with one fragment more, all packs of which are there. It
// comes first: what was just stored is often met again.
func (v *view) with(f *fragment) *view {
	part := viewPart{f: f, used: new(atomic.Bool)}
	part.used.Store(true)
	parts := make([]viewPart, 0, len(v.parts)+1)
	return &view{parts: append(append(parts, part), v.parts...), doubts: v.doubts}
}

// names returns the index objects that the session relies on, and those of them
// that it wrote.
func (v *view) names() (used, own []string) {
	for _, p := range v.parts {
		if p.used.Load() && p.f.name != "" {
			used = append(used, p.f.name)
			if p.usable == nil {
				own = append(own, p.f.name)
			}
		}
	}
	slices.Sort(used)
	slices.Sort(own)
	return used, own
}

// packObject is a pack as listed.
type packObject struct {
	id   PackID
	size int64
}

// look lists the packs in the storage and then reads the index, in this order. It
// returns what a session with the pack flags may reuse, and the packs that no
// index knows. What is condemned it may neither reuse nor adopt.
func (r *Repository) look(ctx context.Context, flags uint8, condemned *condemn.Lists) (*view, []packObject, error) {
	var packs []packObject
	err := r.eachPackObject(ctx, func(id PackID, size int64) error {
		packs = append(packs, packObject{id, size})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(packs, func(a, b packObject) int { return a.id.Compare(b.id) })
	if err := r.refreshAll(ctx, "start session"); err != nil {
		return nil, nil, err
	}
	v, orphans := r.match(packs, flags, condemned)
	if len(orphans) == 0 {
		return v, nil, nil
	}
	// A listing may miss a fragment that was put and the one it replaced: before
	// packs are read whole, look again.
	if err := r.refreshAll(ctx, "start session"); err != nil {
		return nil, nil, err
	}
	v, orphans = r.match(packs, flags, condemned)
	return v, orphans, nil
}

// match compares packs, sorted by id, with the index.
func (r *Repository) match(packs []packObject, flags uint8, condemned *condemn.Lists) (*view, []packObject) {
	known := make([]bool, len(packs))
	v := &view{doubts: r.doubts.Load()}
	for _, f := range r.index.fragments() {
		part := viewPart{f: f, usable: make([]uint64, (f.Packs()+63)/64), used: new(atomic.Bool)}
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			i, ok := slices.BinarySearchFunc(packs, p.ID, func(o packObject, id PackID) int { return o.id.Compare(id) })
			if !ok {
				continue // gone: its blobs are stored again
			}
			known[i] = true
			// Archival packs live by other rules than the rest.
			if packs[i].size == int64(p.Size) && (p.Flags^flags)&pack.FlagArchival == 0 && !condemned.Has(p.ID) {
				part.usable[n/64] |= 1 << (n % 64)
			}
		}
		v.parts = append(v.parts, part)
	}
	var orphans []packObject
	for i, o := range packs {
		if !known[i] && !condemned.Has(o.id) {
			orphans = append(orphans, o)
		}
	}
	return v, orphans
}
