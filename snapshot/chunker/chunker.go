// Package chunker cuts content into chunks where the content itself says so:
// an insertion moves the cuts around it and no others, so that a changed file
// shares all but a few chunks with its former self.
//
// # How
//
// A Gear hash rolls over the content. It is the sum, each byte's table value
// shifted by its distance, of the last 64 bytes; a chunk ends behind a byte
// where the hash falls below a threshold. The threshold is low while the chunk
// is shorter than the average and high afterwards (the normalisation of FastCDC,
// level 2), which draws the sizes together. No chunk is shorter than the
// minimum, except the last of a file, and none longer than the maximum.
//
// # Rules
//
//   - Cuts depend on the content from the chunk's start on and on nothing else:
//     not on how many bytes a read returned.
//   - The table is derived from a secret of the repository. That keeps two
//     repositories from cutting alike. It does not make the sizes of chunks a
//     secret that withstands chosen files (eprint 2025/532): packs hide those.
//   - Content is never copied here.
//
// Sizes are bytes. Sources: Xia et al., FastCDC, USENIX ATC 2016 and TPDS 2020.
package chunker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// window is the number of bytes the hash remembers.
const window = 64

// maxChunk is the largest blob of the repository format.
const maxChunk = 8 << 20

// Params are the sizes of chunks. They belong to the repository: chunks cut
// with other sizes do not match.
type Params struct {
	Min, Avg, Max int
}

// Default is right for files of every kind: the index stays small, and a
// changed record in a database costs a megabyte. The minimum is half the average:
// of what a chunk skips nothing is looked at, and with a quarter a changed file
// shares no more with its former self.
func Default() Params { return Params{Min: 512 << 10, Avg: 1 << 20, Max: 4 << 20} }

// Check reports sizes that make no sense.
func (p Params) Check() error {
	if p.Min < window || p.Avg <= p.Min || p.Max <= p.Avg || p.Max > maxChunk {
		return fmt.Errorf("chunk sizes %d, %d, %d: want %d <= min < avg < max <= 8 MiB", p.Min, p.Avg, p.Max, window)
	}
	return nil
}

// Chunker holds the table and the thresholds. It does not change and may be
// shared; each stream has its own [Scanner].
type Chunker struct {
	table  [256]uint64
	params Params
	early  uint64 // threshold below the average size
	late   uint64 // and above
}

// New derives a chunker from the repository's secret.
func New(secret []byte, p Params) (*Chunker, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if len(secret) < 16 {
		return nil, fmt.Errorf("a chunker secret of %d bytes is too short", len(secret))
	}
	c := &Chunker{params: p, early: threshold(4 * uint64(p.Avg)), late: threshold(uint64(p.Avg) / 4)}
	for i := range c.table {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("gear table 1"))
		mac.Write([]byte{byte(i)})
		c.table[i] = binary.LittleEndian.Uint64(mac.Sum(nil))
	}
	return c, nil
}

// threshold is what a random hash falls below once in n.
func threshold(n uint64) uint64 {
	q, _ := bits.Div64(1, 0, max(n, 2))
	return q
}

// Params returns the sizes the chunker was made with.
func (c *Chunker) Params() Params { return c.params }

// Scanner finds the cuts of one stream. Make one with [Chunker.Scanner].
type Scanner struct {
	c    *Chunker
	pos  int // bytes of the current chunk already looked at
	hash uint64
}

// Scanner returns a scanner at the start of a stream.
func (c *Chunker) Scanner() Scanner { return Scanner{c: c} }

// Next looks for the end of the chunk that starts at data[0]. It returns the
// chunk's length and true, and is then ready for the next chunk; or false when
// more data is needed: the next call must pass the same bytes with more behind
// them, of which only the new ones are looked at. At the end of the stream what
// is left is the last chunk.
func (s *Scanner) Next(data []byte) (int, bool) {
	p := &s.c.params
	if s.pos == 0 {
		s.pos, s.hash = p.Min-window, 0
	}
	if end := min(len(data), p.Min-1); s.pos < end {
		// No cut before the minimum: only fill the hash's memory.
		s.hash = s.c.roll(s.hash, data[s.pos:end])
		s.pos = end
	}
	for _, part := range [...]struct {
		end       int
		threshold uint64
	}{{p.Avg, s.c.early}, {p.Max, s.c.late}} {
		end := min(len(data), part.end)
		if s.pos >= end || s.pos < p.Min-1 {
			continue
		}
		n, found := s.c.find(&s.hash, data[s.pos:end], part.threshold)
		s.pos += n
		if found {
			return s.reset(), true
		}
	}
	if s.pos == p.Max {
		return s.reset(), true
	}
	return 0, false
}

func (s *Scanner) reset() int {
	n := s.pos
	s.pos, s.hash = 0, 0
	return n
}

func (c *Chunker) roll(h uint64, data []byte) uint64 {
	for _, b := range data {
		h = h<<1 + c.table[b]
	}
	return h
}

// find rolls over data until the hash falls below t, and returns how many bytes
// it took. Two bytes a turn: the sum of their table values does not wait for the
// turn before, which is worth half the time.
func (c *Chunker) find(hash *uint64, data []byte, t uint64) (int, bool) {
	h, table := *hash, &c.table
	i := 0
	for ; i+2 <= len(data); i += 2 {
		s1 := table[data[i]]
		s2 := s1<<1 + table[data[i+1]]
		h1, h2 := h<<1+s1, h<<2+s2
		if h1 < t {
			return i + 1, true
		}
		if h2 < t {
			return i + 2, true
		}
		h = h2
	}
	if i < len(data) {
		h = h<<1 + table[data[i]]
		i++
		if h < t {
			return i, true
		}
	}
	*hash = h
	return i, false
}
