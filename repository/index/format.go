// Package index finds blobs: fragments of sorted fixed-width entries with a
// filter in front, read in place from a memory-mapped file, which is in a local
// cache.
//
//	header | table of packs | entries, by id | filter | what it replaces | checksum
//
// They are stored in another form, which docs/format.md specifies byte by byte:
// see [Builder.Stored] and [Decode].
//
// A fragment is never changed. A repository has many of them; an id may be in
// several, and each is right. Nothing is kept per blob in memory: a look-up
// touches the filter (9 bits a blob) and, on a hit, a few pages of entries.
package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
)

// Sizes of the parts, and limits.
const (
	HeaderSize = 64
	PackSize   = 40
	EntrySize  = 46
	nameSize   = 16
	sumSize    = 8

	// MaxEntries bounds the blobs of a fragment.
	MaxEntries = 1 << 22
	// MaxSize bounds a fragment in bytes.
	MaxSize = 256 << 20

	magic  = "MHVindex"
	format = 1

	max24 = 1<<24 - 1
)

// ErrCorrupt means that the bytes are no whole fragment.
var ErrCorrupt = errors.New("not a whole index fragment")

// Pack is a pack as the index knows it.
type Pack struct {
	ID         blob.PackID
	Size       uint32
	KeyVersion uint32
	Blobs      uint32 // how many it holds
	Kind       blob.Kind
	Flags      uint8
	// Stored is when a session put the pack into its index, having just written
	// it or compared its checksum: Unix seconds, 0 when that is not known. It is
	// kept when fragments are merged.
	Stored int64
}

// Same tells whether two fragments say the same of a pack; when they learned of
// it may differ.
func (p Pack) Same(other Pack) bool {
	p.Stored = other.Stored
	return p == other
}

// append writes the pack as both forms of a fragment have it.
func (p Pack) append(out []byte) []byte {
	out = append(out, p.ID[:]...)
	out = binary.LittleEndian.AppendUint32(out, p.Size)
	out = binary.LittleEndian.AppendUint32(out, p.KeyVersion)
	out = binary.LittleEndian.AppendUint32(out, p.Blobs)
	out = append(out, byte(p.Kind), p.Flags, 0, 0)
	return binary.LittleEndian.AppendUint64(out, uint64(p.Stored))
}

// Entry is a blob, and where it is. In a Builder, Pack counts the packs as they
// were added; in a fragment, it counts them by id.
type Entry struct {
	ID     blob.ID
	Pack   uint32
	Offset uint32 // of the record in the pack
	Stored uint32 // size of the record
	Raw    uint32 // size of the blob
}

// Name is the random name of a fragment.
type Name [nameSize]byte

// Builder collects a fragment.
type Builder struct {
	packs    []Pack
	entries  []Entry
	replaces []Name
}

// Replace says that the fragment stands for others, whose entries it has as far
// as they are still of use.
func (b *Builder) Replace(names ...Name) { b.replaces = append(b.replaces, names...) }

// Len is the number of entries so far.
func (b *Builder) Len() int { return len(b.entries) }

// Empty tells a builder that has nothing to write.
func (b *Builder) Empty() bool { return len(b.packs) == 0 }

// AddPack adds a pack and its blobs; their Pack field is filled in.
func (b *Builder) AddPack(p Pack, entries []Entry) {
	n := uint32(len(b.packs))
	b.packs = append(b.packs, p)
	for _, e := range entries {
		e.Pack = n
		b.entries = append(b.entries, e)
	}
}

// AddAll adds packs and entries that count them in the order given. With
// usedOnly, packs that no entry is in are left out.
func (b *Builder) AddAll(packs []Pack, entries []Entry, usedOnly bool) {
	place := make([]uint32, len(packs))
	used := make([]bool, len(packs))
	for _, e := range entries {
		used[e.Pack] = true
	}
	for i, p := range packs {
		if used[i] || !usedOnly {
			place[i] = uint32(len(b.packs))
			b.packs = append(b.packs, p)
		}
	}
	b.entries = slices.Grow(b.entries, len(entries))
	for _, e := range entries {
		e.Pack = place[e.Pack]
		b.entries = append(b.entries, e)
	}
}

// Packs returns the packs so far.
func (b *Builder) Packs() []Pack { return b.packs }

