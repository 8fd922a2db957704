package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Kinds of tree blob and their version: the first two bytes of each.
const (
	blobEntries = 'E' // nodes, each with its length before it
	blobExtents = 'X' // extents
	blobValue   = 'V' // part of a long attribute value
	blobVersion = 1

	headerSize = 2
)

// Limits of the format; the decoder refuses what exceeds them.
const (
	// MaxNode is the largest encoded node. Long attribute values and extent
	// lists spill, so only a file system without limits could exceed it.
	MaxNode = 4 << 20
	// MaxBlob is the largest tree blob.
	MaxBlob = 8 << 20
	// MaxDepth bounds recursion: 2^32 extents need 3.
	MaxDepth = 8
)

// Tags. The lowest bit of a tag says that a reader must understand the field.
const (
	tagName       = 1<<1 | 1
	tagType       = 2<<1 | 1
	tagMode       = 3<<1 | 1
	tagUID        = 4<<1 | 1
	tagGID        = 5<<1 | 1
	tagUser       = 6 << 1
	tagGroup      = 7 << 1
	tagModTime    = 8<<1 | 1
	tagChangeTime = 9 << 1
	tagSize       = 10<<1 | 1
	tagInode      = 11 << 1
	tagDevice     = 12 << 1
	tagLinks      = 13 << 1
	tagLinkGroup  = 14<<1 | 1
	tagLinkTarget = 15<<1 | 1
	tagRdev       = 16<<1 | 1
	tagXattrs     = 17<<1 | 1
	tagFlags      = 18 << 1
	tagContent    = 19<<1 | 1
)

// AppendNode appends the canonical encoding of n (without its length) to dst.
// Attributes must already be in order with long values spilled: see
// [SpillXattrs]. The node must be one that [DecodeNode] accepts.
func AppendNode(dst []byte, n *Node) ([]byte, error) {
	start := len(dst)
	if err := n.check(); err != nil {
		return dst, fmt.Errorf("encode %q: %w", n.Name, err)
	}
	dst = appendBytes(dst, tagName, n.Name)
	dst = appendUint(dst, tagType, uint64(n.Type))
	dst = appendUint(dst, tagMode, uint64(n.Mode))
	dst = appendUint(dst, tagUID, uint64(n.UID))
	dst = appendUint(dst, tagGID, uint64(n.GID))
	dst = appendBytes(dst, tagUser, n.User)
	dst = appendBytes(dst, tagGroup, n.Group)
	dst = appendTime(dst, tagModTime, n.ModTime)
	dst = appendTime(dst, tagChangeTime, n.ChangeTime)
	dst = appendUint(dst, tagSize, n.Size)
	dst = appendUint(dst, tagInode, n.Inode)
	dst = appendUint(dst, tagDevice, n.Device)
	dst = appendUint(dst, tagLinks, n.Links)
	dst = appendUint(dst, tagLinkGroup, n.LinkGroup)
	dst = appendBytes(dst, tagLinkTarget, n.LinkTarget)
	dst = appendUint(dst, tagRdev, n.Rdev)
	if len(n.Xattrs) > 0 {
		dst = appendBytes(dst, tagXattrs, appendXattrs(nil, n.Xattrs))
	}
	dst = appendUint(dst, tagFlags, uint64(n.Flags))
	if !n.Content.IsEmpty() {
		dst = binary.AppendUvarint(dst, tagContent)
		dst = binary.AppendUvarint(dst, uint64(contentSize(n.Content)))
		dst = appendContent(dst, n.Content)
	}
	if size := len(dst) - start; size > MaxNode {
		return dst[:start], fmt.Errorf("encode %q: %w", n.Name, malformed("%d bytes of metadata exceed %d", size, MaxNode))
	}
	return dst, nil
}

func appendUint(dst []byte, tag, v uint64) []byte {
	if v == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(uvarintSize(v)))
	return binary.AppendUvarint(dst, v)
}

func appendBytes[T string | []byte](dst []byte, tag uint64, v T) []byte {
	if len(v) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

func appendTime(dst []byte, tag uint64, t Time) []byte {
	if t.IsZero() {
		return dst
	}
	sec := uint64(t.Sec)<<1 ^ uint64(t.Sec>>63) // zigzag
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(uvarintSize(sec)+uvarintSize(uint64(t.Nsec))))
	dst = binary.AppendUvarint(dst, sec)
	return binary.AppendUvarint(dst, uint64(t.Nsec))
}

