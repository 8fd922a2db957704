package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// parent is the snapshot a backup compares with.
type parent struct {
	blobs reusable
	root  *tree.Node // nil without a parent
	// trust is whether files that look the same are taken from the parent
	// without reading them.
	trust bool
	// started is when the parent's backup began.
	started time.Time
}

// chooseParent finds the snapshot that o asks for, and one that its job has
// committed already. Damaged snapshots are returned as errors, without ending
// the search; known is how many others the source has.
func chooseParent(ctx context.Context, repo *repository.Repository, o *BackupOptions, path string) (parent, done *repository.Snapshot, known int, damaged []error, err error) {
	all, damaged, err := repo.Snapshots(ctx, o.Source)
	if err != nil {
		return nil, nil, 0, damaged, err
	}
	for i := range all {
		s := &all[i]
		if o.Job != "" && s.Job == o.Job {
			done = s
		}
		if s.Path == path && (parent == nil || !s.Time.Before(parent.Time)) {
			parent = s
		}
	}
	switch o.Parent {
	case "":
	case NoParent:
		parent = nil
	default:
		s, err := repo.FindSnapshot(ctx, o.Parent)
		if err != nil {
			return nil, done, len(all), damaged, fault.New("find parent snapshot", o.Parent, err, "list the snapshots with `mahavishnu snapshots`")
		}
		parent = &s
	}
	return parent, done, len(all), damaged, nil
}

// coarse and fine are how much later than a change its time stamp may be equal
// to that of another change: file systems that keep whole seconds (or two, FAT),
// and those whose clock ticks with the kernel's.
const (
	coarse = 2 * time.Second
	fine   = 100 * time.Millisecond
)

// same reports whether n can be taken to be what the parent holds as old,
// content and all, without reading it.
func (p *parent) same(ctx context.Context, old, n *tree.Node) bool {
	if !p.trust || old == nil || old.Flags != 0 || n.Inode == 0 ||
		old.Type != n.Type || old.Inode != n.Inode || old.Size != n.Size ||
		old.ModTime != n.ModTime || old.ChangeTime != n.ChangeTime || p.racy(n) {
		return false
	}
	for _, x := range old.Xattrs {
		if !p.blobs.all(ctx, x.Spilled) {
			return false
		}
	}
	return p.blobs.all(ctx, old.Content)
}

// racy reports whether an entry changed so late that the parent's backup may
// have read it between two changes with the same time stamp.
func (p *parent) racy(n *tree.Node) bool {
	last := n.ChangeTime
	if last.IsZero() { // not every platform has it
		last = n.ModTime
	}
	grain := fine
	if last.Nsec == 0 {
		grain = coarse
	}
	return last.Compare(tree.TimeOf(p.started.Add(-grain))) >= 0
}

// merge walks the entries of a parent's directory along with the names of the
// live one.
type merge struct {
	reader *tree.Reader // nil when there is nothing to compare with
	tally  *tally
	next   *tree.Node
}

func (p *parent) merge(old *tree.Node, t *tally) *merge {
	m := &merge{tally: t}
	if old != nil && old.Type == tree.Dir {
		m.reader = tree.NewReader(p.blobs, old.Content)
	}
	return m
}

// find returns the parent's entry called name, or nil. Names must come in
// ascending order.
func (m *merge) find(ctx context.Context, name string) *tree.Node {
	for m.reader != nil {
		if m.next == nil && !m.advance(ctx) {
			return nil
		}
		switch c := bytes.Compare(m.next.Name, []byte(name)); {
		case c > 0:
			return nil
		case c == 0:
			found := m.next
			m.next = nil
			return found
		}
		m.tally.removed.Add(1)
		m.next = nil
	}
	return nil
}

// rest counts what is left: entries that the live directory does not have.
func (m *merge) rest(ctx context.Context) {
	for m.reader != nil && (m.next != nil || m.advance(ctx)) {
		m.tally.removed.Add(1)
		m.next = nil
	}
}

func (m *merge) advance(ctx context.Context) bool {
	for {
		n, err := m.reader.Next(ctx)
		switch {
		case err == nil:
			m.next = &n
			return true
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			m.reader = nil
			return false
		case !errors.Is(err, errNotReusable):
			m.tally.parentFailed(err)
		}
	}
}

// compare tells how n stands to the parent's entry, by all that a restore puts
// back.
func compare(old, n *tree.Node) compared {
	switch {
	case old == nil || old.Type != n.Type:
		return isNew
	case sameMetadata(old, n) && sameContent(old.Content, n.Content):
		return isUnchanged
	}
	return isChanged
}

func sameMetadata(a, b *tree.Node) bool {
	if a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID || a.ModTime != b.ModTime || a.Size != b.Size ||
		a.Rdev != b.Rdev || !bytes.Equal(a.LinkTarget, b.LinkTarget) || len(a.Xattrs) != len(b.Xattrs) {
		return false
	}
	for i := range a.Xattrs {
		x, y := &a.Xattrs[i], &b.Xattrs[i]
		if !bytes.Equal(x.Name, y.Name) || !bytes.Equal(x.Value, y.Value) || !sameContent(x.Spilled, y.Spilled) {
			return false
		}
	}
	return true
}

func sameContent(a, b tree.Content) bool {
	if a.Depth != b.Depth || len(a.Extents) != len(b.Extents) {
		return false
	}
	for i := range a.Extents {
		if a.Extents[i] != b.Extents[i] {
			return false
		}
	}
	return true
}
