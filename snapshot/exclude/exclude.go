// Package exclude decides which entries of a source are left out, by the rules
// of gitignore and nothing else, so that a pattern means what people know.
//
// # Rules
//
//   - One pattern a line. Empty lines and lines that begin with # are nothing;
//     spaces at the end do not count unless escaped.
//   - The last pattern that matches an entry decides; one that begins with !
//     takes the entry in again. What lies in an excluded directory cannot be
//     taken in again: the directory is never entered.
//   - A pattern with a slash at its beginning or in its middle is matched
//     against the path from the source's root; any other against the entry's
//     own name, at every depth. A slash at the end asks for a directory.
//   - * and ? match within a name, [...] a set of bytes, ** whole directories at
//     any depth when it stands between slashes or at an end. \ takes a special
//     character's meaning away. Matching is on bytes, case counts.
//   - Where git silently ignores a pattern that cannot match anything (a set
//     that is not closed, a backslash at the end), this package refuses it: an
//     exclusion that does not work should not go unnoticed.
//
// Source: gitignore(5) and the behaviour of git check-ignore, against which the
// tests run.
package exclude

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Matcher is a list of patterns. A nil Matcher excludes nothing. It does not
// change and may be shared.
type Matcher struct{ patterns []pattern }

type pattern struct {
	prefix   string // up to the first special character: compared
	glob     string // the rest
	negated  bool
	dirOnly  bool
	baseName bool // matched against the entry's own name
}

// New compiles patterns, the later ones overriding the earlier. All that are
// wrong are named in the error.
func New(patterns []string) (*Matcher, error) {
	m := &Matcher{}
	var wrong []error
	for i, line := range patterns {
		p, ok, err := parse(line)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("exclude pattern %d %q: %w", i+1, line, err))
		}
		if ok {
			m.patterns = append(m.patterns, p)
		}
	}
	return m, errors.Join(wrong...)
}

// Parse compiles the lines of a file in the format of .gitignore.
func Parse(text string) (*Matcher, error) {
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return New(lines)
}

// parse takes one line apart; ok is false when it holds no pattern.
func parse(line string) (p pattern, ok bool, err error) {
	line = trimSpaces(line)
	if line == "" || line[0] == '#' {
		return p, false, nil
	}
	if line[0] == '!' {
		p.negated, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") {
		p.dirOnly, line = true, line[:len(line)-1]
	}
	p.baseName = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return p, false, nil // "/" or "!": matches no entry
	}
	if err := check(line); err != nil {
		return p, false, err
	}
	// As in git, a ** that follows the prefix counts as standing at the start.
	p.prefix = line
	if i := strings.IndexAny(line, `*?[\`); i >= 0 {
		p.prefix, p.glob = line[:i], line[i:]
	}
	return p, true, nil
}

// trimSpaces removes spaces at the end, up to an escaped one.
func trimSpaces(s string) string {
	end := len(s)
	for end > 0 && s[end-1] == ' ' {
		end--
	}
	if end == len(s) {
		return s
	}
	slashes := 0
	for end-slashes > 0 && s[end-slashes-1] == '\\' {
		slashes++
	}
	if slashes%2 == 1 {
		end++
	}
	return s[:end]
}

// check finds what makes a pattern match nothing.
func check(glob string) error {
	for i := 0; i < len(glob); i++ {
		switch glob[i] {
		case 0:
			return errors.New("it holds a zero byte")
		case '\\':
			if i++; i == len(glob) {
				return errors.New("it ends in a backslash that escapes nothing")
			}
		case '[':
			_, rest, err := matchSet(glob[i+1:], 'x')
			if err != nil {
				return err
			}
			i = len(glob) - len(rest) - 1
		}
	}
	return nil
}

// Match reports whether the entry at path is excluded, supposing that the
// directories above it are not. The path is relative to the source's root,
// with slashes between names and none at the ends.
func (m *Matcher) Match(path string, dir bool) bool {
	if m == nil || len(m.patterns) == 0 {
		return false
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := len(m.patterns) - 1; i >= 0; i-- {
		p := &m.patterns[i]
		if p.dirOnly && !dir {
			continue
		}
		text := path
		if p.baseName {
			text = name
		}
		rest, ok := strings.CutPrefix(text, p.prefix)
		if ok && wildmatch(p.glob, rest) == matched {
			return !p.negated
		}
	}
	return false
}

// MatchPath reports whether the entry at path is excluded itself or lies in a
// directory that is.
func (m *Matcher) MatchPath(path string, dir bool) bool {
	for i := range len(path) {
		if path[i] == '/' && m.Match(path[:i], true) {
			return true
		}
	}
	return m.Match(path, dir)
}

// Empty reports whether nothing can match.
func (m *Matcher) Empty() bool { return m == nil || len(m.patterns) == 0 }

// CacheTag is the name of the file that marks a directory as a cache.
const CacheTag = "CACHEDIR.TAG"

const cacheSignature = "Signature: 8a477f597d28d172789f06886806bc55"

// IsCacheTag reports whether the content of a file called [CacheTag] is that of
// a real one (https://bford.info/cachedir/).
func IsCacheTag(r io.Reader) (bool, error) {
	var buf [len(cacheSignature)]byte
	_, err := io.ReadFull(r, buf[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return bytes.Equal(buf[:], []byte(cacheSignature)), err
}
