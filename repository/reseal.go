package repository

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// resealed are the places of small objects that stay. Sessions and the like come
// and go; packs and index fragments are written anew by Repack and Compact.
var resealed = []string{snapshotPrefix, pinPrefix, holdPrefix, ledgerPrefix, forgottenPrefix, condemn.Prefix}

// Reseal seals the small objects again that an older key has sealed, with both
// copies, and returns how many. progress hears of each.
//
// An object that is replaced while somebody deletes it would come back. Of
// snapshots that must not be: their names are claimed first, so that forgetting
// leaves its mark. The others come back as they were and harm nothing.
func (c *Collector) Reseal(ctx context.Context, progress func(n int)) (int, error) {
	n := 0
	for _, prefix := range resealed {
		names, err := c.old(ctx, prefix)
		if err != nil {
			return n, err
		}
		if len(names) == 0 {
			continue
		}
		release := func(context.Context) error { return nil }
		if prefix == snapshotPrefix {
			claim, err := lease.NewStore(c.r.be, c.r.keys).Claim(ctx, names)
			if err != nil {
				return n, err
			}
			release = claim.Release
		}
		for _, name := range names {
			if err := c.lease.Check(ctx); err != nil {
				return n, err
			}
			done, err := c.resealOne(ctx, name)
			if err != nil {
				return n, err // the claim stays: who knows what the storage does yet
			}
			if done {
				n++
				if progress != nil {
					progress(n)
				}
			}
		}
		if err := release(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}

// old returns the objects below a prefix of which a copy is sealed with an older
// key.
func (c *Collector) old(ctx context.Context, prefix string) ([]string, error) {
	var all, old []string
	err := listTwice(ctx, c.r.be, prefix, func(name string, _, _ bool) {
		if knownObject(name) && !strings.HasSuffix(name, ".wait") {
			all = append(all, name)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(all)
	for _, name := range all {
		for _, object := range []string{name, copyOf(name)} {
			version, err := c.r.keyVersion(ctx, object)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err == nil && version != c.r.keys.Current() {
				old = append(old, name)
				break
			}
		}
	}
	return old, nil
}

// resealOne seals one object again. One that is gone is left gone, a damaged one
// as it is.
func (c *Collector) resealOne(ctx context.Context, name string) (bool, error) {
	if strings.HasPrefix(name, snapshotPrefix) {
		if marked, _, err := c.r.marked(ctx, name); err != nil || marked {
			return false, err
		}
	}
	var typ seal.Type
	var text []byte
	_, err := readTwice(ctx, c.r.be, name, maxSnapshotSize, func(data []byte) error {
		if len(data) < seal.HeaderSize {
			return seal.ErrNotSealed
		}
		typ = seal.Type(data[6])
		var err error
		text, err = c.r.keys.Open(typ, name, data)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fault.New("seal again", name, err, "run `mahavishnu verify --repair`")
	}
	sealed, err := c.r.keys.Seal(typ, name, text)
	if err != nil {
		return false, err
	}
	objects := []string{name, copyOf(name)}
	if strings.HasPrefix(name, forgottenPrefix) {
		objects = objects[:1]
	}
	for _, object := range objects {
		if err := c.r.be.Put(ctx, object, sealed, storage.PutOptions{Sync: true}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameKey tells whether two whole sealed objects name the same version of the
// key. The two copies of one may differ while it is sealed again.
func sameKey(a, b []byte) bool { return bytes.Equal(a[8:headerRead], b[8:headerRead]) }
