package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Error is one thing that is wrong in a configuration.
type Error struct {
	// File is the configuration file, or what else the value came from: "the
	// environment", "the command line". Empty for a configuration that came from
	// nowhere, the defaults.
	File string
	// Line and Column count from 1; 0 when the error is not about a place.
	Line, Column int
	// Excerpt is the line itself, secrets masked.
	Excerpt string
	// Key is the dotted path of the setting: "backup.encryption.key_path".
	Key string
	// Message says what is wrong and what would be right.
	Message string
	// Suggestion is the name or value that was probably meant.
	Suggestion string
}

// Error renders the place, the message, the line with a caret under the
// culprit, and the suggestion.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", cmp.Or(e.File, "configuration"), e.Line, e.Column)
	case e.File != "":
		b.WriteString(e.File + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Message)
	if e.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Suggestion)
	}
	if e.Line > 0 && strings.TrimSpace(e.Excerpt) != "" {
		gutter := fmt.Sprintf("%5d | ", e.Line)
		line, column := window(e.Excerpt, e.Column)
		fmt.Fprintf(&b, "\n%s%s\n%s| %s^", gutter, line, strings.Repeat(" ", len(gutter)-2), indentTo(line, column))
	}
	return b.String()
}

// window returns the part of a long line around a column, and the column in it.
func window(line string, column int) (string, int) {
	const width, before = 150, 60
	runes := []rune(line)
	if len(runes) <= width {
		return line, column
	}
	start := max(0, min(column-before, len(runes)-width))
	part := string(runes[start:min(len(runes), start+width)])
	if start > 0 {
		part, start = "..."+part, start-len("...")
	}
	if len(runes) > start+width+len("...") {
		part += "..."
	}
	return part, column - start
}

// indentTo returns white space as wide as what stands before the column, tabs
// kept, so that the caret stands under it in any terminal.
func indentTo(line string, column int) string {
	var b strings.Builder
	n := 1
	for _, r := range line {
		if n >= column {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		n++
	}
	return b.String()
}

// Errors are all the things that are wrong in a configuration, in the order of
// the file.
type Errors []*Error

// Error renders every error, one after the other.
func (es Errors) Error() string {
	texts := make([]string, 0, len(es)+1)
	for _, e := range es {
		texts = append(texts, e.Error())
	}
	switch {
	case len(es) >= maxErrors:
		texts = append(texts, fmt.Sprintf("the first %d errors in the configuration", len(es)))
	case len(es) > 1:
		texts = append(texts, fmt.Sprintf("%d errors in the configuration", len(es)))
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As find the single errors.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}
