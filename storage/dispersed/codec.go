package dispersed

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/klauspost/reedsolomon"
)

// codec cuts objects into shards and puts them together again, a row of cells at
// a time and on the goroutine that calls it. It is safe for concurrent use.
type codec struct {
	k, m  int
	coder reedsolomon.Encoder
	pool  sync.Pool // of *[]byte: the shards of an object
}

// align is where shards begin in their common memory: storages on disks write
// aligned bytes past the page cache.
const align = 4 << 10

func newCodec(k, m int) (*codec, error) {
	coder, err := reedsolomon.New(k, m,
		reedsolomon.WithCauchyMatrix(), reedsolomon.WithMaxGoroutines(1), reedsolomon.WithInversionCache(true))
	if err != nil {
		return nil, fmt.Errorf("%d data and %d parity shards: %w", k, m, err)
	}
	return &codec{k: k, m: m, coder: coder}, nil
}

// buffer returns n bytes of any content; free takes them back.
func (c *codec) buffer(n int64) *[]byte {
	if p, ok := c.pool.Get().(*[]byte); ok {
		if int64(cap(*p)) >= n {
			*p = (*p)[:n]
			return p
		}
	}
	b := make([]byte, n)
	return &b
}

func (c *codec) free(p *[]byte) {
	if p != nil {
		c.pool.Put(p)
	}
}

// shards are those of one object. Their memory is taken back when everybody who
// holds them has dropped them: puts that were given up may still read it.
type shards struct {
	all    [][]byte
	head   head
	codec  *codec
	memory *[]byte
	users  atomic.Int32
	spoilt atomic.Bool
}

// spoil keeps the memory from being used again: a put that failed may have left
// somebody behind who reads it still.
func (s *shards) spoil() { s.spoilt.Store(true) }

// hold adds a user; whoever made the shards is the first.
func (s *shards) hold() { s.users.Add(1) }

func (s *shards) drop() {
	if s.users.Add(-1) == 0 {
		s.all = nil
		if !s.spoilt.Load() {
			s.codec.free(s.memory)
		}
	}
}

// encode cuts data into shards whose heads are h with their own index.
func (c *codec) encode(h head, data []byte) (*shards, error) {
	sh := newShape(c.k, int64(len(data)))
	n := c.k + c.m
	total := int64(0)
	for i := range n {
		total += (sh.shardLen(i) + align - 1) &^ (align - 1)
	}
	s := &shards{codec: c, head: h, memory: c.buffer(total), all: make([][]byte, n)}
	s.hold()
	rest := *s.memory
	sums := make([]summer, n)
	for i := range n {
		length := sh.shardLen(i)
		s.all[i] = rest[:length:length]
		rest = rest[(length+align-1)&^(align-1):]
		h.index = uint8(i)
		h.put(s.all[i])
		sums[i] = newSummer(h.version, h.name, h.index)
		clear(s.all[i][sh.end():])
	}
	cells := make([][]byte, n)
	for row := range sh.rows {
		at, length := sh.at(row), sh.cell(row)
		for i := range n {
			cells[i] = s.all[i][at : at+length]
			if i < c.k {
				took := copy(cells[i], data)
				clear(cells[i][took:])
				data = data[took:]
			}
		}
		if err := c.coder.Encode(cells); err != nil {
			s.drop()
			return nil, err
		}
		for i, cell := range cells {
			binary.LittleEndian.PutUint64(s.all[i][at+length:], sums[i].sum(row, cell))
		}
	}
	return s, nil
}

// check tells whether a cell, followed by its checksum, is that of the row.
func (s summer) check(row int64, cell []byte) bool {
	end := len(cell) - sumLen
	return s.sum(row, cell[:end]) == binary.LittleEndian.Uint64(cell[end:])
}

// data makes the data cells of a row that are nil from the others; cells has k+m
// entries, of which at least k are there. A cell that is made is put into the
// space behind its length, when it has any.
func (c *codec) data(cells [][]byte) error { return c.coder.ReconstructData(cells) }
