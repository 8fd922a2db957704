package repository

import (
	"errors"
	"math/bits"
	"sync"
)

// scratch lends buffers for records and blobs. Those given back are kept, in
// sizes of powers of two, until close: as many as were ever in use at once. They
// lie outside Go's heap, where the collector would let as much garbage pile up
// beside them again, and of a buffer only what was used takes memory.
type scratch struct {
	mu   sync.Mutex
	free [scratchClasses][][]byte
}

const (
	scratchShift   = 16 // the smallest buffers have 64 KiB
	scratchClasses = 13 // the largest kept have 256 MiB
)

// lent is a buffer on loan.
type lent struct {
	b     []byte
	class int // -1: of Go's heap, not to be kept
}

// get returns a buffer of n bytes with anything in it.
func (s *scratch) get(n int) *lent {
	class := max(0, bits.Len(uint(max(n, 1)-1))-scratchShift)
	if class >= scratchClasses {
		return &lent{make([]byte, n), -1}
	}
	if b := s.pop(class); b != nil {
		return &lent{b[:n], class}
	}
	b, err := newBuffer(1 << (class + scratchShift))
	if err != nil { // a limit on mappings; Go's heap may have room yet
		return &lent{make([]byte, n), -1}
	}
	return &lent{b[:n], class}
}

func (s *scratch) pop(class int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.free[class]
	if len(list) == 0 {
		return nil
	}
	s.free[class] = list[:len(list)-1]
	return list[len(list)-1]
}

// put takes a buffer back; nobody may use it any more.
func (s *scratch) put(l *lent) {
	if l.class < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free[l.class] = append(s.free[l.class], l.b[:cap(l.b)])
}

// close gives the memory back. All buffers must have been put back.
func (s *scratch) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for class, list := range s.free {
		for _, b := range list {
			errs = append(errs, freeBuffer(b))
		}
		s.free[class] = nil
	}
	return errors.Join(errs...)
}
