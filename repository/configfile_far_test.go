package repository

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// A storage that nobody listens at is asked for the configuration once: its copy would
// be waited for as long again.
func TestStorageThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	be := faults.Wrap(r.Backend())
	var asked []string
	be.On(faults.Get).Times(-1).Do(func(name string) { asked = append(asked, name) }).Fail(&storage.TemporaryError{Err: refused})
	_, err := Open(t.Context(), be, ring, OpenOptions{})
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, ErrNotRepository) {
		t.Errorf("%v, want the refused connection", err)
	}
	if got := strings.Join(asked, " "); got != configName {
		t.Errorf("asked for %q, want the configuration once", got)
	}
}

// Whoever is told to stop while it looks whether there is a repository does not say that there
// is none.
func TestOpeningThatIsInterrupted(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	be := faults.Wrap(r.Backend())
	ctx, cancel := context.WithCancel(t.Context())
	be.On(faults.Get).Fail(storage.ErrNotFound)
	be.On(faults.Get).Do(func(string) { cancel() }).Fail(context.Canceled)
	if _, err := Open(ctx, be, ring, OpenOptions{}); !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v, want that it was interrupted", err)
	}
}
