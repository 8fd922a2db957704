// Package pack lays out packs: many sealed blobs in one object, with a sealed
// table of contents at the end. docs/format.md specifies it byte by byte.
//
//	header | record | record | ... | footer record | trailer
//
// Every record starts with a block that tells its size to whoever has the key,
// so that a pack which lost its footer, or its middle, still gives all records
// that are whole ([Decoder.Scan]), and nobody else sees where one blob ends. The
// trailer's checksum covers everything before it, and needs no key ([Scrub]).
// Integers are little-endian, sizes are bytes.
package pack

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/seal"
)

// Sizes of the parts.
const (
	HeaderSize       = 32
	RecordHeaderSize = 16
	TrailerSize      = 64
	EntrySize        = 38
	// prefixSize is what stands before a blob's bytes inside its seal: the
	// beginning of its id. All of it can be had from the bytes themselves.
	prefixSize = 8
	// Overhead is what a record adds to the bytes of its blob.
	Overhead = RecordHeaderSize + prefixSize + seal.TagSize
	// MinSize is the size of a pack that holds nothing.
	MinSize = HeaderSize + RecordHeaderSize + seal.TagSize + TrailerSize
	// MaxSize is the largest pack that is read.
	MaxSize = 256 << 20
)

const (
	format        = 1
	headerMagic   = "MHVp"
	recordMagic   = "MHV"
	trailerMagic  = "MHVt"
	footerMark    = 128 // in the header of the footer's record, beside the kind
	footerOrdinal = math.MaxUint32
)

// FlagArchival marks packs of archival backups, which live under retention
// rules of their own.
const FlagArchival uint8 = 1

// Errors of packs, apart from seal.ErrOpen.
var (
	// ErrNotPack means that the bytes are no pack, or cut short.
	ErrNotPack = errors.New("not a whole pack")
	// ErrChecksum means that stored bytes changed since they were written.
	ErrChecksum = errors.New("the stored checksum does not match")
	// ErrOther means that it is a whole pack, but another one.
	ErrOther = errors.New("another pack is stored under this name")
	// ErrFormat means that a newer program wrote it.
	ErrFormat = errors.New("written in a format this program does not know")
	// ErrRecord means that there is no such record where it should be.
	ErrRecord = errors.New("no whole record of this blob there")
)

// Header is what a pack says of itself without a key.
type Header struct {
	Kind       blob.Kind
	Flags      uint8
	KeyVersion uint32
	ID         blob.PackID
}

func (h Header) append(b []byte) []byte {
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint16(b, format)
	b = append(b, byte(h.Kind), h.Flags)
	b = binary.LittleEndian.AppendUint32(b, h.KeyVersion)
	b = binary.LittleEndian.AppendUint32(b, 0) // reserved
	return append(b, h.ID[:]...)
}

// ParseHeader reads the first HeaderSize bytes of a pack.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize || string(b[:4]) != headerMagic {
		return Header{}, fmt.Errorf("%w: it does not start like one", ErrNotPack)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != format {
		return Header{}, fmt.Errorf("%w: pack format %d", ErrFormat, v)
	}
	h := Header{
		Kind: blob.Kind(b[6]), Flags: b[7],
		KeyVersion: binary.LittleEndian.Uint32(b[8:]),
		ID:         blob.PackID(b[16:32]),
	}
	if !h.Kind.Valid() {
		return Header{}, fmt.Errorf("%w: blobs of %v", ErrFormat, h.Kind)
	}
	return h, nil
}

// Trailer is the end of a pack.
type Trailer struct {
	Header
	FooterOffset uint32
	FooterSize   uint32 // of the footer's record
	Count        uint32 // of blobs
	Sum          uint64 // XXH64 of everything before the checksum
}

func (t Trailer) append(b []byte) []byte {
	b = append(b, trailerMagic...)
	b = binary.LittleEndian.AppendUint16(b, format)
	b = append(b, byte(t.Kind), t.Flags)
	b = binary.LittleEndian.AppendUint32(b, t.FooterOffset)
	b = binary.LittleEndian.AppendUint32(b, t.FooterSize)
	b = binary.LittleEndian.AppendUint32(b, t.Count)
	b = binary.LittleEndian.AppendUint32(b, t.KeyVersion)
	b = append(b, t.ID[:]...)
	return append(b, make([]byte, 16)...) // reserved
}

