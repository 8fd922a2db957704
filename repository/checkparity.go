package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/index"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// parityOf returns the pack whose parity object has the name.
func parityOf(object string) (PackID, bool) {
	parts := strings.Split(object, "/")
	id, err := blob.ParsePackID(parts[len(parts)-1])
	return id, err == nil && parity.Name(id) == object
}

// stripeOf returns the stripe that has the name.
func stripeOf(object string) (parity.StripeID, bool) {
	rest, ok := strings.CutPrefix(object, parity.StripePrefix)
	id, err := parity.ParseStripeID(rest)
	return id, ok && err == nil
}

func isParityObject(object string) bool {
	_, ofPack := parityOf(object)
	_, stripe := stripeOf(object)
	return ofPack || stripe
}

// scrubParity checks a parity object or a stripe by its stored checksum.
func scrubParity(ctx context.Context, be storage.Backend, object string) error {
	info, err := be.Stat(ctx, object)
	if err != nil {
		return err
	}
	if info.Size > maxParitySize {
		return fmt.Errorf("%w: of %d bytes", parity.ErrDamaged, info.Size)
	}
	data, err := newBuffer(int(max(info.Size, 1)))
	if err != nil {
		return err
	}
	data = data[:info.Size]
	if err = storage.ReadRange(ctx, be, object, 0, data); err == nil {
		err = checkParity(object, data)
	}
	if freeErr := freeBuffer(data[:cap(data)]); err == nil {
		err = freeErr
	}
	return err
}

// checkParity compares the bytes of a parity object or a stripe with their
// checksum and with its name.
func checkParity(object string, data []byte) error {
	if err := parity.Scrub(data); err != nil {
		return err
	}
	if id, ok := parityOf(object); ok {
		_, err := parity.Parse(id, data)
		return err
	}
	id, _ := stripeOf(object)
	_, _, err := parity.ParseHead(id, data)
	return err
}

// namedBare is up to how many objects are named that are missing.
const namedBare = 20

// parity checks that every pack has its parity object and a stripe, of the right
// size and in the right place; CheckParity reads them whole. It reads the heads of
// stripes only. That packs lack parity harms nothing yet.
func (c *checker) parity(ctx context.Context) error {
	if c.r.cfg.Parity.None() {
		return nil
	}
	sizes, err := c.r.paritySizes(ctx)
	if err != nil {
		return c.listed(err)
	}
	set, err := c.r.readStripes(ctx)
	if err != nil {
		return err
	}
	useless, err := c.r.staleStripes(ctx, set)
	if err != nil {
		return c.listed(err)
	}
	for _, s := range set.all {
		if s.size != int64(s.head.Size()) {
			useless[s.object] = fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, s.size, s.head.Size())
		}
	}
	var bare []PackID // in no stripe
	lacking := 0      // without a parity object of their own
	for _, p := range c.r.indexedPacks() {
		if err := c.parityOf(p, sizes, &lacking); err != nil {
			return err
		}
		if c.r.cfg.Parity.Stripe > 0 && !set.covers(p.ID, useless) {
			bare = append(bare, p.ID)
		}
	}
	if lacking > namedBare {
		if err := c.lack(parity.Prefix, fmt.Errorf("%w: %d packs have no parity", ErrMissing, lacking)); err != nil {
			return err
		}
	}
	return c.stripes(ctx, set, bare)
}

// parityOf checks a pack's own parity object.
func (c *checker) parityOf(p index.Pack, sizes map[PackID]int64, lacking *int) error {
	if c.r.cfg.Parity.Shards == 0 {
		return nil
	}
	name := parity.Name(p.ID)
	size, there := sizes[p.ID]
	want := int64(c.r.cfg.Parity.ObjectSize(int64(p.Size)))
	switch {
	case !there:
		if *lacking++; *lacking <= namedBare {
			return c.lack(name, ErrMissing)
		}
	case size != want:
		err := fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, size, want)
		return c.report(Problem{Object: name, Kind: ObjectParity, Err: err})
	}
	return nil
}

// lack reports parity that is missing.
func (c *checker) lack(object string, err error) error {
	return c.report(Problem{
		Object: object, Kind: ObjectParity, Harmless: true,
		Err: fmt.Errorf("%w; `mahavishnu verify --repair` makes it", err),
	})
}

