// Package fault is the shape of every error that reaches an operator: what was
// being done, to which object, why it failed, and what to do next.
//
// Packages return typed sentinel errors for callers that decide, wrapped in an
// [Error] for people who read.
package fault

import (
	"errors"
	"slices"
	"strings"
)

// Error is an operation that failed on an object.
type Error struct {
	// Op names the operation as the operator knows it: "read key ring".
	Op string
	// Object names what it was done to: a path, an object name, a job id.
	Object string
	// Err is the cause; it may be nil when Op and Hint say all there is.
	Err error
	// Hint is the next thing to do, as a sentence or a command. Optional.
	Hint string
}

// New returns an Error. Any argument but op may be zero.
func New(op, object string, err error, hint string) *Error {
	return &Error{Op: op, Object: object, Err: err, Hint: hint}
}

// Error renders "op object: cause". The hint is left to [Hints], so that it is
// shown once, at the end, however deep the error is wrapped.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Object != "" {
		b.WriteByte(' ')
		b.WriteString(e.Object)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Join is errors.Join without those that say what one before has said: what stops
// some work often stops its orderly end, too, and is told once.
func Join(errs ...error) error {
	said := map[string]bool{}
	return errors.Join(slices.DeleteFunc(slices.Clone(errs), func(err error) bool {
		if err == nil || said[err.Error()] {
			return true
		}
		said[err.Error()] = true
		return false
	})...)
}

// WithHint adds the next thing to do to an error whose text says all else.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error     { return h.error }
func (h *hinted) FaultHint() string { return h.hint }

// Hints collects the hints of err and of everything it wraps, outermost first,
// each once.
func Hints(err error) []string {
	var hints []string
	seen := map[string]bool{}
	var visit func(error)
	visit = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(interface{ FaultHint() string }); ok && h.FaultHint() != "" && !seen[h.FaultHint()] {
			seen[h.FaultHint()] = true
			hints = append(hints, h.FaultHint())
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				visit(e)
			}
			return
		}
		visit(errors.Unwrap(err))
	}
	visit(err)
	return hints
}

// FaultHint lets [Hints] find the hint; other error types may implement it too.
func (e *Error) FaultHint() string { return e.Hint }
