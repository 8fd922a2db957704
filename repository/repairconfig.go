package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// RecoverOptions say where a lost configuration is looked for, and which one it must be.
type RecoverOptions struct {
	// Replicas are asked in this order.
	Replicas []Replica
	// ID is the repository's, where it is known; "" takes any that opens what is there.
	ID string
	// Retention keeps what is put back from being deleted.
	Retention Retention
}

// Recovered is a configuration that was put back.
type Recovered struct {
	// ID is the repository's. From names the replica; it is empty when nothing was lost.
	ID   string
	From string
}

// RecoverConfig puts back the configuration of a repository that has lost both objects of
// it, as the first replica has it that is of this very repository: by the key ring, by
// its id, and by objects that are left and open with what follows from both. A place
// that holds nothing of a repository gets none: its disk is more likely not mounted.
// That, and a lack of replicas, is no error here; opening tells.
func RecoverConfig(ctx context.Context, be storage.Backend, ring *keyring.Ring, o RecoverOptions) (Recovered, error) {
	const op = "bring back the configuration of"
	cfg, lost := readConfig(ctx, be)
	switch {
	case lost == nil:
		return Recovered{ID: cfg.ID}, nil
	case ctx.Err() != nil:
		return Recovered{}, context.Cause(ctx)
	case errors.Is(lost, ErrUnknownFeature) || !errors.Is(lost, ErrNotRepository) && !isDamage(lost):
		return Recovered{}, lost
	}
	left, err := remains(ctx, be)
	if err != nil {
		return Recovered{}, err
	}
	if len(left) == 0 || len(o.Replicas) == 0 {
		return Recovered{}, nil
	}
	failures := []error{lost}
	for _, replica := range o.Replicas {
		data, cfg, err := wholeConfig(ctx, replica.Backend)
		if err == nil {
			err = o.fits(ctx, be, ring, cfg, left)
		}
		if ctx.Err() != nil {
			return Recovered{}, context.Cause(ctx)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("replica %s: %w", replica.Name, err))
			continue
		}
		kept := withRetention(be, o.Retention)
		for _, name := range []string{configCopy, configName} {
			if err := kept.Put(ctx, name, data, storage.PutOptions{Sync: true}); err != nil {
				return Recovered{}, fault.New(op, be.Location(), err, "")
			}
			if _, err := readOneConfig(ctx, be, name); err != nil {
				return Recovered{}, fault.New(op, be.Location(), err, "the storage or this machine is failing: use another one")
			}
		}
		return Recovered{ID: cfg.ID, From: replica.Name}, nil
	}
	return Recovered{}, fault.New(op, be.Location(), errors.Join(failures...), "copy config and config.copy by hand from another copy of this repository")
}

// remains returns small objects of a repository that are left in a place, some of each
// kind, or any pack.
func remains(ctx context.Context, be storage.Backend) ([]string, error) {
	const enough = 8
	var left []string
	for _, prefix := range []string{snapshotPrefix, indexPrefix, packPrefix} {
		found := 0
		err := be.List(ctx, prefix, func(info storage.Info) error {
			if found++; found > enough || prefix == packPrefix && found > 1 {
				return errEnough
			}
			left = append(left, info.Name)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
	}
	return left, nil
}

// errEnough ends a listing.
var errEnough = errors.New("enough")

// wholeConfig returns the bytes of a configuration, from whichever copy is whole.
func wholeConfig(ctx context.Context, be storage.Backend) (data []byte, cfg Config, err error) {
	for _, name := range []string{configName, configCopy} {
		if data, err = storage.ReadAll(ctx, be, name, maxConfigSize, nil); err != nil {
			continue
		}
		if cfg, err = decodeConfig(data); err == nil {
			return data, cfg, nil
		}
	}
	return nil, cfg, err
}

// fits tells whether a configuration is that of what is left.
func (o RecoverOptions) fits(ctx context.Context, be storage.Backend, ring *keyring.Ring, cfg Config, left []string) error {
	if o.ID != "" && cfg.ID != o.ID {
		return fmt.Errorf("it is of another repository: %s, and this was %s", cfg.ID, o.ID)
	}
	keys := seal.NewKeys(ring, cfg.rawID())
	if err := checkKey(cfg, keys); err != nil {
		return err
	}
	opened, sealed := false, false
	for _, name := range left {
		if strings.HasPrefix(name, packPrefix) {
			continue
		}
		data, err := storage.ReadAll(ctx, be, name, maxSmallSize, nil)
		if err != nil || ScrubBytes(name, data) != nil {
			continue // damaged as well; another one tells
		}
		sealed = true
		_, err = keys.Open(seal.TypeOf(data), name, slices.Clone(data))
		opened = opened || err == nil
	}
	switch {
	case opened, !sealed && o.ID != "":
		return nil
	case sealed:
		return errors.New("it does not open what is left here, which is of another repository")
	}
	return errors.New("nothing is left here by which to tell whether it is of this repository")
}