// stripes names stripes that are not right, and what packs in no stripe lack.
func (c *checker) stripes(ctx context.Context, set *stripeSet, bare []PackID) error {
	lacks := map[PackID]bool{}
	for _, id := range bare {
		lacks[id] = true
	}
	// What a loss of power left of stripes harms nothing: the packs are in others,
	// or are garbage themselves.
	told := map[string]bool{}
	for _, s := range set.all {
		own := s.head.ID.Object()
		p := Problem{Object: own, Kind: ObjectParity}
		switch {
		case s.misnamed():
			p.Err = fmt.Errorf("%w: it lies at %s", ErrDamaged, s.object)
		case s.size != int64(s.head.Size()):
			p.Err = fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, s.size, s.head.Size())
			p.Harmless = !slices.ContainsFunc(s.head.Members, func(m parity.Member) bool { return lacks[m.ID] })
		default:
			continue
		}
		told[own] = true
		if err := c.report(p); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set.bad)) {
		told[name] = true
		if err := c.report(Problem{Object: name, Kind: ObjectParity, Err: damage(set.bad[name]), Harmless: len(bare) == 0}); err != nil {
			return err
		}
	}
	if len(bare) == 0 {
		return nil
	}
	if len(bare) <= namedBare*c.r.cfg.Parity.Stripe {
		// The same packs make the same stripe: if one is missing, this is its name.
		for group := range slices.Chunk(bare, c.r.cfg.Parity.Stripe) {
			if id, ok := c.r.stripeFor(ctx, group); ok && !told[id.Object()] {
				if err := c.lack(id.Object(), fmt.Errorf("%w: %d packs are in no stripe", ErrMissing, len(group))); err != nil {
					return err
				}
			}
		}
		return context.Cause(ctx)
	}
	return c.lack(parity.StripePrefix, fmt.Errorf("%w: %d packs are in no stripe", ErrMissing, len(bare)))
}

// stripeFor returns the id that a stripe of packs has.
func (r *Repository) stripeFor(ctx context.Context, packs []PackID) (parity.StripeID, bool) {
	members := make([]parity.Member, len(packs))
	for i, id := range packs {
		p, _ := r.index.pack(id)
		var end [8]byte
		if err := storage.ReadRange(ctx, r.be, id.Object(), int64(p.Size)-int64(len(end)), end[:]); err != nil {
			return parity.StripeID{}, false
		}
		members[i] = parity.Member{ID: id, Size: p.Size, Sum: parity.Sum(end[:])}
	}
	return parity.IDOf(members), true
}

// CheckParity reads the parity of packs whole: their own, and the stripes whose
// first pack is among them, so that checking all packs checks all stripes. fn is
// called for each object that is damaged, one at a time; what is missing is told by
// CheckObjects. The error is about the check itself: ErrUnlisted when the stripes
// cannot be listed, and the rest was checked.
func (r *Repository) CheckParity(ctx context.Context, packs []PackID, fn func(Problem)) error {
	if r.cfg.Parity.None() || len(packs) == 0 {
		return nil
	}
	set, unseen := r.readStripes(ctx)
	switch {
	case errors.Is(unseen, ErrUnlisted):
		set = &stripeSet{}
	case unseen != nil:
		return unseen
	}
	among := make(map[PackID]bool, len(packs))
	var names []string
	for _, id := range packs {
		among[id] = true
		names = append(names, parity.Name(id))
	}
	for _, s := range set.all {
		if among[s.head.Members[0].ID] && !s.misnamed() {
			names = append(names, s.object)
		}
	}
	for _, name := range names {
		err := scrubParity(ctx, r.be, name)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil, errors.Is(err, storage.ErrNotFound):
		case unseen != nil && errors.Is(readCause(ctx, err), ErrUnreadable): // mostly for the same reason
		default:
			fn(Problem{Object: name, Kind: ObjectParity, Err: readCause(ctx, err), Harmless: r.ofNothing(name)})
		}
	}
	return unseen
}

// ofNothing tells whether a parity object is of a pack that no index names: both may be
// torn by a loss of power, and go with the next prune.
func (r *Repository) ofNothing(object string) bool {
	id, own := parityOf(object)
	if !own || r.index.damaged() > 0 {
		return false
	}
	_, indexed := r.index.pack(id)
	return !indexed
}

// paritySizes lists the parity objects of packs.
func (r *Repository) paritySizes(ctx context.Context) (map[PackID]int64, error) {
	sizes := map[PackID]int64{}
	err := listBelow(ctx, r.be, parity.Prefix, func(o storage.Info) error {
		if id, ok := parityOf(o.Name); ok {
			sizes[id] = o.Size
		}
		return nil
	})
	return sizes, err
}

// indexedPacks returns the packs that the index knows, each once, in the order of
// their ids.
func (r *Repository) indexedPacks() []index.Pack {
	packs := map[PackID]index.Pack{}
	for _, f := range r.index.fragments() {
		for n := range uint32(f.Packs()) {
			if p, ok := f.Pack(n); ok {
				packs[p.ID] = p
			}
		}
	}
	return slices.SortedFunc(maps.Values(packs), func(a, b index.Pack) int { return a.ID.Compare(b.ID) })
}