// Build returns the fragment as look-ups read it. The builder keeps its content, in order
// and each blob once.
func (b *Builder) Build() ([]byte, error) {
	b.sort()
	packs, entries, replaces := b.packs, b.entries, b.replaces
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("%d blobs in a fragment, at most %d fit", len(entries), MaxEntries)
	}
	filter := buildFilter(entries)
	size := HeaderSize + len(packs)*PackSize + len(entries)*EntrySize + len(filter.Fingerprints) + len(replaces)*nameSize + sumSize
	out := make([]byte, 0, size)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, format)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(replaces)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(packs)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)))
	out = binary.LittleEndian.AppendUint64(out, filter.Seed)
	out = binary.LittleEndian.AppendUint32(out, filter.SegmentLength)
	out = binary.LittleEndian.AppendUint32(out, filter.SegmentCountLength)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(filter.Fingerprints)))
	out = append(out, make([]byte, HeaderSize-len(out))...)
	for _, p := range packs {
		out = p.append(out)
	}
	for _, e := range entries {
		if e.Stored > max24 || e.Raw > max24 {
			return nil, fmt.Errorf("blob %s of %d bytes is too large for the index", e.ID, e.Raw)
		}
		out = append(out, e.ID[:]...)
		out = binary.LittleEndian.AppendUint32(out, e.Pack)
		out = binary.LittleEndian.AppendUint32(out, e.Offset)
		out = append(out, byte(e.Stored), byte(e.Stored>>8), byte(e.Stored>>16))
		out = append(out, byte(e.Raw), byte(e.Raw>>8), byte(e.Raw>>16))
	}
	out = append(out, filter.Fingerprints...)
	for _, name := range replaces {
		out = append(out, name[:]...)
	}
	return binary.LittleEndian.AppendUint64(out, xxhash.Sum64(out)), nil
}

// sort puts the packs in order by id, and entries and names too, each once. It does so
// in place: a second set of entries would be the most of what a session holds.
func (b *Builder) sort() {
	order := make([]uint32, len(b.packs)) // place -> number before
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return b.packs[x].ID.Compare(b.packs[y].ID) })
	place := make([]uint32, len(order))
	packs := make([]Pack, 0, len(order))
	for _, n := range order {
		if last := len(packs) - 1; last < 0 || packs[last].ID != b.packs[n].ID {
			packs = append(packs, b.packs[n])
		} else {
			packs[last].Stored = earlier(packs[last].Stored, b.packs[n].Stored)
		}
		place[n] = uint32(len(packs) - 1)
	}
	b.packs = packs
	for i := range b.entries {
		b.entries[i].Pack = place[b.entries[i].Pack]
	}
	slices.SortFunc(b.entries, func(x, y Entry) int { return x.ID.Compare(y.ID) })
	b.entries = slices.CompactFunc(b.entries, func(x, y Entry) bool { return x.ID == y.ID })
	slices.SortFunc(b.replaces, func(x, y Name) int { return bytes.Compare(x[:], y[:]) })
	b.replaces = slices.Compact(b.replaces)
}

// buildFilter returns a filter of the entries, or none: without one a fragment
// is only slower.
func buildFilter(entries []Entry) *xorfilter.BinaryFuse8 {
	if len(entries) == 0 {
		return &xorfilter.BinaryFuse8{}
	}
	keys := make([]uint64, len(entries))
	for i := range entries {
		keys[i] = filterKey(entries[i].ID)
	}
	filter, err := xorfilter.PopulateBinaryFuse8(keys)
	if err != nil {
		return &xorfilter.BinaryFuse8{}
	}
	return filter
}

// filterKey is what the filter knows of an id: eight bytes from its end, so
// that it is independent of the order of entries.
func filterKey(id blob.ID) uint64 { return binary.LittleEndian.Uint64(id[24:]) }

// sortKey is the beginning of an id as a number, for interpolation.
func sortKey(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// Each calls fn with the id of every blob so far.
func (b *Builder) Each(fn func(blob.ID)) {
	for i := range b.entries {
		fn(b.entries[i].ID)
	}
}

// earlier returns the earlier of two times that are known.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// SetStored tells when the packs were put into the index, in Unix seconds, where
// it is not known yet.
func (b *Builder) SetStored(at int64) {
	for i := range b.packs {
		if b.packs[i].Stored == 0 {
			b.packs[i].Stored = at
		}
	}
}

// Join adds everything of another builder.
func (b *Builder) Join(other *Builder) {
	shift := uint32(len(b.packs))
	b.packs = append(b.packs, other.packs...)
	b.replaces = append(b.replaces, other.replaces...)
	for _, e := range other.entries {
		e.Pack += shift
		b.entries = append(b.entries, e)
	}
}