// appendXattrs writes name, then 0 and the value or 1 and the spilled content.
func appendXattrs(dst []byte, xs []Xattr) []byte {
	for _, x := range xs {
		dst = binary.AppendUvarint(dst, uint64(len(x.Name)))
		dst = append(dst, x.Name...)
		if x.Spilled.IsEmpty() {
			dst = append(dst, 0)
			dst = binary.AppendUvarint(dst, uint64(len(x.Value)))
			dst = append(dst, x.Value...)
			continue
		}
		dst = append(dst, 1)
		dst = binary.AppendUvarint(dst, uint64(contentSize(x.Spilled)))
		dst = appendContent(dst, x.Spilled)
	}
	return dst
}

func appendContent(dst []byte, c Content) []byte {
	dst = append(dst, c.Depth)
	for _, e := range c.Extents {
		dst = appendExtent(dst, e)
	}
	return dst
}

// appendExtent writes length·2, plus one for a hole, then the id unless a hole.
func appendExtent(dst []byte, e Extent) []byte {
	if e.Hole() {
		return binary.AppendUvarint(dst, e.Length<<1|1)
	}
	dst = binary.AppendUvarint(dst, e.Length<<1)
	return append(dst, e.ID[:]...)
}

func extentSize(e Extent) int {
	if e.Hole() {
		return uvarintSize(e.Length<<1 | 1)
	}
	return uvarintSize(e.Length<<1) + len(e.ID)
}

func contentSize(c Content) int {
	size := 1
	for _, e := range c.Extents {
		size += extentSize(e)
	}
	return size
}

func uvarintSize(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// check is shared by encoder and decoder, so that neither accepts what the
// other refuses.
func (n *Node) check() error {
	if len(n.Name) > 0 {
		if why := validName(n.Name); why != "" {
			return malformed("%s", why)
		}
	}
	if !n.Type.valid() {
		return malformed("entry type %d", n.Type)
	}
	if n.Mode&^0o7777 != 0 {
		return malformed("mode %o", n.Mode)
	}
	if n.ModTime.Nsec >= 1e9 || n.ChangeTime.Nsec >= 1e9 {
		return malformed("nanoseconds out of range")
	}
	if n.Type != File && n.Size != 0 {
		return malformed("a %s with a size", n.Type)
	}
	if n.Type != Symlink && len(n.LinkTarget) > 0 {
		return malformed("a %s with a link target", n.Type)
	}
	return n.checkContent()
}

func (n *Node) checkContent() error {
	if err := n.Content.check(n.Type == File); err != nil {
		return err
	}
	switch n.Type {
	case File:
		if got := n.Content.Length(); got != n.Size {
			return malformed("a file of %d bytes with %d bytes of content", n.Size, got)
		}
	case Dir:
	default:
		if !n.Content.IsEmpty() {
			return malformed("a %s with content", n.Type)
		}
	}
	for i, x := range n.Xattrs {
		if len(x.Name) == 0 || bytes.IndexByte(x.Name, 0) >= 0 {
			return malformed("attribute name %q", x.Name)
		}
		if i > 0 && bytes.Compare(n.Xattrs[i-1].Name, x.Name) >= 0 {
			return malformed("attributes out of order")
		}
		if len(x.Value) > 0 && !x.Spilled.IsEmpty() {
			return malformed("attribute %q has two values", x.Name)
		}
		if err := x.Spilled.check(false); err != nil {
			return err
		}
	}
	return nil
}

// maxLength keeps every sum of lengths and every offset within an int64.
const maxLength = 1<<63 - 1

func (c Content) check(holes bool) error {
	if c.Depth > MaxDepth {
		return malformed("content of depth %d", c.Depth)
	}
	if c.Depth > 0 && len(c.Extents) == 0 {
		return malformed("empty content of depth %d", c.Depth)
	}
	var sum uint64
	for _, e := range c.Extents {
		if e.Length == 0 || e.Length > maxLength-sum {
			return malformed("extent of length %d", e.Length)
		}
		if e.Hole() && (!holes || c.Depth > 0) {
			return malformed("a hole where none can be")
		}
		sum += e.Length
	}
	return nil
}
