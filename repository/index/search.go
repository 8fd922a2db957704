package index

import (
	"math/bits"
	"sync"

	"mahavishnu/repository/blob"
)

// windowEntries is how many entries are read from the file at once: a look-up
// that is this close is done.
const windowEntries = 32

// window is space for entries read from the file.
type window [windowEntries * EntrySize]byte

var windows = sync.Pool{New: func() any { return new(window) }}

// search finds an entry by interpolation: ids are evenly spread, so a few steps
// get close, whatever the size. Each step narrows the range, and after a few
// without luck halving takes over. With a window, entries are read from the file.
func (f *Fragment) search(id blob.ID, w *window) (int, Entry, bool) {
	key := sortKey(id[:])
	lo, hi := 0, f.Len()-1 // the id is within lo..hi, if anywhere
	loKey, hiKey := uint64(0), ^uint64(0)
	for step := 0; lo <= hi; step++ {
		mid := lo + (hi-lo)/2
		if step < 8 && loKey < hiKey && loKey <= key && key <= hiKey {
			h, l := bits.Mul64(key-loKey, uint64(hi-lo))
			q, _ := bits.Div64(h, l, max(hiKey-loKey, h+1))
			mid = lo + int(q)
		}
		at, first := f.near(mid, lo, hi, w)
		n := len(at) / EntrySize
		last := at[(n-1)*EntrySize:]
		switch {
		case blob.ID(last[:32]).Compare(id) < 0:
			lo, loKey = first+n, sortKey(last)
		case blob.ID(at[:32]).Compare(id) > 0:
			hi, hiKey = first-1, sortKey(at)
		default:
			return among(id, at, first)
		}
	}
	return 0, Entry{}, false
}

// near returns entries around mid, all of lo..hi, and the place of the first:
// without a window one, where it is mapped.
func (f *Fragment) near(mid, lo, hi int, w *window) ([]byte, int) {
	if w != nil {
		first := max(lo, mid-windowEntries/2)
		b := w[:min(windowEntries, hi+1-first)*EntrySize]
		if _, err := f.file.ReadAt(b, f.entriesAt()+int64(first)*EntrySize); err == nil {
			return b, first
		}
	}
	return f.entries[mid*EntrySize:][:EntrySize], mid
}

// entriesAt is where the entries are in the file.
func (f *Fragment) entriesAt() int64 { return HeaderSize + int64(len(f.packs)) }

// among looks among some entries, the first of which has the place given.
func among(id blob.ID, at []byte, first int) (int, Entry, bool) {
	for lo, hi := 0, len(at)/EntrySize; lo < hi; {
		mid := (lo + hi) / 2
		b := at[mid*EntrySize:]
		switch c := blob.ID(b[:32]).Compare(id); {
		case c == 0:
			return first + mid, parseEntry(b), true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, Entry{}, false
}
