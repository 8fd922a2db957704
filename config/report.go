package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// place is a position in the file; the zero place is the file as a whole.
type place struct{ line, column int }

// mark remembers where a setting stands.
type mark struct{ key, value place }

// reporter collects errors and knows where in the file each setting stands.
type reporter struct {
	file  string
	lines []string
	marks map[string]mark   // by dotted path
	from  map[string]string // settings that came from elsewhere, by dotted path
	errs  Errors
	// foreign is set for files that are not the configuration: its settings are
	// no help there.
	foreign bool
}

func newReporter(file, text string) *reporter {
	return &reporter{
		file: file, lines: strings.Split(text, "\n"),
		marks: map[string]mark{}, from: map[string]string{},
	}
}

// given reports whether a setting was given at all, rather than left to its
// default.
func (r *reporter) given(key string) bool {
	_, inFile := r.marks[key]
	return inFile || r.from[key] != ""
}

// value reports an error about a setting's value.
func (r *reporter) value(key, message string) { r.about(key, message, "") }

// about reports an error about a setting, at its value, or at the nearest
// section around it when it was not given. A setting that already has an error
// gets no second one: the first is usually the cause.
func (r *reporter) about(key, message, suggestion string) {
	if r.blamed(key) {
		return
	}
	if from := r.from[key]; from != "" {
		r.errs = append(r.errs, &Error{File: from, Key: key, Message: message, Suggestion: suggestion})
		return
	}
	if m, ok := r.marks[key]; ok {
		r.add(m.value, key, message, suggestion)
		return
	}
	for section := key; ; {
		i := strings.LastIndexAny(section, ".[")
		if i < 0 {
			r.add(r.marks[""].key, key, message, suggestion)
			return
		}
		section = section[:i]
		if m, ok := r.marks[section]; ok {
			r.add(m.key, key, message, suggestion)
			return
		}
	}
}

// missing reports that something is not given, unless an error in one of the
// sections already explains why.
func (r *reporter) missing(key, message string, unless ...string) {
	for _, e := range r.errs {
		for _, section := range unless {
			rest, within := strings.CutPrefix(e.Key, section)
			if within && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return
			}
		}
	}
	r.about(key, message, "")
}

// failed reports an error that a value's own parser returned.
func (r *reporter) failed(key string, at place, err error) {
	r.add(at, key, err.Error(), suggestionOf(err))
}

func (r *reporter) blamed(key string) bool {
	return slices.ContainsFunc(r.errs, func(e *Error) bool { return e.Key != "" && e.Key == key })
}

func (r *reporter) at(p place, key, message string) { r.add(p, key, message, "") }

func (r *reporter) atToken(tk *token.Token, key, message string) {
	r.add(placeOf(tk), key, message, "")
}

func (r *reporter) add(p place, key, message, suggestion string) {
	if r.full() {
		return
	}
	r.errs = append(r.errs, &Error{
		File: r.file, Line: p.line, Column: p.column, Excerpt: r.excerpt(p.line),
		Key: key, Message: message, Suggestion: suggestion,
	})
}

// maxErrors is how many errors are worth reading; a file with more is not a
// configuration.
const maxErrors = 100

// full reports that there are as many errors as are worth looking for.
func (r *reporter) full() bool { return len(r.errs) >= maxErrors }

// sorted returns the errors in the order of the file; those without a place
// come last.
func (r *reporter) sorted() Errors {
	slices.SortStableFunc(r.errs, func(a, b *Error) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return r.errs
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{}
	}
	return place{tk.Position.Line, tk.Position.Column}
}
