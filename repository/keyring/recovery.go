package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const recoveryTitle = "Mahavishnu key ring, recovery copy"

// RecoveryText returns the ring as text to print and keep in a safe: one line
// a key, each with a check of its own, so that a mistyped one is named.
func (r *Ring) RecoveryText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", recoveryTitle)
	fmt.Fprintf(&b, "Ring %s, %d key version(s). Whoever reads this page can read every backup.\n", r.Fingerprint(), len(r.versions))
	fmt.Fprintf(&b, "Type it into a file and run `mahavishnu key recover FILE`. Case and spaces do not matter.\n\n")
	recoveryLine(&b, "id", r.created, r.idKey[:])
	for _, v := range r.versions {
		recoveryLine(&b, strconv.FormatUint(uint64(v.number), 10), v.created, v.key[:])
	}
	return b.String()
}

// recoveryLine writes "name: date  8 groups of 8 digits  check".
func recoveryLine(b *strings.Builder, name string, created time.Time, key []byte) {
	stamp := created.UTC().Format("20060102T150405Z")
	digits := hex.EncodeToString(key)
	fmt.Fprintf(b, "%s: %s ", name, stamp)
	for i := 0; i < len(digits); i += 8 {
		fmt.Fprintf(b, " %s", digits[i:i+8])
	}
	fmt.Fprintf(b, "  %s\n", recoveryCheck(name, stamp, digits))
}

// recoveryCheck is the first 6 digits of a SHA-256 over the line's parts.
func recoveryCheck(name, stamp, digits string) string {
	sum := sha256.Sum256([]byte(name + " " + stamp + " " + digits))
	return hex.EncodeToString(sum[:3])
}

// Recover reads a recovery text, however it was typed: lines that are not keys
// are skipped, a line that is one and does not check is named.
func Recover(text string) (*Ring, error) {
	r := &Ring{}
	haveID := false
	for i, line := range strings.Split(text, "\n") {
		name, rest, ok := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		if !ok || name != "id" && !isNumber(name) {
			continue
		}
		key, created, err := parseRecoveryLine(name, rest)
		if err != nil {
			return nil, fmt.Errorf("line %d (%s): %w", i+1, name, err)
		}
		if name == "id" {
			r.idKey, r.created, haveID = key, created, true
			continue
		}
		if want := strconv.Itoa(len(r.versions) + 1); name != want {
			return nil, fmt.Errorf("line %d: key version %s where %s belongs: %w", i+1, name, want, ErrDamaged)
		}
		r.versions = append(r.versions, version{number: uint32(len(r.versions)) + 1, key: key, created: created})
	}
	if !haveID {
		return nil, fmt.Errorf("there is no line of the id key: %w", ErrDamaged)
	}
	if len(r.versions) == 0 {
		return nil, fmt.Errorf("there is no line of a key version: %w", ErrDamaged)
	}
	return r, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

func parseRecoveryLine(name, rest string) (key [KeySize]byte, created time.Time, err error) {
	fields := strings.Fields(rest)
	if len(fields) < 3 {
		return key, created, fmt.Errorf("want a date, 64 digits and a check: %w", ErrDamaged)
	}
	stamp := strings.ToUpper(fields[0])
	digits := strings.Join(fields[1:], "")
	if len(digits) != 2*KeySize+6 {
		return key, created, fmt.Errorf("%d digits, want %d and a check of 6: %w", len(digits), 2*KeySize, ErrDamaged)
	}
	digits, check := digits[:2*KeySize], digits[2*KeySize:]
	if check != recoveryCheck(name, stamp, digits) {
		return key, created, fmt.Errorf("a character of this line is wrong, its check does not match: %w", ErrDamaged)
	}
	if _, err := hex.Decode(key[:], []byte(digits)); err != nil {
		return key, created, errors.Join(ErrDamaged, errors.New("not hexadecimal digits"))
	}
	created, err = time.Parse("20060102T150405Z", stamp)
	if err != nil {
		return key, created, fmt.Errorf("date %q: %w", stamp, ErrDamaged)
	}
	return key, created, nil
}
