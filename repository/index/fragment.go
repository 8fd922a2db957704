package index

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"sort"
	"sync/atomic"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
)

// Fragment reads a fragment in place. It is safe for concurrent use.
type Fragment struct {
	packs   []byte
	entries []byte
	filter  xorfilter.BinaryFuse8
	names   []byte // of the fragments it replaces

	file  *os.File // that it is mapped from; nil in memory
	apart atomic.Bool
}

// Parse checks the bytes of a fragment, and reads from them afterwards.
func Parse(data []byte) (*Fragment, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	end := len(data) - sumSize
	if xxhash.Sum64(data[:end]) != binary.LittleEndian.Uint64(data[end:]) {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	return f, nil
}

// parse takes the bytes of a fragment apart without reading them all.
func parse(data []byte) (*Fragment, error) {
	if len(data) < HeaderSize+sumSize || string(data[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not start like one", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != format {
		return nil, fmt.Errorf("%w: format %d is not known", ErrCorrupt, v)
	}
	packs := uint64(binary.LittleEndian.Uint32(data[16:]))
	entries := uint64(binary.LittleEndian.Uint32(data[20:]))
	prints := uint64(binary.LittleEndian.Uint32(data[40:]))
	names := uint64(binary.LittleEndian.Uint32(data[12:]))
	if uint64(len(data)) != HeaderSize+packs*PackSize+entries*EntrySize+prints+names*nameSize+sumSize {
		return nil, fmt.Errorf("%w: its size does not fit its header", ErrCorrupt)
	}
	entriesAt := HeaderSize + packs*PackSize
	printsAt := entriesAt + entries*EntrySize
	namesAt := printsAt + prints
	f := &Fragment{
		packs: data[HeaderSize:entriesAt], entries: data[entriesAt:printsAt], names: data[namesAt : len(data)-sumSize],
	}
	f.filter = xorfilter.BinaryFuse8{
		Seed:               binary.LittleEndian.Uint64(data[24:]),
		SegmentLength:      binary.LittleEndian.Uint32(data[32:]),
		SegmentCountLength: binary.LittleEndian.Uint32(data[36:]),
		Fingerprints:       data[printsAt:namesAt:namesAt],
	}
	f.filter.SegmentLengthMask = f.filter.SegmentLength - 1
	if err := f.checkFilter(); err != nil {
		return nil, err
	}
	return f, nil
}

// checkFilter makes sure that no look-up can reach outside the filter.
func (f *Fragment) checkFilter() error {
	if len(f.filter.Fingerprints) == 0 {
		return nil // no filter
	}
	segment := f.filter.SegmentLength
	need := uint64(f.filter.SegmentCountLength) + 2*uint64(segment)
	if bits.OnesCount32(segment) != 1 || f.filter.SegmentCountLength%segment != 0 ||
		f.filter.SegmentCountLength == 0 || uint64(len(f.filter.Fingerprints)) != need {
		return fmt.Errorf("%w: its filter contradicts itself", ErrCorrupt)
	}
	return nil
}

// Len is the number of blobs.
func (f *Fragment) Len() int { return len(f.entries) / EntrySize }

// Packs is the number of packs.
func (f *Fragment) Packs() int { return len(f.packs) / PackSize }

// Pack returns a pack by its number.
func (f *Fragment) Pack(n uint32) (Pack, bool) {
	if uint64(n) >= uint64(f.Packs()) {
		return Pack{}, false
	}
	return parsePack(f.packs[int(n)*PackSize:]), true
}

func parsePack(b []byte) Pack {
	b = b[:PackSize]
	return Pack{
		ID:         blob.PackID(b[:16]),
		Size:       binary.LittleEndian.Uint32(b[16:]),
		KeyVersion: binary.LittleEndian.Uint32(b[20:]),
		Blobs:      binary.LittleEndian.Uint32(b[24:]),
		Kind:       blob.Kind(b[28]),
		Flags:      b[29],
		Stored:     int64(binary.LittleEndian.Uint64(b[32:])),
	}
}

// FindPack returns the number of a pack.
func (f *Fragment) FindPack(id blob.PackID) (uint32, bool) {
	n := sort.Search(f.Packs(), func(i int) bool {
		return blob.PackID(f.packs[i*PackSize:][:16]).Compare(id) >= 0
	})
	if n == f.Packs() || blob.PackID(f.packs[n*PackSize:][:16]) != id {
		return 0, false
	}
	return uint32(n), true
}

// Entry returns an entry by its place.
func (f *Fragment) Entry(i int) Entry { return parseEntry(f.entries[i*EntrySize:]) }

func parseEntry(b []byte) Entry {
	b = b[:EntrySize]
	return Entry{
		ID:     blob.ID(b[:32]),
		Pack:   binary.LittleEndian.Uint32(b[32:]),
		Offset: binary.LittleEndian.Uint32(b[36:]),
		Stored: uint24(b[40:]),
		Raw:    uint24(b[43:]),
	}
}

// Replaces returns the fragments that this one stands for.
func (f *Fragment) Replaces() []Name {
	names := make([]Name, len(f.names)/nameSize)
	for i := range names {
		copy(names[i][:], f.names[i*nameSize:])
	}
	return names
}

// Find returns the place of a blob's entry.
func (f *Fragment) Find(id blob.ID) (int, bool) {
	i, _, ok := f.find(id)
	return i, ok
}

// Lookup finds a blob.
func (f *Fragment) Lookup(id blob.ID) (Entry, bool) {
	_, e, ok := f.find(id)
	return e, ok && uint64(e.Pack) < uint64(f.Packs())
}

func (f *Fragment) find(id blob.ID) (int, Entry, bool) {
	if len(f.filter.Fingerprints) > 0 && !f.filter.Contains(filterKey(id)) {
		return 0, Entry{}, false
	}
	if f.apart.Load() {
		w := windows.Get().(*window)
		defer windows.Put(w)
		return f.search(id, w)
	}
	return f.search(id, nil)
}
