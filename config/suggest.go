package config

import (
	"errors"
	"fmt"
	"strings"
)

// nearest returns the candidate that name was probably meant to be, or "": the
// only one that begins with it, or the one that differs least, by at most a
// third of the letters. Capitals, dashes and spaces do not count.
func nearest(name string, candidates []string) string {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '-' || r == ' ' {
				return '_'
			}
			return r
		}, strings.ToLower(s))
	}
	var begun []string
	for _, c := range candidates {
		if len(name) >= 4 && strings.HasPrefix(plain(c), plain(name)) {
			begun = append(begun, c)
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	best, bestDistance := "", len(name)/3+1
	for _, c := range candidates {
		if d := distance(plain(name), plain(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (Damerau-Levenshtein, optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// choiceError refuses a value that is not one of a few.
type choiceError struct {
	value, what string
	choices     []string
}

func notOneOf(value, what string, choices []string) error {
	return &choiceError{value, what, choices}
}

func (e *choiceError) Error() string {
	return fmt.Sprintf("%q is not %s: write one of %s", e.value, e.what, strings.Join(e.choices, ", "))
}

// suggestionOf returns what was probably meant, when err knows.
func suggestionOf(err error) string {
	var choice *choiceError
	if !errors.As(err, &choice) {
		return ""
	}
	return nearest(choice.value, choice.choices)
}
