package repository

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// pending is the set of blobs that are in this session and in no fragment yet,
// in parts with a lock each, so that savers rarely meet.
type pending struct {
	parts [64]struct {
		mu  sync.Mutex
		ids idSet
	}
}

func (p *pending) has(id ID) bool {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.ids.has(id)
}

// claim adds the blob; false means that it was there already.
func (p *pending) claim(id ID) bool {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.ids.add(id)
}

func (p *pending) drop(id ID) {
	part := &p.parts[id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.ids.remove(id)
}

// idSet is a set of ids in one flat table: each is at the place its bytes say,
// or at the next free one behind. Ids are evenly spread, so they need no hash.
// Free places hold the zero id, which no content has.
type idSet struct {
	table []ID
	n     int
}

// home is where an id belongs: its number as a fraction of the table, so that
// the table may have any size and grow by half.
func (s *idSet) home(id ID) int {
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
func (s *idSet) find(id ID) (int, bool) {
	i := s.home(id)
	for ; s.table[i] != (ID{}); i = s.next(i) {
		if s.table[i] == id {
			return i, true
		}
	}
	return i, false
}

func (s *idSet) has(id ID) bool {
	if s.n == 0 {
		return false
	}
	_, ok := s.find(id)
	return ok
}

// add tells whether the id is new.
func (s *idSet) add(id ID) bool {
	if id == (ID{}) {
		return true // cannot be remembered, and is stored again
	}
	if (s.n+1)*5 > len(s.table)*4 {
		old := s.table
		s.table = make([]ID, max(16, len(old)*3/2))
		for _, x := range old {
			if x != (ID{}) {
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
func (s *idSet) remove(id ID) {
	if s.n == 0 || id == (ID{}) {
		return
	}
	gap, ok := s.find(id)
	if !ok {
		return
	}
	size := len(s.table)
	for i := s.next(gap); s.table[i] != (ID{}); i = s.next(i) {
		// How far it is from home, and how far from the gap.
		if away := (i - s.home(s.table[i]) + size) % size; away >= (i-gap+size)%size {
			s.table[gap] = s.table[i]
			gap = i
		}
	}
	s.table[gap] = ID{}
	s.n--
}
