package ledger

import (
	"encoding/binary"
	"fmt"

	"mahavishnu/repository/blob"
)

// Why a blob is not trusted.
type Why uint8

const (
	// Stored: its record in the pack cannot be read or does not open. Reading
	// finds that out each time; but it shall be stored again.
	Stored Why = 1
	// Content: the record opens, and what is in it is not what its id says: it was
	// damaged before it was sealed. Only hashing it finds that out, so it must
	// not be read from there any more.
	Content Why = 2
)

// Doubt names blobs in a pack that are not to be trusted there.
type Doubt struct {
	Pack  blob.PackID
	Why   Why
	Found int64 // when, in Unix seconds
	Blobs []blob.ID
}

const (
	doubtMagic = "MHVdoubt"
	doubtSize  = 32 // without the ids
)

// EncodeDoubts returns the bytes of doubts.
func EncodeDoubts(doubts []Doubt) []byte {
	out := append([]byte(nil), doubtMagic...)
	out = binary.LittleEndian.AppendUint32(out, format)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(doubts)))
	for _, d := range doubts {
		out = append(out, d.Pack[:]...)
		out = binary.LittleEndian.AppendUint64(out, uint64(d.Found))
		out = append(out, byte(d.Why), 0, 0, 0)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(d.Blobs)))
		for _, id := range d.Blobs {
			out = append(out, id[:]...)
		}
	}
	return out
}

// DecodeDoubts reads what EncodeDoubts wrote. A reason that is not known counts
// as Content, the one that is never read.
func DecodeDoubts(data []byte) ([]Doubt, error) {
	if len(data) < 16 || string(data[:8]) != doubtMagic {
		return nil, fmt.Errorf("%w: it does not start like a doubt", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != format {
		return nil, fmt.Errorf("%w: format %d is not known", ErrCorrupt, v)
	}
	count := uint64(binary.LittleEndian.Uint32(data[12:]))
	rest := data[16:]
	if count*doubtSize > uint64(len(rest)) {
		return nil, fmt.Errorf("%w: it is too short", ErrCorrupt)
	}
	doubts := make([]Doubt, 0, count)
	for range count {
		if len(rest) < doubtSize {
			return nil, fmt.Errorf("%w: it is too short", ErrCorrupt)
		}
		d := Doubt{Pack: blob.PackID(rest[:16]), Found: int64(binary.LittleEndian.Uint64(rest[16:])), Why: Why(rest[24])}
		if d.Why != Stored {
			d.Why = Content
		}
		n := uint64(binary.LittleEndian.Uint32(rest[28:]))
		rest = rest[doubtSize:]
		if n*uint64(len(blob.ID{})) > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: a list in it is cut off", ErrCorrupt)
		}
		d.Blobs = make([]blob.ID, n)
		for i := range d.Blobs {
			d.Blobs[i] = blob.ID(rest[:32])
			rest = rest[32:]
		}
		doubts = append(doubts, d)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow its end", ErrCorrupt, len(rest))
	}
	return doubts, nil
}
