package tree

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// ID names a blob: a keyed digest of its content.
type ID [32]byte

// IsZero reports whether id is the zero id, which names no blob.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Saver stores tree blobs. Save must not keep data after it returns.
type Saver interface {
	Save(ctx context.Context, data []byte) (ID, error)
}

// Loader fetches tree blobs. The result may use buf's memory or not; the caller
// owns it until it passes the same buf again.
type Loader interface {
	Load(ctx context.Context, id ID, buf []byte) ([]byte, error)
}

// Type is the kind of file-system entry.
type Type uint8

// The kinds of entry. Their values are part of the format.
const (
	File     Type = 1
	Dir      Type = 2
	Symlink  Type = 3
	FIFO     Type = 4
	Socket   Type = 5
	CharDev  Type = 6
	BlockDev Type = 7
)

var typeNames = [...]string{
	File: "file", Dir: "dir", Symlink: "symlink", FIFO: "fifo",
	Socket: "socket", CharDev: "chardev", BlockDev: "blockdev",
}

// String returns the type's name as it appears in listings and JSON.
func (t Type) String() string {
	if t.valid() {
		return typeNames[t]
	}
	return fmt.Sprintf("type-%d", uint8(t))
}

func (t Type) valid() bool { return t >= File && t <= BlockDev }

// Flags note what happened to an entry while it was read.
type Flags uint32

const (
	// Changed marks a file whose size or times moved while it was read: its
	// content is what was read, which may mix two versions.
	Changed Flags = 1 << iota
	// Incomplete marks an entry of which something could not be read: some
	// entries of a directory, an attribute.
	Incomplete
)

// Time is a moment to the nanosecond. It is not a count of nanoseconds because
// file systems keep dates that such a count cannot (ext4 reaches 2446).
type Time struct {
	Sec  int64
	Nsec uint32 // below 1e9
}

// TimeOf converts a time.Time.
func TimeOf(t time.Time) Time { return Time{t.Unix(), uint32(t.Nanosecond())} }

// Time converts to a time.Time in UTC.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// IsZero reports whether t is the zero Time, which means "not recorded".
func (t Time) IsZero() bool { return t == Time{} }

// Compare orders two times: -1, 0 or +1.
func (t Time) Compare(u Time) int {
	switch {
	case t.Sec < u.Sec, t.Sec == u.Sec && t.Nsec < u.Nsec:
		return -1
	case t == u:
		return 0
	}
	return 1
}

// Xattr is one extended attribute. POSIX ACLs are attributes like any other
// (system.posix_acl_access and _default). Exactly one of Value and Spilled
// holds the value: short ones are inline, long ones are tree blobs to be read
// with [Xattr.Load].
type Xattr struct {
	Name    []byte
	Value   []byte
	Spilled Content
}

// Node is one entry of a file system. Zero fields are not stored.
type Node struct {
	Name       []byte // as the file system gives it; empty only for a root
	Type       Type
	Mode       uint32 // permission, setuid, setgid and sticky bits: 0o7777
	UID, GID   uint32
	User       string // names of UID and GID where they were known
	Group      string
	ModTime    Time
	ChangeTime Time
	Size       uint64 // of a regular file's content; 0 for every other type
	Inode      uint64
	Device     uint64 // left zero in snapshots: it changes from boot to boot
	Links      uint64 // number of names of a non-directory; 0 or 1 is the same: one
	// LinkGroup is the same non-zero number for all the names of one inode in
	// a snapshot; 0 when it has one name. Every name carries the content.
	LinkGroup  uint64
	LinkTarget []byte // of a symlink
	Rdev       uint64 // of a device: the kernel's encoding of major and minor
	Xattrs     []Xattr
	Flags      Flags
	Content    Content // of a file: its extents; of a directory: its entries
}

// Extent is a run of content. A zero ID is a hole. At depth 0 of a file Length
// is the blob's or the hole's bytes; of a directory, the entries in the blob.
// Above depth 0 it is the sum over what the named list holds.
type Extent struct {
	ID     ID
	Length uint64
}

// Hole reports whether the extent is unallocated: it reads as zeros.
func (e Extent) Hole() bool { return e.ID.IsZero() }

// Content is what a node holds. At Depth 0 Extents describe the content itself;
// at depth n each extent names a tree blob with extents of depth n-1. Use
// [NewExtents] to read through all depths.
type Content struct {
	Depth   uint8
	Extents []Extent
}

// Length is the number of bytes of a file, or of entries of a directory.
func (c Content) Length() uint64 {
	var n uint64
	for _, e := range c.Extents {
		n += e.Length
	}
	return n
}

// IsEmpty reports whether there is no content at all.
func (c Content) IsEmpty() bool { return len(c.Extents) == 0 }

// validName reports why a name may not stand in a directory, or "".
func validName(name []byte) string {
	switch {
	case len(name) == 0:
		return "an entry has no name"
	case bytes.IndexByte(name, '/') >= 0:
		return fmt.Sprintf("the name %q holds a slash", name)
	case bytes.IndexByte(name, 0) >= 0:
		return fmt.Sprintf("the name %q holds a zero byte", name)
	case string(name) == ".", string(name) == "..":
		return fmt.Sprintf("%q is not a name", name)
	}
	return ""
}
