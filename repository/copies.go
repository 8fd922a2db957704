package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// copyPrefix holds the second copy of each small object (snapshots, index
// fragments, condemned lists, the ledger) under the same name and with the same
// bytes. The object's own name is what they are sealed under, so a copy opens as
// nothing else.
//
// The order of changes tells a lost object from a deleted one: the copy is put
// after its object and deleted before it. A copy alone means that the
// object was lost, an object alone that somebody died half-way.
const copyPrefix = "copies/"

// ErrServed means that an object is missing or cannot be read and that its
// second copy was read instead: nothing is lost yet.
var ErrServed = errors.New("its second copy served")

func copyOf(object string) string { return copyPrefix + object }

// putTwice stores a small object, if there is none of the name, and then its
// copy; each is durable before the next step. When the name is taken it fails with
// storage.ErrExists and does nothing.
func putTwice(ctx context.Context, be storage.Backend, name string, data []byte) error {
	put := storage.PutOptions{IfAbsent: true, Sync: true}
	if err := be.Put(ctx, name, data, put); err != nil {
		return err
	}
	err := be.Put(ctx, copyOf(name), data, put)
	if errors.Is(err, storage.ErrExists) {
		return nil // somebody else has mended it
	}
	return err
}

// readTwice reads a small object of at most limit bytes: it hands the bytes of
// the object to open, which may change them, and those of its copy when the object
// is missing, cannot be read, or open fails. served says what is wrong with the
// object when the copy was read. storage.ErrNotFound means that there is neither.
func readTwice(ctx context.Context, be storage.Backend, name string, limit int64, open func(data []byte) error) (served, err error) {
	first := readOnce(ctx, be, name, limit, open)
	if first == nil || ctx.Err() != nil || errors.Is(first, seal.ErrFormat) || errors.Is(first, keyring.ErrNoVersion) {
		return nil, first // a copy would say the same
	}
	second := readOnce(ctx, be, copyOf(name), limit, open)
	switch {
	case second == nil:
		return fault.New("read", name, fmt.Errorf("%w; %w", gone(first), ErrServed), ""), nil
	case ctx.Err() != nil:
		return nil, second
	case errors.Is(first, storage.ErrNotFound) && errors.Is(second, storage.ErrNotFound):
		return nil, first
	case errors.Is(second, storage.ErrNotFound):
		return nil, first // never had one, or lost both
	}
	return nil, fault.New("read", name, fmt.Errorf("%w; its second copy: %w", gone(first), gone(second)), "")
}

func readOnce(ctx context.Context, be storage.Backend, name string, limit int64, open func([]byte) error) error {
	data, err := storage.ReadAll(ctx, be, name, limit, nil)
	if err != nil {
		return readCause(ctx, err)
	}
	if err := open(data); err != nil {
		return fault.New("read", name, damage(err), "")
	}
	return nil
}

