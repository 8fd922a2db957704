package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mahavishnu/repository/blob"
)

// Layout and limits.
const (
	headerSize = 32
	markSize   = 32
	fateSize   = 18 // without its name

	// MaxSize bounds a ledger in bytes, MaxMarks the packs in one.
	MaxSize  = 64 << 20
	MaxMarks = 1 << 20

	ledgerMagic = "MHVledgr"
	format      = 1
)

// ErrCorrupt means that the bytes are no whole ledger or doubt.
var ErrCorrupt = errors.New("not a whole ledger")

// Encode returns the bytes of a ledger.
func (l Ledger) Encode() ([]byte, error) {
	size := headerSize + markSize*len(l.Marks)
	for _, f := range l.Fates {
		if len(f.Name) == 0 || len(f.Name) > 1<<16-1 {
			return nil, fmt.Errorf("a snapshot's name of %d bytes does not fit into a ledger", len(f.Name))
		}
		size += fateSize + len(f.Name)
	}
	if size > MaxSize {
		return nil, fmt.Errorf("a ledger of %d bytes, at most %d are written at once", size, MaxSize)
	}
	out := make([]byte, 0, size)
	out = append(out, ledgerMagic...)
	out = binary.LittleEndian.AppendUint32(out, format)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(l.Marks)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(l.Fates)))
	out = append(out, make([]byte, headerSize-len(out))...)
	for _, m := range l.Marks {
		out = append(out, m.ID[:]...)
		out = binary.LittleEndian.AppendUint64(out, uint64(m.Scrub))
		out = binary.LittleEndian.AppendUint64(out, uint64(m.Full))
	}
	for _, f := range l.Fates {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(f.Name)))
		out = binary.LittleEndian.AppendUint64(out, uint64(f.Seen))
		out = binary.LittleEndian.AppendUint64(out, uint64(f.Forgotten))
		out = append(out, f.Name...)
	}
	return out, nil
}

// Decode reads what Encode wrote.
func Decode(data []byte) (Ledger, error) {
	if len(data) < headerSize || string(data[:8]) != ledgerMagic {
		return Ledger{}, fmt.Errorf("%w: it does not start like one", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != format {
		return Ledger{}, fmt.Errorf("%w: format %d is not known", ErrCorrupt, v)
	}
	marks := uint64(binary.LittleEndian.Uint32(data[12:]))
	fates := uint64(binary.LittleEndian.Uint32(data[16:]))
	rest := data[headerSize:]
	if marks*markSize > uint64(len(rest)) || fates*fateSize > uint64(len(rest))-marks*markSize {
		return Ledger{}, fmt.Errorf("%w: it is too short", ErrCorrupt)
	}
	l := Ledger{Marks: make([]Mark, 0, marks), Fates: make([]Fate, 0, fates)}
	for range marks {
		l.Marks = append(l.Marks, Mark{
			ID:    blob.PackID(rest[:16]),
			Scrub: int64(binary.LittleEndian.Uint64(rest[16:])),
			Full:  int64(binary.LittleEndian.Uint64(rest[24:])),
		})
		if n := len(l.Marks); n > 1 && l.Marks[n-2].ID.Compare(l.Marks[n-1].ID) >= 0 {
			return Ledger{}, fmt.Errorf("%w: its packs are out of order", ErrCorrupt)
		}
		rest = rest[markSize:]
	}
	for range fates {
		if len(rest) < fateSize {
			return Ledger{}, fmt.Errorf("%w: it is too short", ErrCorrupt)
		}
		n := int(binary.LittleEndian.Uint16(rest))
		if n == 0 || n > len(rest)-fateSize {
			return Ledger{}, fmt.Errorf("%w: a name in it is cut off", ErrCorrupt)
		}
		l.Fates = append(l.Fates, Fate{
			Name:      string(rest[fateSize : fateSize+n]),
			Seen:      int64(binary.LittleEndian.Uint64(rest[2:])),
			Forgotten: int64(binary.LittleEndian.Uint64(rest[10:])),
		})
		if n := len(l.Fates); n > 1 && l.Fates[n-2].Name >= l.Fates[n-1].Name {
			return Ledger{}, fmt.Errorf("%w: its snapshots are out of order", ErrCorrupt)
		}
		rest = rest[fateSize+n:]
	}
	if len(rest) > 0 {
		return Ledger{}, fmt.Errorf("%w: %d bytes follow its end", ErrCorrupt, len(rest))
	}
	return l, nil
}

// Split cuts a ledger into ones that can be written.
func (l Ledger) Split() []Ledger {
	const maxFates = 1 << 16 // names have 300 bytes at most
	var parts []Ledger
	for len(l.Marks) > MaxMarks || len(l.Fates) > maxFates {
		m, f := min(len(l.Marks), MaxMarks), min(len(l.Fates), maxFates)
		parts = append(parts, Ledger{Marks: l.Marks[:m], Fates: l.Fates[:f]})
		l.Marks, l.Fates = l.Marks[m:], l.Fates[f:]
	}
	return append(parts, l)
}
