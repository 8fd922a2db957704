// Package garbage measures what a repository stores and no snapshot needs. It
// deletes nothing.
//
// It marks every blob that some snapshot can reach, then adds up the rest. A
// directory blob that several snapshots share is walked once. Memory is nine
// bytes for each blob of the index: ids are told apart by their first eight
// bytes, which are as good as random. Two blobs that agree in them are taken for
// one, so the figures are an estimate, if a very good one: nothing may be
// deleted on its word.
//
// Backups that run meanwhile store blobs that no snapshot needs yet; they count
// as garbage until their snapshot is there.
package garbage

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// Report is how much is stored, and how much of it for nothing. Sizes are
// stored bytes.
type Report struct {
	// Snapshots that were walked.
	Snapshots int `json:"snapshots"`
	// Packs in storage, whether an index knows them or not.
	Packs     int   `json:"packs"`
	PackBytes int64 `json:"pack_bytes"`
	// Blobs of the index that no snapshot reaches, and further copies of those
	// that one does.
	UnusedBlobs int64 `json:"unused_blobs"`
	UnusedBytes int64 `json:"unused_bytes"`
	// UnusedPacks hold nothing else: they could be deleted as they are.
	UnusedPacks     int   `json:"unused_packs"`
	UnusedPackBytes int64 `json:"unused_pack_bytes"`
	// UnindexedPacks are known to no index: of a backup that runs, or of one
	// that died and whose data the next one takes over.
	UnindexedPacks int   `json:"unindexed_packs"`
	UnindexedBytes int64 `json:"unindexed_bytes"`
	// Unread tells what could not be read. What it refers to is taken for
	// garbage here, and is not.
	Unread []error `json:"-"`
}

// Measure walks all snapshots of a repository.
func Measure(ctx context.Context, repo *repository.Repository) (Report, error) {
	// Snapshots before the index: blobs of a backup that ends in between are
	// missed in none of them.
	snapshots, damaged, err := repo.Snapshots(ctx, "")
	if err != nil {
		return Report{}, err
	}
	if err := repo.Refresh(ctx); err != nil {
		return Report{}, err
	}
	m := newMarker(repo)
	report := Report{}
	for _, err := range damaged {
		if !errors.Is(err, repository.ErrServed) { // that one was read from its second copy
			report.Unread = append(report.Unread, err)
		}
	}
	for _, snap := range snapshots {
		if err := m.snapshot(ctx, snap); err != nil {
			return report, err
		}
		report.Snapshots++
	}
	report.Unread = append(report.Unread, m.unread...)
	return report, m.count(ctx, &report)
}

// marker knows every blob of the index and whether it is needed.
type marker struct {
	repo   *repository.Repository
	ids    []uint64 // sorted, each once
	needed []bool
	unread []error
}

func newMarker(repo *repository.Repository) *marker {
	m := &marker{repo: repo}
	repo.EachBlob(func(id repository.ID, _ repository.Location) bool {
		m.ids = append(m.ids, short(id))
		return true
	})
	slices.Sort(m.ids)
	m.ids = slices.Compact(m.ids)
	m.needed = make([]bool, len(m.ids))
	return m
}

func short(id [32]byte) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// mark says that a blob is needed, and reports whether that is news. A blob no
// index knows is news every time.
func (m *marker) mark(id [32]byte) bool {
	i, ok := slices.BinarySearch(m.ids, short(id))
	if !ok {
		return true
	}
	news := !m.needed[i]
	m.needed[i] = true
	return news
}

// Load implements tree.Loader: what is loaded is needed.
func (m *marker) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	m.mark(id)
	return m.repo.Load(ctx, repository.ID(id), repository.KindTree, buf)
}

// snapshot marks what a snapshot reaches.
func (m *marker) snapshot(ctx context.Context, snap repository.Snapshot) error {
	root, err := tree.LoadRoot(ctx, m, tree.ID(snap.Root))
	if err != nil {
		return m.lost(ctx, fault.New("read the root of snapshot", snap.ID, err, "run `mahavishnu verify`"))
	}
	return m.node(ctx, &root)
}

func (m *marker) node(ctx context.Context, n *tree.Node) error {
	for _, x := range n.Xattrs {
		if err := m.content(ctx, x.Spilled, nil); err != nil {
			return err
		}
	}
	if n.Type == tree.Dir {
		return m.content(ctx, n.Content, m.entries)
	}
	return m.content(ctx, n.Content, nil)
}

// content marks the blobs of a content and calls fn for those that are news.
func (m *marker) content(ctx context.Context, c tree.Content, fn func(context.Context, tree.Extent) error) error {
	for extents := tree.NewExtents(m, c); ; {
		e, err := extents.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			if err := m.lost(ctx, err); err != nil {
				return err
			}
		case !e.Hole() && m.mark(e.ID) && fn != nil:
			if err := fn(ctx, e); err != nil {
				return err
			}
		}
	}
}

// entries marks what the entries of one directory blob reach.
func (m *marker) entries(ctx context.Context, e tree.Extent) error {
	for r := tree.NewReader(m, tree.Content{Extents: []tree.Extent{e}}); ; {
		n, err := r.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			if err := m.lost(ctx, err); err != nil {
				return err
			}
		default:
			if err := m.node(ctx, &n); err != nil {
				return err
			}
		}
	}
}

// lost notes damage, and returns what is not damage.
func (m *marker) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, damage := range []error{repository.ErrDamaged, repository.ErrBlobMissing, tree.ErrMalformed, tree.ErrUnknownField} {
		if errors.Is(err, damage) {
			m.unread = append(m.unread, err)
			return nil
		}
	}
	return err
}

// count adds up what is not marked.
func (m *marker) count(ctx context.Context, report *Report) error {
	counted := make([]bool, len(m.ids))
	used := map[repository.PackID]bool{}
	m.repo.EachBlob(func(id repository.ID, at repository.Location) bool {
		i, ok := slices.BinarySearch(m.ids, short(id))
		if ok && m.needed[i] && !counted[i] {
			counted[i], used[at.Pack] = true, true
			return true
		}
		report.UnusedBlobs++
		report.UnusedBytes += int64(at.Stored)
		return true
	})
	return m.repo.Packs(ctx, func(p repository.PackInfo) error {
		report.Packs++
		report.PackBytes += p.Size
		switch {
		case !p.Indexed:
			report.UnindexedPacks++
			report.UnindexedBytes += p.Size
		case !used[p.ID]:
			report.UnusedPacks++
			report.UnusedPackBytes += p.Size
		}
		return nil
	})
}
