package repository

import "sync"

// scratch lends buffers for records and blobs.
type scratch struct{ pool sync.Pool }

// get returns a buffer of n bytes with anything in it.
func (s *scratch) get(n int) *[]byte {
	buf, _ := s.pool.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	*buf = (*buf)[:n]
	return buf
}

func (s *scratch) put(buf *[]byte) { s.pool.Put(buf) }
