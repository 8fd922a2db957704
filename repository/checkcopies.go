package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Mend stores the second copies of snapshots and index fragments that sessions
// which died did not come to store. It only adds objects. What cannot be read is
// left to CheckObjects. Every session begins with it.
func (r *Repository) Mend(ctx context.Context) error {
	refs, _, err := r.listSnapshots(ctx, "")
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.copied {
			continue
		}
		if err := r.mend(ctx, ref.object); err != nil {
			return err
		}
	}
	var bare []string
	err = listTwice(ctx, r.be, indexPrefix, func(name string, _, copied bool) {
		if !copied {
			bare = append(bare, name)
		}
	})
	if err != nil {
		return err
	}
	for _, name := range bare {
		data, err := storage.ReadAll(ctx, r.be, name, index.MaxSize, nil)
		if err == nil {
			err = seal.Scrub(data)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue // gone meanwhile, or in need of more than a copy: who reads it is told
		}
		if err := r.putCopy(ctx, name, data); err != nil {
			return err
		}
	}
	return nil
}

// twice checks both objects of something small. open is given the bytes of each,
// which it may change. It reports whether either is whole. A copy that is missing
// is stored.
func (c *checker) twice(ctx context.Context, name, kind string, limit int64, harmless bool, open func(data []byte) error) (whole bool, err error) {
	trouble := func(object string, err error) error {
		if errors.Is(err, keyring.ErrNoVersion) {
			return fault.New("check", object, err, "")
		}
		if c.behind(object, err) {
			return nil
		}
		return c.report(Problem{Object: object, Kind: kind, Err: damage(gone(err)), Harmless: harmless})
	}
	read := func(object string) ([]byte, error) {
		data, err := storage.ReadAll(ctx, c.r.be, object, limit, nil)
		if err != nil {
			return nil, readCause(ctx, err)
		}
		return data, open(slices.Clone(data))
	}
	first, firstErr := read(name)
	second, secondErr := read(copyOf(name))
	missing := errors.Is(secondErr, storage.ErrNotFound)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(firstErr, storage.ErrNotFound) && missing:
		return true, nil // deleted since it was listed
	case firstErr == nil && missing:
		return true, c.mend(ctx, name, kind, first)
	case firstErr == nil && secondErr == nil && !bytes.Equal(first, second) && sameKey(first, second):
		secondErr = fmt.Errorf("%w: it differs from %s", ErrDamaged, name)
	}
	whole = firstErr == nil || secondErr == nil
	if firstErr != nil {
		err := damage(gone(firstErr))
		if secondErr == nil {
			err = fmt.Errorf("%w; %w", err, ErrServed)
		}
		if err := trouble(name, err); err != nil {
			return whole, err
		}
	}
	if secondErr != nil {
		return whole, trouble(copyOf(name), secondErr)
	}
	return whole, nil
}

// doubled checks both objects of everything small below a prefix, by whether it
// opens under its name.
func (c *checker) doubled(ctx context.Context, prefix, kind string, harmless bool) error {
	var names []string
	err := listTwice(ctx, c.r.be, prefix, func(name string, _, _ bool) {
		if got, ok := kindOf(name); ok && got == kind {
			names = append(names, name)
		}
	})
	if err := c.listed(err); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		_, err := c.twice(ctx, name, kind, maxSmallSize, harmless, func(data []byte) error {
			_, err := c.r.keys.Open(seal.TypeOf(data), name, data)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// condemned checks the lists of packs that are to be deleted. A collector deletes
// nothing while one of them cannot be read.
func (c *checker) condemned(ctx context.Context) error {
	return c.doubled(ctx, condemn.Prefix, ObjectCondemned, false)
}

// index checks every fragment.
func (c *checker) index(ctx context.Context) error {
	var names []string
	err := listTwice(ctx, c.r.be, indexPrefix, func(name string, _, _ bool) {
		if isIndexObject(name) {
			names = append(names, name)
		}
	})
	if err := c.listed(err); err != nil {
		return err
	}
	c.lost = c.hides(indexPrefix)
	slices.Sort(names)
	for _, name := range names {
		c.fragments[name] = true
		if _, err := c.fragment(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// fragment checks both objects of one, and tells whether either is there.
func (c *checker) fragment(ctx context.Context, name string) (there bool, err error) {
	whole, err := c.twice(ctx, name, ObjectIndex, index.MaxSize, false, func(data []byte) error {
		there = true
		text, err := c.r.keys.Open(seal.TypeIndex, name, data)
		if err == nil {
			_, err = index.Decode(text)
		}
		return err
	})
	c.lost = c.lost || err == nil && !whole
	return there, err
}
