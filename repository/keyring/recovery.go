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
	fmt.Fprintf(&b, "Ring %s, key versions up to %d. Whoever reads this page can read every backup.\n", r.Fingerprint(), r.Current())
	fmt.Fprintf(&b, "Type it into a file and run `mahavishnu key recover FILE`. Case and spaces do not matter.\n\n")
	recoveryLine(&b, "id", r.created, r.idKey[:])
	for _, v := range r.versions {
		name := strconv.FormatUint(uint64(v.number), 10)
		if v.dropped.IsZero() {
			recoveryLine(&b, name, v.created, v.key[:])
			continue
		}
		created, dropped := stamp(v.created), stamp(v.dropped)
		fmt.Fprintf(&b, "%s: %s  dropped %s %s  %s\n", name, created, dropped, v.fingerprint,
			recoveryCheck(name, created, "dropped "+dropped+" "+v.fingerprint))
	}
	return b.String()
}

const stampLayout = "20060102T150405Z"

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// recoveryLine writes "name: date  8 groups of 8 digits  check".
func recoveryLine(b *strings.Builder, name string, created time.Time, key []byte) {
	digits := hex.EncodeToString(key)
	fmt.Fprintf(b, "%s: %s ", name, stamp(created))
	for i := 0; i < len(digits); i += 8 {
		fmt.Fprintf(b, " %s", digits[i:i+8])
	}
	fmt.Fprintf(b, "  %s\n", recoveryCheck(name, stamp(created), digits))
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
		v, err := parseRecoveryLine(name, rest)
		if err != nil {
			return nil, fmt.Errorf("line %d (%s): %w", i+1, name, err)
		}
		if name == "id" {
			r.idKey, r.created, haveID = v.key, v.created, true
			continue
		}
		if want := strconv.Itoa(len(r.versions) + 1); name != want {
			return nil, fmt.Errorf("line %d: key version %s where %s belongs: %w", i+1, name, want, ErrDamaged)
		}
		v.number = uint32(len(r.versions)) + 1
		r.versions = append(r.versions, v)
	}
	if !haveID {
		return nil, fmt.Errorf("there is no line of the id key: %w", ErrDamaged)
	}
	if len(r.versions) == 0 {
		return nil, fmt.Errorf("there is no line of a key version: %w", ErrDamaged)
	}
	return r, r.check()
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// parseRecoveryLine reads what follows the name: a date, and a key or what
// dropping left of one, with its check.
func parseRecoveryLine(name, rest string) (v version, err error) {
	fields := strings.Fields(rest)
	if len(fields) < 3 {
		return v, fmt.Errorf("want a date, 64 digits and a check: %w", ErrDamaged)
	}
	created := strings.ToUpper(fields[0])
	if fields[1] == stateDropped && name != "id" {
		return parseDroppedLine(name, created, fields[2:])
	}
	digits := strings.Join(fields[1:], "")
	if len(digits) != 2*KeySize+6 {
		return v, fmt.Errorf("%d digits, want %d and a check of 6: %w", len(digits), 2*KeySize, ErrDamaged)
	}
	digits, check := digits[:2*KeySize], digits[2*KeySize:]
	if check != recoveryCheck(name, created, digits) {
		return v, errWrongCheck
	}
	if _, err := hex.Decode(v.key[:], []byte(digits)); err != nil {
		return v, errors.Join(ErrDamaged, errors.New("not hexadecimal digits"))
	}
	v.created, err = parseStamp(created)
	return v, err
}

var errWrongCheck = fmt.Errorf("a character of this line is wrong, its check does not match: %w", ErrDamaged)

// parseDroppedLine reads when a version was dropped, its fingerprint and the check.
func parseDroppedLine(name, created string, fields []string) (v version, err error) {
	if len(fields) != 3 {
		return v, fmt.Errorf("want two dates, a fingerprint and a check: %w", ErrDamaged)
	}
	dropped := strings.ToUpper(fields[0])
	v.fingerprint = fields[1]
	if fields[2] != recoveryCheck(name, created, "dropped "+dropped+" "+v.fingerprint) {
		return v, errWrongCheck
	}
	if v.created, err = parseStamp(created); err == nil {
		v.dropped, err = parseStamp(dropped)
	}
	return v, err
}

func parseStamp(s string) (time.Time, error) {
	t, err := time.Parse(stampLayout, s)
	if err != nil {
		return t, fmt.Errorf("date %q: %w", s, ErrDamaged)
	}
	return t, nil
}
