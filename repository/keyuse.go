package repository

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/storage"
)

// KeyUse is what lies in the storage sealed with one version of the key.
type KeyUse struct {
	Packs     int
	PackBytes int64
	// Objects other than packs.
	Objects int
}

// KeyUses is what lies in the storage sealed with each version.
type KeyUses struct {
	Versions map[uint32]KeyUse
	// Unknown are objects whose header does not tell: damaged ones.
	Unknown []string
}

// headerRead is as much of an object as tells its key: all sealed objects and
// packs have the version at the same place.
const headerRead = 12

// KeyUses looks at every object, beside those that nothing seals. What is being
// stored meanwhile may be missed.
func (r *Repository) KeyUses(ctx context.Context) (KeyUses, error) {
	if err := r.refreshAll(ctx, "look for uses of the key in"); err != nil {
		return KeyUses{}, err
	}
	u := KeyUses{Versions: map[uint32]KeyUse{}}
	var mu sync.Mutex
	add := func(version uint32, size int64, isPack bool) {
		mu.Lock()
		defer mu.Unlock()
		use := u.Versions[version]
		if isPack {
			use.Packs++
			use.PackBytes += size
		} else {
			use.Objects++
		}
		u.Versions[version] = use
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(checkers)
	err := r.be.List(ctx, "", func(info storage.Info) error {
		if !knownObject(info.Name) || info.Name == configName || info.Name == configCopy || strings.HasPrefix(info.Name, "parity/") || info.Name == reserveName ||
			strings.HasPrefix(info.Name, gonePrefix) {
			return groupCtx.Err()
		}
		id, isPack := parsePackObject(info.Name)
		if isPack {
			if known, ok := r.index.pack(id); ok && int64(known.Size) == info.Size {
				add(known.KeyVersion, info.Size, true)
				return nil
			}
		}
		group.Go(func() error {
			version, err := r.keyVersion(groupCtx, info.Name)
			switch {
			case err == nil:
				add(version, info.Size, isPack)
			case errors.Is(err, storage.ErrNotFound): // deleted since it was listed
			case isDamage(err), errors.Is(err, ErrUnreadable):
				mu.Lock()
				u.Unknown = append(u.Unknown, info.Name)
				mu.Unlock()
			default:
				return err
			}
			return nil
		})
		return groupCtx.Err()
	})
	if waitErr := group.Wait(); waitErr != nil {
		return u, waitErr
	}
	return u, err
}

// keyVersion reads which version an object says it was sealed with.
func (r *Repository) keyVersion(ctx context.Context, name string) (uint32, error) {
	head := make([]byte, headerRead)
	if err := storage.ReadRange(ctx, r.be, name, 0, head); err != nil {
		return 0, readCause(ctx, err)
	}
	if magic := string(head[:4]); magic != "MHVp" && magic != "MHVs" { // a pack, a sealed object
		return 0, ErrDamaged
	}
	return binary.LittleEndian.Uint32(head[8:]), nil
}
