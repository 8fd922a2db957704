package seal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Type is what a sealed object holds. It is part of its key and its header.
type Type uint8

// The types of sealed objects. Numbers are part of the format; 4 to 15 are
// reserved for ledger and parity.
const (
	TypeIndex    Type = 1
	TypeSnapshot Type = 2
	TypeGC       Type = 3  // what collecting garbage needs to know
	TypeLedger   Type = 8  // what was verified when
	TypeDoubt    Type = 9  // blobs that are not to be trusted
	TypeKeep     Type = 16 // a pin or a hold
)

// String names the type, as used in key derivation.
func (t Type) String() string {
	switch t {
	case TypeIndex:
		return "index"
	case TypeSnapshot:
		return "snapshot"
	case TypeGC:
		return "gc"
	case TypeLedger:
		return "ledger"
	case TypeDoubt:
		return "doubt"
	case TypeKeep:
		return "keep"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Layout of a sealed object.
const (
	HeaderSize  = 48
	SegmentSize = 1 << 20 // bytes of text per segment
	SumSize     = 8

	objectMagic = "MHVs"
	format      = 1
)

// Errors of objects, apart from ErrOpen.
var (
	// ErrNotSealed means that the bytes are no sealed object, or cut short.
	ErrNotSealed = errors.New("not a whole sealed object")
	// ErrChecksum means that stored bytes changed since they were written.
	ErrChecksum = errors.New("the stored checksum does not match")
	// ErrFormat means that a newer program wrote it.
	ErrFormat = errors.New("written in a format this program does not know")
)

// header is the plain beginning of a sealed object.
type header struct {
	typ     Type
	version uint32 // of the key
	salt    [16]byte
	length  uint64 // of the text
}

func (h header) encode() []byte {
	b := make([]byte, HeaderSize)
	copy(b, objectMagic)
	binary.LittleEndian.PutUint16(b[4:], format)
	b[6] = byte(h.typ)
	binary.LittleEndian.PutUint32(b[8:], h.version)
	binary.LittleEndian.PutUint32(b[12:], SegmentSize)
	copy(b[16:], h.salt[:])
	binary.LittleEndian.PutUint64(b[32:], h.length)
	return b
}

func decodeHeader(b []byte) (header, error) {
	if v := binary.LittleEndian.Uint16(b[4:]); v != format {
		return header{}, fmt.Errorf("%w: object format %d", ErrFormat, v)
	}
	h := header{
		typ:     Type(b[6]),
		version: binary.LittleEndian.Uint32(b[8:]),
		salt:    [16]byte(b[16:32]),
		length:  binary.LittleEndian.Uint64(b[32:]),
	}
	if size := binary.LittleEndian.Uint32(b[12:]); size != SegmentSize {
		return header{}, fmt.Errorf("%w: segments of %d bytes", ErrFormat, size)
	}
	return h, nil
}

// sealedSize is the size of an object with n bytes of text.
func sealedSize(n uint64) uint64 {
	segments := max(1, (n+SegmentSize-1)/SegmentSize)
	return HeaderSize + n + segments*TagSize + SumSize
}

// TypeOf tells what type of object data is, without checking anything.
func TypeOf(data []byte) Type {
	if len(data) < HeaderSize {
		return 0
	}
	return Type(data[6])
}

// Seal returns the object that holds text under a name.
func (k *Keys) Seal(typ Type, name string, text []byte) ([]byte, error) {
	h := header{typ: typ, version: k.Current(), length: uint64(len(text))}
	_, _ = rand.Read(h.salt[:]) // never fails: it ends the program instead
	aead, err := k.aead(h.version, h.salt[:], "mahavishnu v1 object "+typ.String())
	if err != nil {
		return nil, err
	}
	head := h.encode()
	out := make([]byte, 0, sealedSize(h.length))
	out = append(out, head...)
	for i := uint64(0); ; i++ {
		n := min(len(text), SegmentSize)
		last := n == len(text)
		out = aead.Seal(out, nonce(i), text[:n], segmentData(head, name, last))
		text = text[n:]
		if last {
			break
		}
	}
	return appendSum(out), nil
}

func appendSum(data []byte) []byte {
	return binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
}

// Open returns the text of the object data that was sealed under the name. It
// may change data.
func (k *Keys) Open(typ Type, name string, data []byte) ([]byte, error) {
	h, err := checkObject(typ, data)
	if err != nil {
		return nil, err
	}
	aead, err := k.aead(h.version, h.salt[:], "mahavishnu v1 object "+typ.String())
	if err != nil {
		return nil, err
	}
	head := data[:HeaderSize:HeaderSize]
	body := data[HeaderSize : len(data)-SumSize]
	text := make([]byte, 0, h.length)
	for i := uint64(0); ; i++ {
		n := min(len(body), SegmentSize+TagSize)
		last := n == len(body)
		if text, err = aead.Open(text, nonce(i), body[:n], segmentData(head, name, last)); err != nil {
			return nil, ErrOpen
		}
		body = body[n:]
		if last {
			return text, nil
		}
	}
}

// Scrub checks the stored checksum of a sealed object. It needs no key.
func Scrub(data []byte) error {
	_, err := checkSum(data)
	return err
}

func checkObject(typ Type, data []byte) (header, error) {
	h, err := checkSum(data)
	if err == nil && h.typ != typ {
		err = fmt.Errorf("%w: it holds a %v where a %v belongs", ErrNotSealed, h.typ, typ)
	}
	return h, err
}

// checkSum compares the checksum before it believes anything else: in every
// format the last 8 bytes are the checksum, so damage and a newer format are
// told apart.
func checkSum(data []byte) (header, error) {
	if len(data) < HeaderSize+TagSize+SumSize || string(data[:4]) != objectMagic {
		return header{}, ErrNotSealed
	}
	end := len(data) - SumSize
	if xxhash.Sum64(data[:end]) != binary.LittleEndian.Uint64(data[end:]) {
		return header{}, ErrChecksum
	}
	h, err := decodeHeader(data)
	if err != nil {
		return header{}, err
	}
	if h.length > math.MaxInt64/2 || uint64(len(data)) != sealedSize(h.length) {
		return header{}, fmt.Errorf("%w: %d bytes do not fit its header", ErrNotSealed, len(data))
	}
	return h, nil
}

// nonce is the segment's number as 96 bits, little-endian.
func nonce(i uint64) []byte {
	var n [12]byte
	binary.LittleEndian.PutUint64(n[:], i)
	return n[:]
}

// segmentData binds a segment to its object's header and name, and to its
// place at the end or not.
func segmentData(head []byte, name string, last bool) []byte {
	data := make([]byte, 0, len(head)+len(name)+1)
	data = append(append(data, head...), name...)
	if last {
		return append(data, 1)
	}
	return append(data, 0)
}
