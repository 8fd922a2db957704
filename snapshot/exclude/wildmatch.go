package exclude

import (
	"errors"
	"strings"
)

// result of matching. The two failures that go beyond "not here" stop the
// search early: without them patterns with several stars take exponential time.
type result uint8

const (
	mismatch result = iota
	matched
	hopeless  // the text is too short, whatever stars above try
	needsMore // only a ** further up could help
)

// wildmatch matches glob against text. A slash is matched by a slash or by **
// only.
func wildmatch(glob, text string) result {
	start := glob
	for len(glob) > 0 {
		c := glob[0]
		if text == "" && c != '*' {
			return hopeless
		}
		switch c {
		case '*':
			return matchStar(start, glob, text)
		case '?':
			if text[0] == '/' {
				return mismatch
			}
		case '[':
			in, rest, err := matchSet(glob[1:], text[0])
			if err != nil {
				return hopeless
			}
			if !in || text[0] == '/' {
				return mismatch
			}
			glob, text = rest, text[1:]
			continue
		case '\\':
			if glob = glob[1:]; glob == "" || glob[0] != text[0] {
				return mismatch
			}
		default:
			if c != text[0] {
				return mismatch
			}
		}
		glob, text = glob[1:], text[1:]
	}
	if text != "" {
		return mismatch
	}
	return matched
}

// matchStar matches a glob that begins with one or more stars; start is the
// whole of which glob is the end.
func matchStar(start, glob, text string) result {
	rest := strings.TrimLeft(glob, "*")
	before := len(start) - len(glob)
	slashes := false // whether the stars match slashes
	if len(glob)-len(rest) > 1 && (before == 0 || start[before-1] == '/') &&
		(rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`)) {
		if rest != "" && rest[0] == '/' && wildmatch(rest[1:], text) == matched {
			return matched // "**/" stands for no directory at all
		}
		slashes = true
	}
	if rest == "" {
		if !slashes && strings.Contains(text, "/") {
			return mismatch
		}
		return matched
	}
	if !slashes && rest[0] == '/' {
		i := strings.IndexByte(text, '/')
		if i < 0 {
			return mismatch
		}
		return wildmatch(rest, text[i:])
	}
	for ; text != ""; text = text[1:] {
		switch r := wildmatch(rest, text); {
		case r != mismatch:
			if !slashes || r != needsMore {
				return r
			}
		case !slashes && text[0] == '/':
			return needsMore
		}
	}
	return hopeless
}

// matchSet matches c against a set whose opening bracket is already taken, and
// returns what follows the closing one.
func matchSet(glob string, c byte) (in bool, rest string, err error) {
	open := errors.New("a set [...] is not closed")
	negated := false
	if glob != "" && (glob[0] == '!' || glob[0] == '^') {
		negated, glob = true, glob[1:]
	}
	previous := -1 // lower end of a range, if one may begin here
	for first := true; ; first = false {
		if glob == "" {
			return false, "", open
		}
		ch := glob[0]
		switch {
		case ch == ']' && !first:
			return in != negated, glob[1:], nil
		case ch == '\\':
			if len(glob) < 2 {
				return false, "", open
			}
			in = in || c == glob[1]
			previous, glob = int(glob[1]), glob[2:]
		case ch == '-' && previous >= 0 && len(glob) > 1 && glob[1] != ']':
			glob = glob[1:]
			if glob[0] == '\\' {
				if glob = glob[1:]; glob == "" {
					return false, "", open
				}
			}
			in = in || int(c) >= previous && c <= glob[0]
			previous, glob = -1, glob[1:]
		case strings.HasPrefix(glob, "[:"):
			end := strings.IndexByte(glob[2:], ']')
			if end < 0 {
				return false, "", open
			}
			class := glob[2 : 2+end]
			if !strings.HasSuffix(class, ":") {
				in = in || c == '['
				previous, glob = '[', glob[1:]
				continue
			}
			test, ok := classes[class[:len(class)-1]]
			if !ok {
				return false, "", errors.New("unknown class [:" + class + "]")
			}
			in = in || test(c)
			previous, glob = -1, glob[2+end+1:]
		default:
			in = in || c == ch
			previous, glob = int(ch), glob[1:]
		}
	}
}

// classes are the POSIX character classes as git has them.
var classes = map[string]func(byte) bool{
	"alnum":  func(c byte) bool { return letter(c) || digit(c) },
	"alpha":  letter,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < 0x20 || c == 0x7f },
	"digit":  digit,
	"graph":  func(c byte) bool { return c > 0x20 && c < 0x7f },
	"lower":  func(c byte) bool { return c >= 'a' && c <= 'z' },
	"print":  func(c byte) bool { return c >= 0x20 && c < 0x7f },
	"punct":  func(c byte) bool { return c > 0x20 && c < 0x7f && !letter(c) && !digit(c) },
	"space":  func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' },
	"upper":  func(c byte) bool { return c >= 'A' && c <= 'Z' },
	"xdigit": func(c byte) bool { return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' },
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
