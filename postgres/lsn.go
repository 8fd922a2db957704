package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes since its beginning.
type LSN uint64

// String renders a position as PostgreSQL does: 1A/5C000028.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads a position as PostgreSQL prints it.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("%q is not a position in the write-ahead log, such as 1A/5C000028", s)
	}
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a position in the write-ahead log, such as 1A/5C000028", s)
	}
	l, err := strconv.ParseUint(low, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a position in the write-ahead log, such as 1A/5C000028", s)
	}
	return LSN(h<<32 | l), nil
}