// deleteTwice removes a small object: its copy first, which alone would mean that
// the object was lost, and once more at the end, for those who mend at the same
// time.
func deleteTwice(ctx context.Context, be storage.Backend, name string) error {
	for _, object := range []string{copyOf(name), name, copyOf(name)} {
		if err := be.Delete(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// listTwice calls fn once for each small object below a prefix that is there, as
// itself, as a copy, or both. Copies are listed first: an object that is listed
// without one had none, or was made meanwhile. When either cannot be listed, fn is
// called for what can, and the error, *UnlistedError or two of them joined, comes at the end.
func listTwice(ctx context.Context, be storage.Backend, prefix string, fn func(name string, itself, copied bool)) error {
	copied := map[string]bool{}
	copies := listBelow(ctx, be, copyOf(prefix), func(info storage.Info) error {
		copied[strings.TrimPrefix(info.Name, copyPrefix)] = true
		return nil
	})
	if copies != nil && !errors.Is(copies, ErrUnlisted) {
		return copies
	}
	themselves := listBelow(ctx, be, prefix, func(info storage.Info) error {
		fn(info.Name, true, copied[info.Name])
		delete(copied, info.Name)
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(copied)) {
		fn(name, false, true)
	}
	if copies == nil || themselves == nil {
		return cmpError(copies, themselves)
	}
	return errors.Join(copies, themselves)
}

// readSnapshot reads a snapshot: from its object, or else from its copy. served
// then says what is wrong with the object. storage.ErrNotFound means that there
// is neither.
func (r *Repository) readSnapshot(ctx context.Context, name string) (snap Snapshot, served, err error) {
	snap, err = r.openSnapshot(ctx, name, name)
	if err == nil || ctx.Err() != nil || errors.Is(err, seal.ErrFormat) || errors.Is(err, keyring.ErrNoVersion) {
		return snap, nil, err // a copy would say the same
	}
	snap, err2 := r.openSnapshot(ctx, copyOf(name), name)
	switch {
	case err2 == nil:
		return snap, fault.New("read", name, fmt.Errorf("%w; %w", gone(err), ErrServed), ""), nil
	case errors.Is(err, storage.ErrNotFound) && errors.Is(err2, storage.ErrNotFound):
		return snap, nil, err
	}
	return snap, nil, fault.New("read", name, fmt.Errorf("%w; its second copy: %w", gone(err), gone(err2)), "")
}

// gone says of an object that should be there that it is not. The rest of the
// program takes storage.ErrNotFound for something that was deleted.
func gone(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return ErrMissing
	}
	return err
}

// openSnapshot reads the snapshot of a name from one of its two objects.
func (r *Repository) openSnapshot(ctx context.Context, object, name string) (Snapshot, error) {
	data, err := r.readSnapshotObject(ctx, object)
	if err != nil {
		return Snapshot{}, err
	}
	return r.parseSnapshot(object, name, data)
}

func (r *Repository) readSnapshotObject(ctx context.Context, object string) ([]byte, error) {
	data, err := storage.ReadAll(ctx, r.be, object, maxSnapshotSize, nil)
	return data, readCause(ctx, err)
}

// parseSnapshot opens a snapshot's object and checks that it is the one of its
// name. It may change data.
func (r *Repository) parseSnapshot(object, name string, data []byte) (Snapshot, error) {
	var snap Snapshot
	text, err := r.keys.Open(seal.TypeSnapshot, name, data)
	if err != nil {
		return snap, fault.New("read", object, damage(err), "")
	}
	if err := json.Unmarshal(text, &snap); err != nil {
		return snap, fault.New("read", object, fmt.Errorf("%w: %w", ErrDamaged, err), "")
	}
	if want := snapshotObject(snap.Source, snap.Time, snap.ID); want != name {
		return snap, fault.New("read", object, fmt.Errorf("%w: it says that it is %s", ErrDamaged, want), "")
	}
	return snap, nil
}

// putCopy stores the copy of a small object that holds data. Whoever deletes the
// object meanwhile deletes the copy once more at the end; a copy that
// is put later still finds the object gone, and goes too.
func (r *Repository) putCopy(ctx context.Context, name string, data []byte) error {
	err := r.be.Put(ctx, copyOf(name), data, storage.PutOptions{IfAbsent: true, Sync: true})
	if errors.Is(err, storage.ErrExists) {
		return nil // somebody else has mended it
	}
	if err != nil {
		return err
	}
	_, err = r.be.Stat(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return r.be.Delete(ctx, copyOf(name))
	}
	return err
}

// mend stores the copy of one snapshot, if its object is whole.
func (r *Repository) mend(ctx context.Context, name string) error {
	first := r.readHalf(ctx, name, name)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if first.err != nil {
		return nil //nolint:nilerr // forgotten meanwhile, or in need of more than a copy: who reads it is told
	}
	if err := r.putCopy(ctx, name, first.data); err != nil {
		return fault.New("store the copy of", name, err, "")
	}
	return nil
}

// half is one of the two objects of a snapshot, as read.
type half struct {
	snap Snapshot
	data []byte
	err  error
}

func (r *Repository) readHalf(ctx context.Context, object, name string) half {
	var h half
	if h.data, h.err = r.readSnapshotObject(ctx, object); h.err == nil {
		h.snap, h.err = r.parseSnapshot(object, name, slices.Clone(h.data))
	}
	return h
}

func (h half) missing() bool { return errors.Is(h.err, storage.ErrNotFound) }

// snapshot checks both objects of a snapshot and returns it, if either can be
// read. A copy that is missing is stored.
func (c *checker) snapshot(ctx context.Context, name string) (Snapshot, error) {
	first, second := c.r.readHalf(ctx, name, name), c.r.readHalf(ctx, copyOf(name), name)
	snap := first.snap
	switch {
	case ctx.Err() != nil:
		return snap, context.Cause(ctx)
	case first.missing() && second.missing():
		return snap, nil // forgotten since it was listed
	case first.err == nil && second.missing():
		return snap, c.mend(ctx, name, ObjectSnapshot, first.data)
	case first.err == nil && second.err == nil && !bytes.Equal(first.data, second.data) && sameKey(first.data, second.data):
		second.err = fmt.Errorf("%w: it differs from %s", ErrDamaged, name)
	}
	if first.err != nil {
		err := gone(first.err)
		if second.err == nil {
			snap, err = second.snap, fmt.Errorf("%w; %w", err, ErrServed)
		}
		if err := c.trouble(ctx, name, ObjectSnapshot, err); err != nil {
			return snap, err
		}
	}
	if second.err != nil {
		return snap, c.trouble(ctx, copyOf(name), ObjectSnapshot, second.err)
	}
	return snap, nil
}

// mend stores a copy that is missing. Then all is well; only a storage that
// does not take it leaves the snapshot with one object.
func (c *checker) mend(ctx context.Context, name, kind string, data []byte) error {
	p := Problem{Object: copyOf(name), Kind: kind, Err: fmt.Errorf("%w; it is stored again now", ErrMissing), Harmless: true}
	if err := c.r.putCopy(ctx, name, data); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// On a place that is only to be read nothing is wrong with that.
		p.Harmless = errors.Is(err, storage.ErrReadOnly) || errors.Is(err, fs.ErrPermission)
		p.Err = fmt.Errorf("%w and cannot be stored again: %w", ErrMissing, err)
	}
	return c.report(p)
}
