package snapshot

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Progress learns how far a run is. Add is called from many goroutines, often,
// and must neither block nor do slow work: add the numbers up and let somebody
// else look at the sums.
type Progress interface {
	Add(ProgressDelta)
}

// ProgressDelta is what happened since the last call. All counts are additions,
// except that Path replaces the one before.
type ProgressDelta struct {
	Files  int64 // finished: backed up, restored or verified
	Dirs   int64
	Others int64 // links, fifos, sockets, devices
	Bytes  int64 // content read, written or verified
	// Unchanged is content that was not touched because it is known to be as it
	// should.
	Unchanged int64
	Stored    int64 // bytes added to the repository, as stored
	Failed    int64 // entries that could not be done
	// ExpectFiles and ExpectBytes add to the estimate of the whole: Bytes plus
	// Unchanged will end near the sum of ExpectBytes.
	ExpectFiles int64
	ExpectBytes int64
	// Path is what is worked on now; "" leaves it as it was.
	Path string
}

// noProgress is used when nobody watches.
type noProgress struct{}

func (noProgress) Add(ProgressDelta) {}

func progressOr(p Progress) Progress {
	if p == nil {
		return noProgress{}
	}
	return p
}

// Printable makes text of a path: as it is when it is valid UTF-8 without
// control characters and backslashes, else with these, and all bytes that are
// not UTF-8, as \xNN. Different paths give different texts.
func Printable(path string) string {
	plain := func(r rune) bool { return unicode.IsPrint(r) && r != '\\' }
	if utf8.ValidString(path) && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		if (r != utf8.RuneError || size > 1) && plain(r) {
			b.WriteString(path[i : i+size])
		} else {
			for _, c := range []byte(path[i : i+size]) {
				b.WriteString(`\x`)
				b.WriteString(strconv.FormatUint(uint64(c)|0x100, 16)[1:])
			}
		}
		i += size
	}
	return b.String()
}

// ParsePrintable returns the path that [Printable] shows as text. What is no
// such escape stands for itself.
func ParsePrintable(text string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, `\x`)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i])
		text = text[i:]
		if len(text) >= 4 {
			if c, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				text = text[4:]
				continue
			}
		}
		b.WriteString(text[:2])
		text = text[2:]
	}
}
