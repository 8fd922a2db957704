package parity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// A parity object is head ‖ body ‖ head ‖ size of the head ‖ checksum: either
// head is enough to use what is left of the body.
const (
	headerSize = 64 // of the fixed part of a head
	sumSize    = 8
	tailSize   = 8 + sumSize
	format     = 1
	// maxHead bounds a head: of the largest stripe of the largest packs.
	maxHead = 1 << 20
)

// Errors of parity objects.
var (
	// ErrDamaged means that stored bytes are not what was written.
	ErrDamaged = errors.New("damaged parity object")
	// ErrFormat means that a newer program wrote it.
	ErrFormat = errors.New("written in a format this program does not know")
	// ErrOther means that the object is whole and is that of another pack or
	// stripe than its name says.
	ErrOther = errors.New("parity of something else")
	// ErrBeyond means that more is damaged than the parity can mend.
	ErrBeyond = errors.New("more is damaged than parity can mend")
)

// Scrub checks a whole object by the checksum at its end.
func Scrub(data []byte) error {
	end := len(data) - sumSize
	if end < headerSize || string(data[:4]) != packMagic && string(data[:4]) != stripeMagic {
		return fmt.Errorf("%w: it does not start like one", ErrDamaged)
	}
	if xxhash.Sum64(data[:end]) != binary.LittleEndian.Uint64(data[end:]) {
		return fmt.Errorf("%w: the stored checksum does not match", ErrDamaged)
	}
	return checkFormat(data)
}

func checkFormat(head []byte) error {
	if v := binary.LittleEndian.Uint16(head[4:]); v != format {
		return fmt.Errorf("%w: parity format %d", ErrFormat, v)
	}
	return nil
}

// seal completes an object whose head and body are there: data is head ‖ body.
func seal(data []byte, head int) []byte {
	data = append(data, data[:head]...)
	data = binary.LittleEndian.AppendUint64(data, uint64(head))
	return binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
}

// wholeHead returns the head at the start of data if its checksum agrees. size
// reads the head's size from its fixed part.
func wholeHead(data []byte, magic string, size func([]byte) int64) ([]byte, error) {
	if len(data) < headerSize+sumSize || string(data[:4]) != magic {
		return nil, fmt.Errorf("%w: it does not start like one", ErrDamaged)
	}
	n := size(data)
	if n < headerSize+sumSize || n > int64(len(data)) {
		return nil, fmt.Errorf("%w: cut off", ErrDamaged)
	}
	end := n - sumSize
	if xxhash.Sum64(data[:end]) != binary.LittleEndian.Uint64(data[end:]) {
		return nil, fmt.Errorf("%w: the checksum of its head does not match", ErrDamaged)
	}
	return data[:n], checkFormat(data)
}

// lastHead returns the head at the end of data.
func lastHead(data []byte, magic string, size func([]byte) int64) ([]byte, error) {
	at := int64(len(data)) - tailSize
	if at < headerSize {
		return nil, fmt.Errorf("%w: cut off", ErrDamaged)
	}
	n := binary.LittleEndian.Uint64(data[at:])
	if n > math.MaxInt32 || int64(n) > at {
		return nil, fmt.Errorf("%w: its end contradicts itself", ErrDamaged)
	}
	return wholeHead(data[at-int64(n):at], magic, size)
}

// anyHead returns a head of the object data, from its start or its end.
func anyHead(data []byte, magic string, size func([]byte) int64) ([]byte, error) {
	head, err := wholeHead(data, magic, size)
	if err == nil || errors.Is(err, ErrFormat) {
		return head, err
	}
	if last, err := lastHead(data, magic, size); err == nil {
		return last, nil
	}
	return nil, err
}
