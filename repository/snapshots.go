package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
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

// listSnapshots returns the names of a source's snapshots, or of all for "",
// by source and time, whether their object, its copy or both are there, and
// errors for objects that are named wrongly. Copies are listed first: a snapshot
// that is listed without one had none, or was made meanwhile. What cannot be listed is
// told by the last error, *UnlistedError or several joined, and the rest is returned.
func (r *Repository) listSnapshots(ctx context.Context, source string) ([]snapshotRef, []error, error) {
	prefix := snapshotPrefix
	if source != "" {
		prefix = sourcePrefix(source)
	}
	var refs []snapshotRef
	var bad []error
	at := map[string]int{}     // in refs, of those with a copy
	marks := map[string]bool{} // forgotten, though their objects may be there
	var failed []error
	listed := func(err error) bool {
		if err != nil {
			failed = append(failed, err)
		}
		return err == nil || errors.Is(err, ErrUnlisted)
	}
	each := func(prefix string, add func(snapshotRef)) error {
		return listBelow(ctx, r.be, prefix, func(info storage.Info) error {
			ref, ok := parseSnapshotObject(strings.TrimPrefix(info.Name, copyPrefix))
			if !ok {
				bad = append(bad, fault.New("read", info.Name, fmt.Errorf("%w: not the name of a snapshot", ErrDamaged), ""))
				return nil
			}
			if !marks[ref.object] {
				add(ref)
			}
			return nil
		})
	}
	ok := listed(r.eachMark(ctx, func(name string) { marks[name] = true })) &&
		listed(each(copyOf(prefix), func(ref snapshotRef) {
			ref.copied = true
			at[ref.object] = len(refs)
			refs = append(refs, ref)
		})) &&
		listed(each(prefix, func(ref snapshotRef) {
			if _, known := at[ref.object]; !known {
				refs = append(refs, ref)
			}
		}))
	if !ok {
		return nil, nil, failed[len(failed)-1]
	}
	slices.SortFunc(refs, compareRefs)
	if len(failed) == 1 {
		return refs, bad, failed[0]
	}
	return refs, bad, errors.Join(failed...)
}

// knownSnapshots is listSnapshots for those who read: what cannot be listed is noted,
// and returned for the caller to judge.
func (r *Repository) knownSnapshots(ctx context.Context, source string) (refs []snapshotRef, bad []error, blind []*UnlistedError, err error) {
	refs, bad, err = r.listSnapshots(ctx, source)
	blind = unlisted(err)
	prefix := snapshotPrefix
	if source != "" {
		prefix = sourcePrefix(source)
	}
	_, err = r.sight.tolerate(err, prefix, copyOf(prefix), forgottenPrefix)
	return refs, bad, blind, err
}

func compareRefs(a, b snapshotRef) int {
	return cmp.Or(cmp.Compare(a.source, b.source), a.time.Compare(b.time), cmp.Compare(a.id, b.id))
}

// SnapshotError is a snapshot that neither of its objects tells. Its name still
// does what names tell: Source, Time and ID are enough to forget it.
type SnapshotError struct {
	Source string
	Time   time.Time
	ID     string
	Err    error
}

// Error names the object.
func (e *SnapshotError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SnapshotError) Unwrap() error { return e.Err }

// Snapshot is what the name tells of it.
func (e *SnapshotError) Snapshot() Snapshot {
	return Snapshot{ID: e.ID, Source: e.Source, Time: e.Time}
}

// Snapshots returns the snapshots of a source, or all for "", ordered by source
// and time. Damaged ones are returned as errors, *SnapshotError, that name them
// and never hide the others. One that was read from its second copy is among the snapshots and
// among the errors, there wrapping ErrServed. A place that cannot be listed is among the
// errors too, as *UnlistedError, for all that is in it: there may be more snapshots
// then. The last error ended the search.
func (r *Repository) Snapshots(ctx context.Context, source string) ([]Snapshot, []error, error) {
	refs, bad, blind, err := r.knownSnapshots(ctx, source)
	if err != nil {
		return nil, nil, err
	}
	for _, place := range blind {
		bad = append(bad, place)
	}
	snaps := make([]Snapshot, len(refs))
	served, errs := make([]error, len(refs)), make([]error, len(refs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(snapshotReaders)
	for i, ref := range refs {
		group.Go(func() error {
			snaps[i], served[i], errs[i] = r.readSnapshot(groupCtx, ref.object)
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
			if served[i] != nil && !r.sight.covers(refs[i].object, served[i]) {
				bad = append(bad, served[i])
			}
		case errors.Is(errs[i], storage.ErrNotFound): // deleted since it was listed
		default:
			bad = append(bad, &SnapshotError{Source: refs[i].source, Time: refs[i].time, ID: refs[i].id, Err: errs[i]})
		}
	}
	slices.SortStableFunc(whole, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), compareSnapshots(a, b))
	})
	return whole, bad, nil
}

// FindSnapshot returns the snapshot that ref names: an id, a unique beginning of
// one (4 digits or more), "latest", or "latest:SOURCE".
// A damaged one is read from its second copy; when both are damaged that is an
// error, and it is never passed over for an older one.
func (r *Repository) FindSnapshot(ctx context.Context, ref string) (Snapshot, error) {
	const op = "find snapshot"
	source := ""
	if s, ok := strings.CutPrefix(ref, "latest:"); ok && s != "" {
		source = s
	}
	refs, _, blind, err := r.knownSnapshots(ctx, source)
	if err != nil {
		return Snapshot{}, err
	}
	none := ErrNoSnapshot
	if len(blind) > 0 { // it may be there
		none = blind[0]
	}
	const hint = "list them with `mahavishnu snapshots`"
	if ref == "latest" || source != "" {
		if len(refs) == 0 {
			return Snapshot{}, fault.New(op, ref, none, hint)
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
		return Snapshot{}, fault.New(op, ref, none, hint)
	case 1:
		snap, _, err := r.readSnapshot(ctx, refs[0].object)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			err = &SnapshotError{Source: refs[0].source, Time: refs[0].time, ID: refs[0].id, Err: err}
		}
		return snap, err
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
		snap, _, err := r.readSnapshot(ctx, ref.object)
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
