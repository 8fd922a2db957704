package replication

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// deletingPrefix is where runs say that they are deleting. A run puts its sign, then
// looks whether the replica was promoted; a promotion notes the new role, then looks
// for signs. However the two meet, nothing is deleted from a primary.
const deletingPrefix = Prefix + "deleting/"

// signLife is after how long the sign of a run that died is cleared away by another run.
const signLife = 24 * time.Hour

// sign is one run's.
type sign struct {
	be   storage.Backend
	name string
}

// signText is what a sign says, for people.
type signText struct {
	By   string    `json:"by,omitempty"`
	Time time.Time `json:"time"`
	// Ended: the run is over, and the storage would not delete its sign.
	Ended bool `json:"ended,omitempty"`
}

func beginDeleting(ctx context.Context, be storage.Backend, by string, now time.Time) (*sign, error) {
	if err := clearSigns(ctx, be, now); err != nil {
		return nil, err
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	data, err := sealRecord(signText{By: by, Time: now.UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	s := &sign{be: be, name: deletingPrefix + hex.EncodeToString(id[:])}
	return s, be.Put(ctx, s.name, data, storage.PutOptions{IfAbsent: true, Sync: true})
}

// end takes the sign away, also when the run was interrupted. A storage that retains
// everything gets it written over.
func (s *sign) end(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := s.be.Delete(ctx, s.name)
	if !errors.Is(err, storage.ErrRetained) {
		return err
	}
	data, err := sealRecord(signText{Ended: true})
	if err != nil {
		return err
	}
	return s.be.Put(ctx, s.name, data, storage.PutOptions{Sync: true})
}

// signs returns the signs there are, by name, as far as they can be read.
func signs(ctx context.Context, be storage.Backend) (map[string]signText, error) {
	found := map[string]signText{}
	err := be.List(ctx, deletingPrefix, func(info storage.Info) error {
		found[info.Name] = signText{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name := range found {
		data, err := storage.ReadAll(ctx, be, name, maxRecord, nil)
		if errors.Is(err, storage.ErrNotFound) {
			delete(found, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		var text signText
		if openRecord(data, &text) == nil {
			found[name] = text
		}
		if text.Ended {
			delete(found, name)
		}
	}
	return found, nil
}

// clearSigns takes away those of runs that died long ago.
func clearSigns(ctx context.Context, be storage.Backend, now time.Time) error {
	all, err := signs(ctx, be)
	for name, text := range all {
		if now.Sub(text.Time) > signLife {
			err = errors.Join(err, (&sign{be, name}).end(ctx))
		}
	}
	return err
}

// busy describes who is deleting.
func busy(be storage.Backend, all map[string]signText) error {
	for name, text := range all {
		return fault.New("promote", be.Location(), fmt.Errorf("%w: %s, begun by %q at %s", ErrDeleting, name, text.By, text.Time.Format(time.RFC3339)),
			"wait for that run of replication to end; if it was killed, repeat with --force")
	}
	return nil
}
