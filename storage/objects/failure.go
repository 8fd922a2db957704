package objects

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// Check is what every operation on an object does first: it refuses names that
// break the rules, and ends when the context has.
func Check(ctx context.Context, op, name string) error {
	if err := backend.CheckName(op, name); err != nil {
		return err
	}
	return Ended(ctx, op, name)
}

// Ended returns why the context ended, as the error of an operation; nil while it has
// not.
func Ended(ctx context.Context, op, object string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &backend.Error{Op: op, Object: object, Err: context.Cause(ctx)}
}

// Network returns an error that no server put into words: a TemporaryError when it
// may pass. The URL that net/http adds is left out, since it may carry a signature.
func Network(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	if errors.Is(err, io.EOF) {
		err = errCut // nobody is to take it for the end of what was read
	}
	if errors.Is(err, errCut) || remote.Temporary(err) {
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) {
			return err
		}
		return &backend.TemporaryError{Err: err}
	}
	return err
}

// Line returns the first line of what a server or a library said, shortened: errors are
// shown on one line.
func Line(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	const longest = 300
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return strings.TrimSpace(text)
}
