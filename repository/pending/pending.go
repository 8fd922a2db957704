// Package pending remembers which blobs a session has taken on that no fragment of
// the index tells of yet: of many savers of one blob exactly one stores it. It
// takes 40 to 60 bytes a blob, which is all the memory that a new blob costs until its
// fragment is stored.
package pending

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"mahavishnu/repository/blob"
)

// Set is a set of blobs, in parts with a lock each, so that savers rarely meet. The
// zero value is empty. It is safe for concurrent use.
type Set struct {
	parts [64]struct {
		mu  sync.Mutex
		ids idSet
	}
}

// Has tells whether a blob is in the set.
func (p *Set) Has(id blob.ID) bool {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.ids.has(id)
}

// Claim adds the blob; false means that it was there already.
func (p *Set) Claim(id blob.ID) bool {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.ids.add(id)
}

// Drop takes a blob out.
func (p *Set) Drop(id blob.ID) {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.ids.remove(id)
}

// idSet is a set of ids in one flat table: each is at the place its bytes say,
// or at the next free one behind. Ids are evenly spread, so they need no hash.
// Free places hold the zero id, which no content has.
type idSet struct {
	table []blob.ID
	n     int
}

// home is where an id belongs: its number as a fraction of the table, so that
// the table may have any size and grow by half.
func (s *idSet) home(id blob.ID) int {
	hi, _ := bits.Mul64(binary.LittleEndian.Uint64(id[8:]), uint64(len(s.table)))
	return int(hi)
}

func (s *idSet) next(i int) int {
	if i++; i < len(s.table) {
		return i
	}
	return 0
}

// find returns the place of an id, or the one it would get. The table must have
// a free place.
func (s *idSet) find(id blob.ID) (int, bool) {
	i := s.home(id)
	for ; s.table[i] != (blob.ID{}); i = s.next(i) {
		if s.table[i] == id {
			return i, true
		}
	}
	return i, false
}

func (s *idSet) has(id blob.ID) bool {
	if s.n == 0 {
		return false
	}
	_, ok := s.find(id)
	return ok
}

// add tells whether the id is new.
func (s *idSet) add(id blob.ID) bool {
	if id == (blob.ID{}) {
		return true // cannot be remembered, and is stored again
	}
	if (s.n+1)*5 > len(s.table)*4 {
		old := s.table
		s.table = make([]blob.ID, max(16, len(old)*3/2))
		for _, x := range old {
			if x != (blob.ID{}) {
				i, _ := s.find(x)
				s.table[i] = x
			}
		}
	}
	i, ok := s.find(id)
	if ok {
		return false
	}
	s.table[i] = id
	s.n++
	return true
}

// remove takes an id out, and moves those behind it that were kept from their
// place.
func (s *idSet) remove(id blob.ID) {
	if s.n == 0 || id == (blob.ID{}) {
		return
	}
	gap, ok := s.find(id)
	if !ok {
		return
	}
	size := len(s.table)
	for i := s.next(gap); s.table[i] != (blob.ID{}); i = s.next(i) {
		// How far it is from home, and how far from the gap.
		if away := (i - s.home(s.table[i]) + size) % size; away >= (i-gap+size)%size {
			s.table[gap] = s.table[i]
			gap = i
		}
	}
	s.table[gap] = blob.ID{}
	s.n--
}
