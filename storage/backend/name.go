package backend

import "strings"

// MaxName is the longest name of an object, and MaxPart of one part of it
// between slashes, in bytes.
const (
	MaxName = 512
	MaxPart = 250
)

// CheckName refuses a name that not every storage can hold as it is: names are
// relative, slash-separated, of parts made of letters, digits and "._%+@=-"; a
// part is not empty and does not start with a dot (such names are the
// backend's own).
func CheckName(op, name string) error {
	if !ValidName(name) {
		return badName(op, name)
	}
	return nil
}

// ValidName tells whether CheckName accepts the name.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxName {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || len(part) > MaxPart {
			return false
		}
		for i := range len(part) {
			if !validByte(part[i]) {
				return false
			}
		}
	}
	return true
}

// CheckPrefix accepts what List takes: "" or a name followed by a slash.
func CheckPrefix(op, prefix string) error {
	if prefix == "" {
		return nil
	}
	name, ok := strings.CutSuffix(prefix, "/")
	if !ok {
		return badName(op, prefix)
	}
	return CheckName(op, name)
}

func badName(op, name string) error {
	return &Error{Op: op, Object: quote(name), Err: ErrBadName}
}

// quote shows a refused name on one line, however wild it is.
func quote(name string) string {
	if len(name) > 80 {
		name = name[:80] + "..."
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, `"`+name+`"`), "?")
}

func validByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("._%+@=-", c) >= 0
}
