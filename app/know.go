package app

import (
	"context"
	"errors"
	"path"

	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
)

// knower knows, by the key, what is in a primary and in its copy.
type knower struct {
	ring      *keyring.Ring
	primary   *repository.Repository
	to        storage.Backend
	snapshots map[string]repository.Snapshot // by id
	copy      *repository.Repository         // opened when it is first asked for
}

// know opens both ends of a copy with the key, where this node has it.
func (r Replicas) know(from, to storage.Backend) func(context.Context) (replication.Knower, error) {
	return func(ctx context.Context) (replication.Knower, error) {
		ring, err := keyring.Load(r.Access.KeyPath)
		if err != nil {
			return nil, err
		}
		primary, err := repository.Open(ctx, protect(from, storage.ErrReadOnly), ring, repository.OpenOptions{CacheDir: r.Access.CacheDir})
		if err != nil {
			return nil, err
		}
		return &knower{ring: ring, primary: primary, to: protect(to, storage.ErrReadOnly)}, nil
	}
}

// Packs implements replication.Knower.
func (k *knower) Packs(ctx context.Context) (map[string][]string, error) {
	all, _, err := k.primary.Snapshots(ctx, "") // damaged ones are told by others
	if err != nil {
		return nil, err
	}
	k.snapshots = make(map[string]repository.Snapshot, len(all))
	for _, s := range all {
		k.snapshots[s.ID] = s
	}
	return k.primary.IndexPacks(), nil
}

// Whole implements replication.Knower. What this machine keeps of the primary's index is
// left aside: the copy has to do with its own.
func (k *knower) Whole(ctx context.Context, object string) (whole bool, err error) {
	id := path.Base(object)
	s, known := k.snapshots[id[max(0, len(id)-idDigits):]]
	if !known {
		return false, nil
	}
	if k.copy == nil {
		if k.copy, err = repository.Open(ctx, k.to, k.ring, repository.OpenOptions{}); err != nil {
			return false, err
		}
	}
	if !k.copy.HasIndexOf(s) {
		return false, nil
	}
	err = snapshot.Whole(ctx, k.copy, s)
	if errors.Is(err, repository.ErrDamaged) {
		return false, nil // something has not arrived
	}
	return err == nil, err
}

// idDigits is how long a snapshot's id is, with which its object's name ends.
const idDigits = 16

// Close implements replication.Knower.
func (k *knower) Close() error {
	err := k.primary.Close()
	if k.copy != nil {
		err = errors.Join(err, k.copy.Close())
	}
	return err
}
