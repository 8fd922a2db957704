package repository

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	snapshotPrefix = "snapshots/"
	snapshotTime   = "20060102T150405Z"
	snapshotIDLen  = 16 // hexadecimal digits
	maxSourceName  = 200
)

// ErrBadSource means that a source cannot be called that.
var ErrBadSource = errors.New("not a valid name of a source")

// snapshotRef is what the name of a snapshot's object tells.
type snapshotRef struct {
	object string
	source string
	time   time.Time
	id     string
	copied bool // its second copy is there
}

// snapshotObject returns the name of a snapshot's object:
// snapshots/<source>/<time>-<id>.
func snapshotObject(source string, t time.Time, id string) string {
	return sourcePrefix(source) + t.UTC().Format(snapshotTime) + "-" + id
}

func sourcePrefix(source string) string { return snapshotPrefix + escapeSource(source) + "/" }

func parseSnapshotObject(object string) (snapshotRef, bool) {
	rest, ok := strings.CutPrefix(object, snapshotPrefix)
	if !ok {
		return snapshotRef{}, false
	}
	dir, base, ok := strings.Cut(rest, "/")
	if !ok {
		return snapshotRef{}, false
	}
	source, ok := unescapeSource(dir)
	stamp, id, ok2 := strings.Cut(base, "-")
	t, err := time.Parse(snapshotTime, stamp)
	if !ok || !ok2 || err != nil || !isHex(id, snapshotIDLen) {
		return snapshotRef{}, false
	}
	return snapshotRef{object: object, source: source, time: t, id: id}, true
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

// escapeSource writes a source's name as one part of an object's name. Small
// letters, digits and "-_." stay, every other byte becomes %xx: capital letters
// too, because some file systems do not tell them from small ones.
func escapeSource(source string) string {
	var b strings.Builder
	for i := range len(source) {
		c := source[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// unescapeSource refuses what escapeSource would not have written.
func unescapeSource(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b.Write(c)
		i += 2
	}
	source := b.String()
	return source, source != "" && escapeSource(source) == s
}

// CheckSource tells whether a source can be called that: ErrBadSource. Snapshots
// are JSON, which holds no bytes that are not UTF-8: one of such a source could
// never be read again.
func CheckSource(source string) error {
	if source == "" || len(escapeSource(source)) > maxSourceName {
		return fmt.Errorf("%w: %.40q; use 1 to %d small letters, digits, - and _", ErrBadSource, source, maxSourceName)
	}
	if !utf8.ValidString(source) {
		return fmt.Errorf("%w: %.40q is not UTF-8", ErrBadSource, source)
	}
	return nil
}

// snapshotID returns the id of a snapshot. All attempts of a job get the same,
// so that only one of them can commit; other snapshots get a random one.
func (r *Repository) snapshotID(snap Snapshot) string {
	if snap.Job == "" {
		return randomHex(snapshotIDLen / 2)
	}
	mac := hmac.New(sha256.New, r.keys.Secret("snapshot id", 32))
	fmt.Fprintf(mac, "%d:%s%s", len(snap.Source), snap.Source, snap.Job)
	return hex.EncodeToString(mac.Sum(nil)[:snapshotIDLen/2])
}
