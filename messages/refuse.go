package messages

import (
	"fmt"
	"strings"
)

// RefusedError tells the sender of a job what to change. It is final: the same
// message can never be run.
type RefusedError struct {
	// Reason is the sentence, without the suggestion.
	Reason string
	// Field is the payload field at fault; "kind" and "region" are the
	// subject's. Empty when it is the payload as a whole.
	Field string
	// Suggestion is the nearest name that would do, or "".
	Suggestion string
	// Hint is a command or a step that helps, or "".
	Hint string
	// Line and Column are where it is, from 1, in characters; 0 when unknown.
	Line, Column int
}

// Error is the whole sentence.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString(e.Reason)
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d, column %d)", e.Line, e.Column)
	}
	if e.Suggestion != "" {
		b.WriteString("; did you mean " + quote(e.Suggestion) + "?")
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// FaultHint is the hint shown to operators.
func (e *RefusedError) FaultHint() string { return e.Hint }

// Nearest returns the candidate within a third of the name's length in edits,
// or "" when none is near.
func Nearest(name string, candidates []string) string {
	best, limit := "", max(len(name)/3, 1)+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(c), limit); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// editDistance is the optimal string alignment distance (insert, delete,
// replace, swap neighbours); anything from limit up is reported as limit.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j+1]+1, row[j]+1, prev[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return min(prev[len(b)], limit)
}

// quote shows a value in a sentence, cut when it is long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}

func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return "none"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
