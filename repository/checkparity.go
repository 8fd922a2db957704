package repository

import (
	"context"
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

// parity checks that every pack has its parity object, of the right size, and a
// stripe; Scrub reads them whole. It reads the heads of stripes only. That packs
// lack parity harms nothing yet, and is told once for all of them.
func (c *checker) parity(ctx context.Context) error {
	if c.r.cfg.Parity.None() {
		return nil
	}
	sizes, err := c.r.paritySizes(ctx)
	if err != nil {
		return err
	}
	set, err := c.r.readStripes(ctx)
	if err != nil {
		return err
	}
	stale, err := c.r.staleStripes(ctx, set)
	if err != nil {
		return err
	}
	bare := 0
	for _, p := range c.r.indexedPacks() {
		size, there := sizes[p.ID]
		own := c.r.cfg.Parity.Shards == 0
		if !own && there {
			want := int64(c.r.cfg.Parity.ObjectSize(int64(p.Size)))
			if size != want {
				err := fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, size, want)
				if err := c.report(Problem{Object: parity.Name(p.ID), Kind: ObjectParity, Err: err}); err != nil {
					return err
				}
			}
		}
		if !own && !there || c.r.cfg.Parity.Stripe > 0 && !set.covers(p.ID, stale) {
			bare++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set.bad)) {
		// If no pack lacks a stripe, it is what a loss of power left of one.
		p := Problem{Object: name, Kind: ObjectParity, Err: damage(set.bad[name]), Harmless: bare == 0}
		if err := c.report(p); err != nil {
			return err
		}
	}
	if bare == 0 {
		return nil
	}
	return c.report(Problem{
		Object: parity.Prefix, Kind: ObjectParity, Harmless: true,
		Err: fmt.Errorf("%d packs lack parity or a stripe: `mahavishnu verify --repair` makes it", bare),
	})
}

// paritySizes lists the parity objects of packs.
func (r *Repository) paritySizes(ctx context.Context) (map[PackID]int64, error) {
	sizes := map[PackID]int64{}
	err := r.be.List(ctx, parity.Prefix, func(o storage.Info) error {
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
