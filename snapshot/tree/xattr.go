package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
)

const (
	inlineValue  = 1 << 10  // longest attribute value kept inside a node
	inlineValues = 16 << 10 // and of all the values of a node together
	valueBlob    = 1 << 20  // longest part of a spilled value
)

// SpillXattrs returns a copy of xs as a node stores it: in order of names, with
// long values in tree blobs.
func SpillXattrs(ctx context.Context, saver Saver, xs []Xattr) ([]Xattr, error) {
	sorted := slices.Clone(xs)
	slices.SortFunc(sorted, func(a, b Xattr) int { return bytes.Compare(a.Name, b.Name) })
	inline := 0
	for i := range sorted {
		x := &sorted[i]
		if len(x.Value) <= inlineValue && inline+len(x.Value) <= inlineValues {
			inline += len(x.Value)
			continue
		}
		c, err := saveValue(ctx, saver, x.Value)
		if err != nil {
			return nil, err
		}
		x.Value, x.Spilled = nil, c
	}
	return sorted, nil
}

func saveValue(ctx context.Context, saver Saver, value []byte) (Content, error) {
	w := NewContentWriter(saver)
	buf := make([]byte, 0, headerSize+min(len(value), valueBlob))
	for part := range slices.Chunk(value, valueBlob) {
		buf = append(append(buf[:0], blobValue, blobVersion), part...)
		id, err := saver.Save(ctx, buf)
		if err != nil {
			return Content{}, err
		}
		if err := w.Add(ctx, Extent{ID: id, Length: uint64(len(part))}); err != nil {
			return Content{}, err
		}
	}
	return w.Finish(ctx)
}

// Load returns the attribute's value, fetching it when it was spilled.
func (x Xattr) Load(ctx context.Context, loader Loader) ([]byte, error) {
	if x.Spilled.IsEmpty() {
		return x.Value, nil
	}
	var value []byte
	for extents := NewExtents(loader, x.Spilled); ; {
		e, err := extents.Next(ctx)
		if errors.Is(err, io.EOF) {
			return value, nil
		}
		if err != nil {
			return nil, err
		}
		part, err := loadBlob(ctx, loader, e, blobValue)
		if err != nil {
			return nil, err
		}
		if uint64(len(part)) != e.Length {
			return nil, newBlobError(e, malformed("%d bytes where %d are due", len(part), e.Length))
		}
		value = append(value, part...)
	}
}
