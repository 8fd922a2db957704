package snapshot

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// Dump writes the content of the file at path to w; of a directory, a tar
// archive (PAX) of everything below it. Holes are written as zeros. What cannot
// be read ends the dump: its output is for pipes, where nothing can be left out
// unnoticed. Sockets have no place in a tar archive; when there are any, the
// archive is otherwise complete and the error wraps ErrIncomplete.
func Dump(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, path string, w io.Writer) error {
	n, path, err := find(ctx, treeLoader{repo}, snap, path)
	if err != nil {
		return err
	}
	switch n.Type {
	case tree.File:
		err = dumpFile(ctx, repo, n.Content, w)
	case tree.Dir:
		t := &tarDump{repo: repo, w: tar.NewWriter(w), first: map[uint64]string{}}
		err = t.tree(ctx, path, n)
	default:
		err = fmt.Errorf("a %s has no content", n.Type)
	}
	if err != nil {
		return fault.New("dump from snapshot "+snap.ID, Printable(path), asDamage(err), "")
	}
	return nil
}

func dumpFile(ctx context.Context, repo *repository.Repository, content tree.Content, w io.Writer) error {
	for c := newCursor(ctx, repo, content); ; {
		if err := c.fill(); err != nil {
			return err
		}
		if c.left == 0 {
			return nil
		}
		data, err := c.bytes(min(c.left, maxBlob))
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		c.skip(uint64(len(data)))
	}
}

// tarDump writes a directory as an archive whose names are relative to it.
type tarDump struct {
	repo    *repository.Repository
	w       *tar.Writer
	first   map[uint64]string // of each hard-link group
	sockets int
}

func (t *tarDump) tree(ctx context.Context, path string, root tree.Node) error {
	if err := t.entry(ctx, ".", &root); err != nil {
		return err
	}
	var damage firstLoss
	err := eachEntry(ctx, treeLoader{t.repo}, path, root.Content, damage.note, func(at string, n tree.Node) (bool, error) {
		if path != "" {
			at = at[len(path)+1:]
		}
		return true, t.entry(ctx, "./"+at, &n)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(damage.err, t.w.Close()); err != nil {
		return err
	}
	if t.sockets > 0 {
		return fmt.Errorf("%w: %d sockets cannot be kept in a tar archive", ErrIncomplete, t.sockets)
	}
	return nil
}

var tarTypes = map[tree.Type]byte{
	tree.File: tar.TypeReg, tree.Dir: tar.TypeDir, tree.Symlink: tar.TypeSymlink,
	tree.FIFO: tar.TypeFifo, tree.CharDev: tar.TypeChar, tree.BlockDev: tar.TypeBlock,
}

func (t *tarDump) entry(ctx context.Context, name string, n *tree.Node) error {
	typ, ok := tarTypes[n.Type]
	if !ok {
		t.sockets++
		return nil
	}
	h := &tar.Header{
		Typeflag: typ, Name: name, Mode: int64(n.Mode), Uid: int(n.UID), Gid: int(n.GID), Uname: n.User, Gname: n.Group,
		ModTime: n.ModTime.Time(), Format: tar.FormatPAX,
	}
	if h.ModTime.Before(time.Unix(0, 0)) {
		h.ModTime = h.ModTime.Truncate(time.Second) // the format has no fractions there
	}
	if first, ok := t.first[n.LinkGroup]; ok && n.LinkGroup != 0 {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return t.w.WriteHeader(h)
	}
	if n.LinkGroup != 0 {
		t.first[n.LinkGroup] = name
	}
	switch n.Type {
	case tree.File:
		h.Size = int64(n.Size)
	case tree.Dir:
		h.Name += "/"
	case tree.Symlink:
		h.Linkname = string(n.LinkTarget)
	case tree.CharDev, tree.BlockDev:
		h.Devmajor, h.Devminor = deviceNumbers(n.Rdev)
	}
	if err := errors.Join(loadXattrs(ctx, treeLoader{t.repo}, n)...); err != nil {
		return err
	}
	for _, x := range n.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+string(x.Name)] = string(x.Value)
	}
	if err := t.w.WriteHeader(h); err != nil {
		return err
	}
	if n.Type == tree.File {
		return dumpFile(ctx, t.repo, n.Content, t.w)
	}
	return nil
}

// deviceNumbers takes a Linux device number apart.
func deviceNumbers(rdev uint64) (major, minor int64) {
	return int64(rdev>>8&0xfff | rdev>>32&^0xfff), int64(rdev&0xff | rdev>>12&^0xff&0xffffffff)
}
