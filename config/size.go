package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: "500MiB", "20GB", "1.5TiB".
// KB, MB and so on are powers of 1000, KiB, MiB and so on of 1024.
type Size int64

// sizeUnits, the larger ones first, so that a size is shown in the largest that
// divides it.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"TB", 1e12},
	{"GiB", 1 << 30},
	{"GB", 1e9},
	{"MiB", 1 << 20},
	{"MB", 1e6},
	{"KiB", 1 << 10},
	{"KB", 1e3},
	{"B", 1},
}

// String renders s so that UnmarshalText reads it back.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	for _, unit := range sizeUnits {
		if int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return "" // not reached: every number of bytes is one of bytes
}

// MarshalText renders s as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size; the error says what a good one looks like.
func (s *Size) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	number := strings.TrimRight(t, "bBgGiIkKmMtT ")
	unit := strings.TrimSpace(t[len(number):])
	whole, err := strconv.ParseUint(number, 10, 63)
	switch {
	case err == nil && unit == "" && whole == 0:
		*s = 0
		return nil
	case err == nil && unit == "":
		return fmt.Errorf("%s has no unit: write for example %sMiB or %sGB", t, number, number)
	}
	for _, u := range sizeUnits {
		if !strings.EqualFold(u.name, unit) {
			continue
		}
		if err == nil && whole <= uint64(math.MaxInt64/u.bytes) {
			*s = Size(int64(whole) * u.bytes)
			return nil
		}
		if !strings.Contains(number, ".") || strings.Trim(number, "0123456789.") != "" {
			break
		}
		part, err := strconv.ParseFloat(number, 64)
		if bytes := part * float64(u.bytes); err == nil && bytes < math.MaxInt64 {
			*s = Size(math.Round(bytes))
			return nil
		}
	}
	return fmt.Errorf(`%q is not a size: write for example 500MiB, 20GB or 1.5TiB`, t)
}
