package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"mahavishnu/repository/blob"
)

// storedHeader is the size of what stands before the packs in the stored form.
const storedHeader = 32

// Stored returns the fragment as it is stored: without what can be made again,
// and with the entries in the order of packs, where most of what they say follows
// from the one before. That is a fifth less than what look-ups read. Call it after
// Build: each blob is in it once.
func (b *Builder) Stored() []byte {
	slices.SortFunc(b.entries, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(x.Pack, y.Pack), cmp.Compare(x.Offset, y.Offset))
	})
	out := make([]byte, 0, storedHeader+len(b.replaces)*nameSize+len(b.packs)*(PackSize+2)+len(b.entries)*38)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, format)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.replaces)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.packs)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.entries)))
	out = append(out, make([]byte, storedHeader-len(out))...)
	for _, name := range b.replaces {
		out = append(out, name[:]...)
	}
	rest := b.entries
	for i, p := range b.packs {
		n := 0
		for n < len(rest) && rest[n].Pack == uint32(i) {
			n++
		}
		out = p.append(out)
		out = binary.AppendUvarint(out, uint64(n))
		end := uint32(0) // of the record before
		for _, e := range rest[:n] {
			out = append(out, e.ID[:]...)
			out = binary.AppendUvarint(out, uint64(e.Offset-end))
			out = binary.AppendUvarint(out, uint64(e.Stored))
			out = binary.AppendUvarint(out, uint64(e.Raw))
			end = e.Offset + e.Stored
		}
		rest = rest[n:]
	}
	return out
}

// Decode reads what Stored made.
func Decode(data []byte) (*Builder, error) {
	if len(data) < storedHeader || string(data[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not start like one", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != format {
		return nil, fmt.Errorf("%w: format %d is not known", ErrCorrupt, v)
	}
	names := uint64(binary.LittleEndian.Uint32(data[12:]))
	packs := uint64(binary.LittleEndian.Uint32(data[16:]))
	entries := uint64(binary.LittleEndian.Uint32(data[20:]))
	data = data[storedHeader:]
	if entries > MaxEntries || names*nameSize+packs*(PackSize+1)+entries*minStored > uint64(len(data)) {
		return nil, fmt.Errorf("%w: its size does not fit its header", ErrCorrupt)
	}
	b := &Builder{packs: make([]Pack, 0, packs), entries: make([]Entry, 0, entries), replaces: make([]Name, names)}
	for i := range b.replaces {
		data = data[copy(b.replaces[i][:], data):]
	}
	d := decoder{data: data}
	for i := range packs {
		p := parsePack(d.take(PackSize))
		if i > 0 && bytes.Compare(b.packs[i-1].ID[:], p.ID[:]) >= 0 {
			d.bad = true
		}
		b.packs = append(b.packs, p)
		end := uint32(0)
		for n := d.number(entries - uint64(len(b.entries))); n > 0 && !d.bad; n-- {
			e := Entry{Pack: uint32(i)}
			copy(e.ID[:], d.take(len(e.ID)))
			e.Offset = end + uint32(d.number(math.MaxUint32))
			e.Stored = uint32(d.number(max24))
			e.Raw = uint32(d.number(max24))
			end = e.Offset + e.Stored
			b.entries = append(b.entries, e)
		}
		if d.bad {
			break
		}
	}
	if d.bad || len(d.data) > 0 || uint64(len(b.entries)) != entries {
		return nil, fmt.Errorf("%w: its table contradicts itself", ErrCorrupt)
	}
	return b, nil
}

// minStored is the least that an entry takes.
const minStored = uint64(len(blob.ID{})) + 3

// decoder takes apart; once something is bad, all is.
type decoder struct {
	data []byte
	bad  bool
}

// nothing is what is read behind the end.
var nothing [PackSize]byte

func (d *decoder) take(n int) []byte {
	if d.bad = d.bad || len(d.data) < n; d.bad {
		return nothing[:n]
	}
	out := d.data[:n]
	d.data = d.data[n:]
	return out
}

// number reads a number that is limit at most.
func (d *decoder) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.data)
	if d.bad = d.bad || n <= 0 || v > limit; d.bad {
		return 0
	}
	d.data = d.data[n:]
	return v
}
