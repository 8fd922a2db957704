package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// forgottenPrefix is where the marks of forgotten snapshots are, each under its
// snapshot's name. A snapshot with a mark is none, whoever puts it again.
const forgottenPrefix = "gc/forgotten/"

// What a mark says: whether it stays for ever.
const (
	markPending = "pending"
	markStays   = "stays"
)

// ErrForgotten means that a snapshot was forgotten while somebody might still
// put it, so that its name stays taken. A job whose snapshot it was cannot commit
// another.
var ErrForgotten = fmt.Errorf("the snapshot was forgotten: %w", storage.ErrNotFound)

// DeleteSnapshot removes a snapshot. Its blobs stay until they are collected.
// When it fails half-way the snapshot is there still, or gone.
//
// A program that stalled in the middle of its commit may go on much later and
// put the snapshot again, whose data may be gone by then. It has a claim on the
// name. So a mark comes first, with which the snapshot is forgotten, and goes
// last, if nobody has a claim. Claims come before their holders look for marks:
// either we see the claim, or they see the mark or what came of it.
func (r *Repository) DeleteSnapshot(ctx context.Context, snap Snapshot) error {
	if err := r.mayChange(ctx, "forget snapshot"); err != nil {
		return err
	}
	errs := make([]error, 1)
	r.deleteSnapshots(ctx, []string{snapshotObject(snap.Source, snap.Time, snap.ID)}, errs)
	return errs[0]
}

// settleMark removes what has a mark, and decides what becomes of the mark: it stays
// when the name is claimed.
func (r *Repository) settleMark(ctx context.Context, name string, claimed bool) error {
	if claimed {
		if err := r.putMark(ctx, name, markStays); err != nil {
			return err
		}
	}
	err := deleteTwice(ctx, r.be, name)
	if errors.Is(err, storage.ErrRetained) {
		return nil // the mark hides it until a collector comes after its retention
	}
	if err != nil || claimed {
		return err
	}
	return r.be.Delete(ctx, forgottenPrefix+name)
}

func (r *Repository) putMark(ctx context.Context, name, text string) error {
	object := forgottenPrefix + name
	data, err := r.keys.Seal(seal.TypeGC, object, []byte(text))
	if err != nil {
		return fault.New("forget", name, err, "")
	}
	return r.be.Put(ctx, object, data, storage.PutOptions{Sync: true})
}

// eachMark calls fn with the name of every snapshot that has a mark.
func (r *Repository) eachMark(ctx context.Context, fn func(name string)) error {
	return listBelow(ctx, r.be, forgottenPrefix, func(info storage.Info) error {
		fn(strings.TrimPrefix(info.Name, forgottenPrefix))
		return nil
	})
}

// marked tells whether a snapshot has a mark, and whether that is known to stay.
// A damaged mark is one that stays.
func (r *Repository) marked(ctx context.Context, name string) (marked, stays bool, err error) {
	object := forgottenPrefix + name
	data, err := storage.ReadAll(ctx, r.be, object, maxSnapshotSize, nil)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return false, false, nil
	case isDamage(err):
		return true, true, nil
	case err != nil:
		return false, false, err
	}
	text, err := r.keys.Open(seal.TypeGC, object, data)
	return true, err != nil || string(text) != markPending, nil //nolint:nilerr // see above
}

// settler is what settling sessions must know of snapshots.
type settler struct{ r *Repository }

// Presence implements lease.Snapshots.
func (s settler) Presence(ctx context.Context, name string) (lease.Presence, error) {
	switch marked, stays, err := s.r.marked(ctx, name); {
	case err != nil:
		return lease.Absent, err
	case stays:
		return lease.Forgotten, nil
	case marked:
		return lease.Present, nil // it is not known yet whether the mark stays
	}
	for _, object := range []string{name, copyOf(name)} {
		_, err := s.r.be.Stat(ctx, object)
		switch {
		case err == nil:
			return lease.Present, nil
		case !errors.Is(err, storage.ErrNotFound):
			return lease.Absent, err
		}
	}
	return lease.Absent, nil
}

// Publish implements lease.Snapshots.
func (s settler) Publish(ctx context.Context, name string, sealed []byte) error {
	err := putTwice(ctx, s.r.be, name, sealed)
	if errors.Is(err, storage.ErrExists) {
		return nil // the writer, or another attempt of its job
	}
	return err
}
