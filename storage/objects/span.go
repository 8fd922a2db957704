package objects

import (
	"fmt"
	"strconv"
	"strings"

	"mahavishnu/storage/backend"
)

// largest is more than any store takes for one object: 2^50 bytes.
const largest = 1 << 50

// Span is a range that a caller asks for: Length bytes from Offset, or all from
// there when Length is negative.
type Span struct{ Offset, Length int64 }

// Whole tells whether everything is asked for, by not naming an end.
func (s Span) Whole() bool { return s.Offset == 0 && s.Length < 0 }

// Look tells whether the size of the object answers the question, since the range is
// empty, or cannot be in any object: then a request for bytes would be refused
// whatever the object is, or cannot be spelled.
func (s Span) Look() bool {
	return s.Length == 0 || s.Offset < 0 || s.Offset > largest || s.Length > largest
}

// Within returns how many bytes the range has in an object of a size, or ErrShort.
func (s Span) Within(size int64) (int64, error) {
	n := s.Length
	if n < 0 {
		n = size - s.Offset
	}
	if s.Offset < 0 || n < 0 || s.Offset > size || n > size-s.Offset {
		if s.Length < 0 {
			return 0, fmt.Errorf("%w: bytes from %d of %d", backend.ErrShort, s.Offset, size)
		}
		return 0, fmt.Errorf("%w: %d bytes from %d of %d", backend.ErrShort, s.Length, s.Offset, size)
	}
	return n, nil
}

// ParseContentRange reads "bytes FIRST-LAST/TOTAL".
func ParseContentRange(header string) (first, n, total int64, ok bool) {
	rest, found := strings.CutPrefix(header, "bytes ")
	span, size, found2 := strings.Cut(rest, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 {
		return 0, 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || first < 0 || last < first || total <= last {
		return 0, 0, 0, false
	}
	return first, last - first + 1, total, true
}
