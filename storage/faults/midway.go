package faults

import (
	"io"

	"mahavishnu/storage"
)

// midway is what a rule does to an operation that has begun, as networks do.
type midway struct {
	lose     error // after it was done
	broken   error // after so many bytes of a body, or names of a listing
	breakAt  int64
	breaking bool
}

// Lose lets a put, delete or sync be done, and makes it fail with err all the same: the
// answer was lost on the way.
func (r *Rule) Lose(err error) *Rule { r.midway.lose = err; return r }

// Break makes the body of a get fail with err after n bytes, or a listing after n
// names.
func (r *Rule) Break(n int64, err error) *Rule {
	r.midway.breakAt, r.midway.broken, r.midway.breaking = n, err, true
	return r
}

func (m midway) lost(op Op, name string) error {
	if m.lose == nil {
		return nil
	}
	return &storage.Error{Op: string(op), Object: name, Err: m.lose}
}

// body returns a body that breaks where the rule says.
func (m midway) body(name string, body io.ReadCloser) io.ReadCloser {
	if !m.breaking {
		return body
	}
	return &breaking{ReadCloser: body, left: m.breakAt, err: &storage.Error{Op: string(Get), Object: name, Err: m.broken}}
}

type breaking struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// names returns the callback of a listing that breaks where the rule says.
func (m midway) names(prefix string, fn func(storage.Info) error) func(storage.Info) error {
	if !m.breaking {
		return fn
	}
	left := m.breakAt
	return func(i storage.Info) error {
		if left--; left < 0 {
			return &storage.Error{Op: string(List), Object: prefix, Err: m.broken}
		}
		return fn(i)
	}
}
