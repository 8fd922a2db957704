// Package location reads the parameters of URLs that name storage, such as
// s3://bucket/prefix?region=eu-west-1: the same rules and the same errors for
// every kind of storage.
//
// A parameter that is not known is refused, with the name that was probably
// meant: a misspelt option would otherwise be a backup that is stored in another
// way than its owner believes. Secrets are refused as well, since URLs are shown
// in logs, process lists and error messages.
package location

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mahavishnu/fault"
)

const op = "open storage"

// secrets are names, or parts of them, of what may not be in a URL.
var secrets = []string{"secret", "password", "passwd", "token", "credential", "access_key", "account_key", "private_key", "sas", "sig"}

// Params are the parameters of a URL, each given at most once.
type Params map[string]string

// Parse returns the parameters behind the question mark. known are the names
// this kind of storage understands; where says how secrets are given instead,
// as a sentence for the operator.
func Parse(u *url.URL, known []string, where string) (Params, error) {
	shown := Shown(u)
	if u.User != nil {
		return nil, fault.New(op, shown, errors.New("a user or password in the URL"), where)
	}
	if u.Fragment != "" {
		return nil, fault.New(op, shown, errors.New("a part after #"), "write # as %23 when it is part of a name")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fault.New(op, shown, errors.New("the part after ? cannot be read"), "write it as name=value, several joined by &, and special characters as %XX")
	}
	params := Params{}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		switch {
		case slices.Contains(known, name):
		case isSecret(name):
			return nil, fault.New(op, shown, fmt.Errorf("the parameter %s would put a secret into the URL", quote(name)), where)
		default:
			return nil, unknown(shown, name, known)
		}
		if len(values) != 1 {
			return nil, fault.New(op, shown, fmt.Errorf("the parameter %s is given %d times", name, len(values)), "give it once")
		}
		if values[0] == "" {
			return nil, fault.New(op, shown, fmt.Errorf("the parameter %s is empty", name), "give it a value, or leave it out")
		}
		params[name] = values[0]
	}
	return params, nil
}

// Shown returns the URL as it may be shown: without what is behind the question
// mark, which may be anything before it was checked, and without a user, also where
// a slash too many put that into the path.
func Shown(u *url.URL) string {
	return Masked((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// login is who logs in with which secret: NAME:SECRET@. A secret may have slashes in it.
var login = regexp.MustCompile(`(?i)[^/]*(?::|%(?:25)*3A).*(?:@|%(?:25)*40)`)

// HasLogin tells whether a text looks as if somebody logged in with a secret in it,
// whatever it is otherwise.
func HasLogin(text string) bool {
	text, _, _ = strings.Cut(text, "?")
	_, rest := scheme(text)
	return login.MatchString(rest)
}

// Masked returns a text that may be a misspelt URL as it may be shown: without what is
// behind the question mark, and without a login.
func Masked(text string) string {
	text, _, _ = strings.Cut(text, "?")
	begin, rest := scheme(text)
	return begin + login.ReplaceAllString(rest, "********@")
}

// beginning is what looks like that of a URL, rightly spelled or not: a word with a
// colon and slashes behind it, or two slashes alone.
var beginning = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([:;.]/+|//+)`)

func scheme(text string) (begin, rest string) {
	begin = beginning.FindString(text)
	return begin, text[len(begin):]
}

// Bool returns a parameter that is true or false; ok is false when it is not given.
func (p Params) Bool(name string) (value, ok bool, err error) {
	text, ok := p[name]
	switch text {
	case "true":
		return true, true, nil
	case "false", "":
		return false, ok, nil
	}
	return false, ok, fault.New(op, name+"="+quote(text), errors.New("neither true nor false"), "write "+name+"=true or "+name+"=false")
}

// OneOf refuses a value that is not one of a few, naming the near one.
func OneOf(name, value string, choices []string) error {
	if value == "" || slices.Contains(choices, value) {
		return nil
	}
	hint := "write one of " + strings.Join(choices, ", ")
	if near := Nearest(value, choices); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return fault.New(op, name+"="+quote(value), errors.New("not a value that is known"), hint)
}

func isSecret(name string) bool {
	plain := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	return slices.ContainsFunc(secrets, func(s string) bool {
		if len(s) <= 3 {
			return plain == s
		}
		return strings.Contains(plain, s) || strings.Contains(strings.ReplaceAll(plain, "_", ""), strings.ReplaceAll(s, "_", ""))
	})
}

func unknown(shown, name string, known []string) error {
	hint := "known are " + strings.Join(known, ", ")
	if near := Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return fault.New(op, shown, fmt.Errorf("the parameter %s is not known", quote(name)), hint)
}

// quote shows a word of the user's on one short line.
func quote(word string) string {
	if len(word) > 40 {
		word = word[:40] + "..."
	}
	return fmt.Sprintf("%q", word)
}

// Nearest returns the candidate that a word was probably meant to be: the one
// that differs least, by at most a third of its letters; "" when none is near.
func Nearest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, fewest := "", len(word)/3+1
	for _, c := range candidates {
		if n := distance(plain(word), plain(c)); n < fewest {
			best, fewest = c, n
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, corner+cost)
		}
	}
	return row[len(b)]
}
