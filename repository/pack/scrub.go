package pack

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
)

// sumSize is the checksum at the end of a pack. In every format the last 8
// bytes are the checksum, so that damage and a newer format are told apart.
const sumSize = 8

// Scrub checks a whole pack by its stored checksum, without a key, and that it
// is the pack id.
func Scrub(data []byte, id blob.PackID) (Trailer, error) {
	s := NewScrubber(int64(len(data)))
	s.Add(data)
	return s.Finish(id)
}

// Scrubber is Scrub for a pack that is read piece by piece.
type Scrubber struct {
	size, pos int64
	sum       xxhash.Digest
	head      [HeaderSize]byte
	tail      [TrailerSize]byte
}

// NewScrubber starts to check a pack of size bytes.
func NewScrubber(size int64) *Scrubber {
	s := &Scrubber{size: size}
	s.sum.Reset()
	return s
}

// Add takes the bytes that follow those before.
func (s *Scrubber) Add(p []byte) {
	if s.pos < HeaderSize {
		copy(s.head[s.pos:], p)
	}
	end := s.pos + int64(len(p))
	if at := s.pos - (s.size - TrailerSize); at >= 0 {
		if at < TrailerSize {
			copy(s.tail[at:], p)
		}
	} else if end > s.size-TrailerSize {
		copy(s.tail[:], p[-at:])
	}
	if summed := min(end, s.size-sumSize) - s.pos; summed > 0 {
		_, _ = s.sum.Write(p[:summed]) // never fails
	}
	s.pos = end
}

// Finish tells whether what was added is the whole pack id.
func (s *Scrubber) Finish(id blob.PackID) (Trailer, error) {
	if s.size < MinSize || s.pos != s.size || string(s.head[:4]) != headerMagic {
		return Trailer{}, fmt.Errorf("%w: it does not start like one", ErrNotPack)
	}
	if s.sum.Sum64() != binary.LittleEndian.Uint64(s.tail[TrailerSize-sumSize:]) {
		return Trailer{}, ErrChecksum
	}
	h, err := ParseHeader(s.head[:])
	if err != nil {
		return Trailer{}, err
	}
	t, err := ParseTrailer(s.tail[:], s.size)
	if err != nil {
		return Trailer{}, err
	}
	if h.ID != id || t.Header != h {
		return Trailer{}, fmt.Errorf("%w: %s", ErrOther, h.ID)
	}
	return t, nil
}
