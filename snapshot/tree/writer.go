package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Sizes of a directory's blobs. A blob ends after an entry whose name says so,
// with a chance in proportion to the entry's size: then a change of metadata
// moves no boundary, and an added or removed entry moves at most the nearest.
const (
	dirMin    = 32 << 10
	dirSpread = 96 << 10 // on average a blob ends this far behind dirMin
	dirMax    = 512 << 10
)

// Writer writes the entries of one directory. It holds one blob's worth of
// entries, whatever the size of the directory.
type Writer struct {
	saver   Saver
	list    *ContentWriter
	blob    []byte
	entries uint64 // in blob
	total   uint64
	last    []byte // name of the entry added last
	node    []byte // scratch
}

// NewWriter returns a writer for a new directory.
func NewWriter(saver Saver) *Writer {
	return &Writer{saver: saver, list: NewContentWriter(saver)}
}

// Add appends an entry. Names must come in ascending byte order ([ErrOrder]).
// Attributes may be in any order and of any length; n itself is not changed.
func (w *Writer) Add(ctx context.Context, n *Node) error {
	if why := validName(n.Name); why != "" {
		return fmt.Errorf("add %q: %w", n.Name, malformed("%s", why))
	}
	if w.total > 0 && bytes.Compare(w.last, n.Name) >= 0 {
		return fmt.Errorf("add %q after %q: %w", n.Name, w.last, ErrOrder)
	}
	var err error
	if w.node, err = encodeSpilled(ctx, w.saver, w.node[:0], n); err != nil {
		return err
	}
	if len(w.blob) == 0 {
		w.blob = append(w.blob, blobEntries, blobVersion)
	}
	w.blob = binary.AppendUvarint(w.blob, uint64(len(w.node)))
	w.blob = append(w.blob, w.node...)
	w.last = append(w.last[:0], n.Name...)
	w.entries++
	w.total++
	if endsBlob(len(w.blob), len(w.node), n.Name) {
		return w.flush(ctx)
	}
	return nil
}

// Entries is the number of entries added so far.
func (w *Writer) Entries() uint64 { return w.total }

func endsBlob(size, entry int, name []byte) bool {
	if size < dirMin {
		return false
	}
	const chance = 1 << 64 / dirSpread // of 2^64, for each byte of the entry
	return size >= dirMax || entry >= dirSpread || xxhash.Sum64(name) < uint64(entry)*chance
}

func (w *Writer) flush(ctx context.Context) error {
	id, err := w.saver.Save(ctx, w.blob)
	if err != nil {
		return err
	}
	e := Extent{ID: id, Length: w.entries}
	w.blob, w.entries = w.blob[:0], 0
	return w.list.Add(ctx, e)
}

// Finish saves what is pending and returns the directory's content. The writer
// can then be used for another directory.
func (w *Writer) Finish(ctx context.Context) (Content, error) {
	if w.entries > 0 {
		if err := w.flush(ctx); err != nil {
			return Content{}, err
		}
	}
	w.total, w.last = 0, w.last[:0]
	return w.list.Finish(ctx)
}

// SaveRoot stores a snapshot's root node, whose name must be empty, and returns
// the id to be kept in the snapshot.
func SaveRoot(ctx context.Context, saver Saver, n *Node) (ID, error) {
	if len(n.Name) > 0 {
		return ID{}, fmt.Errorf("save root: %w", malformed("a root with the name %q", n.Name))
	}
	node, err := encodeSpilled(ctx, saver, nil, n)
	if err != nil {
		return ID{}, err
	}
	blob := []byte{blobEntries, blobVersion}
	blob = binary.AppendUvarint(blob, uint64(len(node)))
	return saver.Save(ctx, append(blob, node...))
}

func encodeSpilled(ctx context.Context, saver Saver, dst []byte, n *Node) ([]byte, error) {
	if len(n.Xattrs) > 0 {
		xs, err := SpillXattrs(ctx, saver, n.Xattrs)
		if err != nil {
			return dst, fmt.Errorf("attributes of %q: %w", n.Name, err)
		}
		with := *n
		with.Xattrs = xs
		n = &with
	}
	return AppendNode(dst, n)
}
