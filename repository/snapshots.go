package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const (
	// maxSnapshotSize bounds a snapshot object in bytes.
	maxSnapshotSize = 64 << 20
	// snapshotReaders is how many snapshots are read at once.
	snapshotReaders = 8
	// minRef is the shortest beginning of an id that is looked up.
	minRef = 4
)

// readSnapshot reads one snapshot and checks that it is the one of its name.
func (r *Repository) readSnapshot(ctx context.Context, name string) (Snapshot, error) {
	var snap Snapshot
	text, err := readSealed(ctx, r.be, r.keys, seal.TypeSnapshot, name, maxSnapshotSize)
	if err != nil {
		return snap, err
	}
	if err := json.Unmarshal(text, &snap); err != nil {
		return snap, fault.New("read", name, fmt.Errorf("%w: %w", ErrDamaged, err), "")
	}
	if want := snapshotObject(snap.Source, snap.Time, snap.ID); want != name {
		return snap, fault.New("read", name, fmt.Errorf("%w: it says that it is %s", ErrDamaged, want), "")
	}
	return snap, nil
}

// listSnapshots returns the names of a source's snapshots, or of all for "",
// by source and time, and errors for objects that are named wrongly.
func (r *Repository) listSnapshots(ctx context.Context, source string) ([]snapshotRef, []error, error) {
	prefix := snapshotPrefix
	if source != "" {
		prefix = sourcePrefix(source)
	}
	var refs []snapshotRef
	var bad []error
	err := r.be.List(ctx, prefix, func(info storage.Info) error {
		ref, ok := parseSnapshotObject(info.Name)
		if !ok {
			bad = append(bad, fault.New("read", info.Name, fmt.Errorf("%w: not the name of a snapshot", ErrDamaged), ""))
			return nil
		}
		refs = append(refs, ref)
		return nil
	})
	slices.SortFunc(refs, compareRefs)
	return refs, bad, err
}

func compareRefs(a, b snapshotRef) int {
	return cmp.Or(cmp.Compare(a.source, b.source), a.time.Compare(b.time), cmp.Compare(a.id, b.id))
}

// Snapshots returns the snapshots of a source, or all for "", ordered by source
// and time. Damaged ones are returned as errors that name them and never hide
// the others; the last error is about the listing itself.
func (r *Repository) Snapshots(ctx context.Context, source string) ([]Snapshot, []error, error) {
	refs, bad, err := r.listSnapshots(ctx, source)
	if err != nil {
		return nil, nil, err
	}
	snaps := make([]Snapshot, len(refs))
	errs := make([]error, len(refs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(snapshotReaders)
	for i, ref := range refs {
		group.Go(func() error {
			snaps[i], errs[i] = r.readSnapshot(groupCtx, ref.object)
			return groupCtx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, context.Cause(ctx)
	}
	whole := snaps[:0]
	for i := range refs {
		switch {
		case errs[i] == nil:
			whole = append(whole, snaps[i])
		case errors.Is(errs[i], storage.ErrNotFound): // deleted since it was listed
		default:
			bad = append(bad, errs[i])
		}
	}
	slices.SortStableFunc(whole, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), compareSnapshots(a, b))
	})
	return whole, bad, nil
}

// FindSnapshot returns the snapshot that ref names: an id, a unique beginning of
// one (4 digits or more), "latest", or "latest:SOURCE".
// A damaged one is an error, never passed over for an older one.
func (r *Repository) FindSnapshot(ctx context.Context, ref string) (Snapshot, error) {
	const op = "find snapshot"
	source := ""
	if s, ok := strings.CutPrefix(ref, "latest:"); ok && s != "" {
		source = s
	}
	refs, _, err := r.listSnapshots(ctx, source)
	if err != nil {
		return Snapshot{}, err
	}
	const hint = "list them with `mahavishnu snapshots`"
	if ref == "latest" || source != "" {
		if len(refs) == 0 {
			return Snapshot{}, fault.New(op, ref, ErrNoSnapshot, hint)
		}
		return r.readNewest(ctx, refs)
	}
	id := strings.ToLower(ref)
	if len(id) < minRef || len(id) > snapshotIDLen || !isHex(id, len(id)) {
		return Snapshot{}, fault.New(op, ref, fmt.Errorf("%w: want an id of %d digits, %d or more of its first, latest, or latest:SOURCE",
			ErrNoSnapshot, snapshotIDLen, minRef), hint)
	}
	refs = slices.DeleteFunc(refs, func(s snapshotRef) bool { return !strings.HasPrefix(s.id, id) })
	switch len(refs) {
	case 0:
		return Snapshot{}, fault.New(op, ref, ErrNoSnapshot, hint)
	case 1:
		return r.readSnapshot(ctx, refs[0].object)
	}
	ids := make([]string, 0, 5)
	for _, s := range refs[:min(len(refs), 5)] {
		ids = append(ids, s.id)
	}
	return Snapshot{}, fault.New(op, ref, fmt.Errorf("%w: %s", ErrAmbiguous, strings.Join(ids, ", ")), "give more digits")
}

// readNewest reads the newest of snapshots. Names tell whole seconds; among
// those of the same one, the snapshots themselves tell which started last.
func (r *Repository) readNewest(ctx context.Context, refs []snapshotRef) (Snapshot, error) {
	last := slices.MaxFunc(refs, func(a, b snapshotRef) int { return a.time.Compare(b.time) }).time
	var newest Snapshot
	for _, ref := range refs {
		if !ref.time.Equal(last) {
			continue
		}
		snap, err := r.readSnapshot(ctx, ref.object)
		if err != nil {
			return Snapshot{}, err
		}
		if newest.ID == "" || compareSnapshots(newest, snap) < 0 {
			newest = snap
		}
	}
	return newest, nil
}

// compareSnapshots orders by time, also within a second.
func compareSnapshots(a, b Snapshot) int {
	return cmp.Or(a.Time.Compare(b.Time), a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
}

// DeleteSnapshot removes a snapshot. Its blobs stay until they are collected.
func (r *Repository) DeleteSnapshot(ctx context.Context, snap Snapshot) error {
	return r.be.Delete(ctx, snapshotObject(snap.Source, snap.Time, snap.ID))
}
