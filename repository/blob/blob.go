// Package blob names the smallest thing a repository stores: a blob, bytes of
// one kind under an id made from their content, and the pack that holds it.
//
// Ids are keyed: without the key ring nobody can tell from an id what the
// content is. Sizes are bytes.
package blob

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// MaxSize is the largest blob in bytes. Chunkers cut well below it.
const MaxSize = 8 << 20

// ID is a blob's content id: a keyed hash of its kind and bytes.
type ID [32]byte

// String returns the id as 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells the id of no blob.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error { return decodeHex(id[:], string(text), "blob id") }

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, error) {
	var id ID
	return id, decodeHex(id[:], s, "blob id")
}

// Kind tells what a blob is for. Packs hold blobs of one kind only, so that
// what is needed to browse stays apart from file contents.
type Kind uint8

// The kinds of blobs.
const (
	KindData Kind = 1 // bytes of files
	KindTree Kind = 2 // directories, and lists of extents
)

// Valid tells a known kind.
func (k Kind) Valid() bool { return k == KindData || k == KindTree }

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case KindData:
		return "data"
	case KindTree:
		return "tree"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// PackID is the random name of a pack.
type PackID [16]byte

// NewPackID returns a fresh id that ends in the tag of the session whose pack
// it is.
func NewPackID(tag [4]byte) PackID {
	var id PackID
	// crypto/rand.Read never fails: it ends the program when the system has
	// no randomness.
	_, _ = rand.Read(id[:])
	copy(id[len(id)-len(tag):], tag[:])
	return id
}

// Tag returns the end of the id, which tells the session.
func (id PackID) Tag() (tag [4]byte) { copy(tag[:], id[len(id)-len(tag):]); return tag }

// String returns the id as 32 hexadecimal digits.
func (id PackID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders ids by their bytes.
func (id PackID) Compare(other PackID) int { return bytes.Compare(id[:], other[:]) }

// Object returns the name of the pack's object: packs/<first byte>/<id>.
func (id PackID) Object() string {
	s := id.String()
	return "packs/" + s[:2] + "/" + s
}

// ParsePackID reads what [PackID.String] wrote.
func ParsePackID(s string) (PackID, error) {
	var id PackID
	return id, decodeHex(id[:], s, "pack id")
}

func decodeHex(dst []byte, s, what string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%s has %d characters, want %d", what, len(s), 2*len(dst))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
