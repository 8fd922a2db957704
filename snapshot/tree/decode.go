package tree

import (
	"encoding/binary"
)

// scanner takes a byte slice apart. After the first fault it yields zeros and
// keeps the fault in err.
type scanner struct {
	b   []byte
	err error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = malformed(format, args...)
	}
	s.b = nil
}

func (s *scanner) more() bool { return s.err == nil && len(s.b) > 0 }

// uvarint reads a number in its shortest form.
func (s *scanner) uvarint() uint64 {
	v, n := binary.Uvarint(s.b)
	if n <= 0 || n != uvarintSize(v) {
		s.fail("bad number")
		return 0
	}
	s.b = s.b[n:]
	return v
}

func (s *scanner) bytes(n uint64) []byte {
	if n > uint64(len(s.b)) {
		s.fail("%d bytes announced, %d left", n, len(s.b))
		return nil
	}
	v := s.b[:n:n]
	s.b = s.b[n:]
	return v
}

func (s *scanner) byte() byte {
	if b := s.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// prefixed reads a length and that many bytes.
func (s *scanner) prefixed() []byte { return s.bytes(s.uvarint()) }

// DecodeNode reads one node from its canonical encoding. The node's byte fields
// share b's memory. User and group names are passed through intern when it is
// not nil, so that a reader of many nodes need not allocate them each time.
func DecodeNode(b []byte, intern func([]byte) string) (Node, error) {
	if len(b) > MaxNode {
		return Node{}, malformed("a node of %d bytes", len(b))
	}
	if intern == nil {
		intern = func(b []byte) string { return string(b) }
	}
	var n Node
	s := scanner{b: b}
	var last uint64
	for s.more() {
		tag := s.uvarint()
		if tag>>1 <= last {
			s.fail("field %d after field %d", tag>>1, last)
			break
		}
		last = tag >> 1
		f := scanner{b: s.prefixed()}
		if s.err != nil {
			break
		}
		if len(f.b) == 0 {
			s.fail("field %d is empty", last)
			break
		}
		if err := n.field(tag, &f, intern); err != nil {
			return Node{}, err
		}
		if f.err != nil {
			return Node{}, f.err
		}
	}
	if s.err != nil {
		return Node{}, s.err
	}
	if err := n.check(); err != nil {
		return Node{}, err
	}
	return n, nil
}

// field decodes one field into n. Faults in the value stay in f.err; the error
// returned is for the tag.
func (n *Node) field(tag uint64, f *scanner, intern func([]byte) string) error {
	switch tag {
	case tagName:
		n.Name = f.rest()
	case tagType:
		n.Type = Type(f.only(255))
	case tagMode:
		n.Mode = uint32(f.only(0o7777))
	case tagUID:
		n.UID = uint32(f.only(1<<32 - 1))
	case tagGID:
		n.GID = uint32(f.only(1<<32 - 1))
	case tagUser:
		n.User = intern(f.rest())
	case tagGroup:
		n.Group = intern(f.rest())
	case tagModTime:
		n.ModTime = f.time()
	case tagChangeTime:
		n.ChangeTime = f.time()
	case tagSize:
		n.Size = f.only(maxLength)
	case tagInode:
		n.Inode = f.only(1<<64 - 1)
	case tagDevice:
		n.Device = f.only(1<<64 - 1)
	case tagLinks:
		n.Links = f.only(1<<64 - 1)
	case tagLinkGroup:
		n.LinkGroup = f.only(1<<64 - 1)
	case tagLinkTarget:
		n.LinkTarget = f.rest()
	case tagRdev:
		n.Rdev = f.only(1<<64 - 1)
	case tagXattrs:
		n.Xattrs = f.xattrs()
	case tagFlags:
		n.Flags = Flags(f.only(1<<32 - 1))
	case tagContent:
		n.Content = f.content()
	default:
		if tag&1 == 1 || tag>>1 <= tagContent>>1 {
			// A known field under the wrong criticality is no older
			// program's doing either.
			return ErrUnknownField
		}
	}
	return nil
}

func (s *scanner) rest() []byte {
	b := s.b
	s.b = nil
	return b
}

// only reads a non-zero number that fills the field.
func (s *scanner) only(most uint64) uint64 {
	v := s.uvarint()
	if s.err == nil && (v == 0 || v > most || len(s.b) > 0) {
		s.fail("number %d out of range", v)
	}
	return v
}

func (s *scanner) time() Time {
	zig := s.uvarint()
	nsec := s.uvarint()
	if s.err != nil {
		return Time{}
	}
	t := Time{Sec: int64(zig>>1) ^ -int64(zig&1), Nsec: uint32(nsec)}
	if nsec >= 1e9 || t.IsZero() || len(s.b) > 0 {
		s.fail("bad time")
		return Time{}
	}
	return t
}

func (s *scanner) xattrs() []Xattr {
	var xs []Xattr
	for s.more() {
		x := Xattr{Name: s.prefixed()}
		switch s.byte() {
		case 0:
			if v := s.prefixed(); len(v) > 0 {
				x.Value = v
			}
		case 1:
			sub := scanner{b: s.prefixed()}
			x.Spilled = sub.content()
			if s.err == nil {
				s.err = sub.err
			}
			if s.err == nil && x.Spilled.IsEmpty() {
				s.fail("a spilled attribute without content")
			}
		default:
			s.fail("bad attribute")
		}
		xs = append(xs, x)
	}
	return xs
}

// content reads a depth and extents to the end.
func (s *scanner) content() Content {
	c := Content{Depth: s.byte()}
	if s.err == nil && len(s.b) == 0 {
		s.fail("content without extents")
	}
	c.Extents = s.extents()
	return c
}

func (s *scanner) extents() []Extent {
	if !s.more() {
		return nil
	}
	// Most extents take 35 bytes or more; holes at least one.
	list := make([]Extent, 0, len(s.b)/35+1)
	for s.more() {
		v := s.uvarint()
		e := Extent{Length: v >> 1}
		if v&1 == 0 {
			copy(e.ID[:], s.bytes(uint64(len(e.ID))))
			if s.err == nil && e.ID.IsZero() {
				s.fail("a blob with the zero id")
			}
		}
		list = append(list, e)
	}
	return list
}

// openBlob checks a tree blob's header and returns what follows it.
func openBlob(b []byte, kind byte) ([]byte, error) {
	switch {
	case len(b) < headerSize:
		return nil, malformed("%d bytes", len(b))
	case len(b) > MaxBlob:
		return nil, malformed("%d bytes exceed %d", len(b), MaxBlob)
	case b[0] != kind:
		return nil, malformed("a blob of kind %q where %q is due", b[0], kind)
	case b[1] != blobVersion:
		return nil, malformed("version %d: a newer version of the program is needed", b[1])
	}
	return b[headerSize:], nil
}
