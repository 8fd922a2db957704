package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// checkers is how many packs have their tables read at once.
const checkers = 8

// packs compares the packs that are there with the index.
func (c *checker) packs(ctx context.Context) error {
	err := c.r.Packs(ctx, func(p PackInfo) error {
		c.learned.Packs = append(c.learned.Packs, p)
		if !p.Indexed {
			c.learned.Unindexed++
		}
		return nil
	})
	if err := c.listed(err); err != nil {
		return err
	}
	c.learned.PacksUnlisted = err != nil
	slices.SortFunc(c.learned.Packs, func(a, b PackInfo) int { return a.ID.Compare(b.ID) })
	if err := c.missingPacks(ctx); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(checkers)
	for _, p := range c.learned.Packs {
		group.Go(func() error { return c.pack(groupCtx, packObject{p.ID, p.Size}) })
	}
	return group.Wait()
}

// missingPacks names the packs that the index knows and that are not there,
// reading each fragment that has some once.
func (c *checker) missingPacks(ctx context.Context) error {
	if c.learned.PacksUnlisted {
		return nil // who needs one finds out
	}
	told, looked := map[PackID]bool{}, false
	for _, f := range c.r.index.fragments() {
		missing := map[uint32]*Problem{}
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			_, there := slices.BinarySearchFunc(c.learned.Packs, p.ID, func(o PackInfo, id PackID) int { return o.ID.Compare(id) })
			if there || told[p.ID] {
				continue
			}
			gone, err := c.r.collected(ctx, p.ID, !looked)
			if err != nil {
				return err
			}
			if looked = true; gone {
				continue
			}
			told[p.ID] = true
			missing[n] = &Problem{Object: p.ID.Object(), Kind: ObjectPack, Err: ErrMissing}
		}
		if len(missing) == 0 {
			continue
		}
		for n, p := range missing {
			known, _ := f.Pack(n)
			p.Mendable = c.r.mendable(ctx, known.ID)
		}
		for i := range f.Len() {
			if p := missing[f.Entry(i).Pack]; p != nil && !p.Mendable {
				p.Blobs = append(p.Blobs, f.Entry(i).ID)
			}
		}
		for _, p := range missing {
			if err := c.report(*p); err != nil {
				return err
			}
		}
	}
	return nil
}

// pack compares one pack's size and table of blobs with the index.
func (c *checker) pack(ctx context.Context, o packObject) error {
	known, indexed := c.r.index.pack(o.id)
	if c.r.InCold(o.id) {
		if o.size == int64(known.Size) {
			return nil
		}
		err := fmt.Errorf("%w: %d bytes, the index says %d", ErrDamaged, o.size, known.Size)
		return c.report(Problem{Object: o.id.Object(), Kind: ObjectPack, Err: err, Blobs: c.r.blobsIn(o.id)})
	}
	t, entries, err := c.r.readFooter(ctx, o.id, o.size)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, storage.ErrArchived): // and no index knows it
		return nil
	case errors.Is(err, ErrUnreachable), errors.Is(err, keyring.ErrNoVersion):
		return err
	case errors.Is(err, storage.ErrNotFound) && !indexed:
		return nil // collected since it was listed
	case err == nil && indexed:
		err = sameTable(known, indexPack(t.Header, o.size, len(entries)))
	}
	if err == nil {
		return nil
	}
	p := Problem{Object: o.id.Object(), Kind: ObjectPack, Err: damage(err), Harmless: !indexed && !c.lost}
	if errors.Is(err, storage.ErrNotFound) { // since it was listed
		if gone, err := c.r.collected(ctx, o.id, true); gone || err != nil {
			return err
		}
		p.Err = ErrMissing
		if p.Mendable = c.r.mendable(ctx, o.id); !p.Mendable {
			p.Blobs = c.r.blobsIn(o.id)
		}
		return c.report(p)
	}
	if p.Mendable = c.r.mendable(ctx, o.id); indexed && !p.Mendable {
		p.Blobs = c.r.salvage(ctx, o.id, known)
		c.r.distrustStored(o.id, p.Blobs)
	}
	return c.report(p)
}

// collected tells whether a pack that is not there was collected: then the index does
// not name it any more when it is read again, since that goes first. Without look it was
// read again since.
func (r *Repository) collected(ctx context.Context, id PackID, look bool) (bool, error) {
	if look {
		if err := r.index.refresh(ctx); err != nil {
			return false, err
		}
	}
	_, known := r.index.pack(id)
	return !known, nil
}

func sameTable(want, got index.Pack) error {
	if !want.Same(got) {
		return fmt.Errorf("%w: %d bytes with %d blobs, the index says %d bytes with %d blobs",
			ErrDamaged, got.Size, got.Blobs, want.Size, want.Blobs)
	}
	return nil
}