// ParseTrailer reads the last TrailerSize bytes of a pack of size bytes.
func ParseTrailer(b []byte, size int64) (Trailer, error) {
	if len(b) != TrailerSize || string(b[:4]) != trailerMagic {
		return Trailer{}, fmt.Errorf("%w: it does not end like one", ErrNotPack)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != format {
		return Trailer{}, fmt.Errorf("%w: pack format %d", ErrFormat, v)
	}
	t := Trailer{
		Header: Header{
			Kind: blob.Kind(b[6]), Flags: b[7],
			KeyVersion: binary.LittleEndian.Uint32(b[20:]),
			ID:         blob.PackID(b[24:40]),
		},
		FooterOffset: binary.LittleEndian.Uint32(b[8:]),
		FooterSize:   binary.LittleEndian.Uint32(b[12:]),
		Count:        binary.LittleEndian.Uint32(b[16:]),
		Sum:          binary.LittleEndian.Uint64(b[56:]),
	}
	if int64(t.FooterOffset)+int64(t.FooterSize)+TrailerSize != size || t.FooterOffset < HeaderSize ||
		int64(t.FooterSize) < footerSize(int64(t.Count)) {
		return Trailer{}, fmt.Errorf("%w: its size does not fit its end", ErrNotPack)
	}
	return t, nil
}

// footerSize is the size of the footer's record for n blobs, without padding.
func footerSize(n int64) int64 { return RecordHeaderSize + n*EntrySize + seal.TagSize }

// recordHeader is the beginning of a record, one block of the cipher.
type recordHeader struct {
	kind    blob.Kind
	footer  bool
	sealed  uint32 // size of what follows the header
	ordinal uint32 // the nonce
	raw     uint32 // size of the blob
	code    compress.Code
}

// put writes the header and hides it: the number of each record is another, so
// no two blocks under one key are equal.
func (h recordHeader) put(b []byte, key cipher.Block) {
	copy(b, recordMagic)
	b[3] = byte(h.kind)
	if h.footer {
		b[3] |= footerMark
	}
	binary.LittleEndian.PutUint32(b[4:], h.sealed)
	binary.LittleEndian.PutUint32(b[8:], h.ordinal)
	binary.LittleEndian.PutUint32(b[12:], h.raw|uint32(h.code)<<24)
	key.Encrypt(b[:RecordHeaderSize], b[:RecordHeaderSize])
}

// parseRecordHeader reads the header at the start of b, which stays as it is.
func parseRecordHeader(b []byte, key cipher.Block) (recordHeader, bool) {
	if len(b) < RecordHeaderSize {
		return recordHeader{}, false
	}
	var h [RecordHeaderSize]byte
	key.Decrypt(h[:], b[:RecordHeaderSize])
	last := binary.LittleEndian.Uint32(h[12:])
	return recordHeader{
		kind:    blob.Kind(h[3] &^ footerMark),
		footer:  h[3]&footerMark != 0,
		sealed:  binary.LittleEndian.Uint32(h[4:]),
		ordinal: binary.LittleEndian.Uint32(h[8:]),
		raw:     last & (1<<24 - 1),
		code:    compress.Code(last >> 24),
	}, string(h[:3]) == recordMagic
}

// nonce is the ordinal as 96 bits, little-endian.
func nonce(ordinal uint32) []byte {
	var n [12]byte
	binary.LittleEndian.PutUint32(n[:], ordinal)
	return n[:]
}

// Padded rounds the size of a pack of some blobs up, so that it does not tell the
// exact size of a single one, and of several not much about any: to the step
// that leaves six bits behind the leading one of their mean size, by 1/64 at most.
func Padded(size, blobs int) int {
	if blobs == 0 {
		return size
	}
	step := 1 << max(bits.Len(uint(size/blobs))-7, 0)
	return (size + step - 1) &^ (step - 1)
}
