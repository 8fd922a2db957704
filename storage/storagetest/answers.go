package storagetest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// sentinels are the errors that a caller decides on.
var sentinels = []error{
	storage.ErrNotFound, storage.ErrExists, storage.ErrShort, storage.ErrFull, storage.ErrDenied,
	storage.ErrRetained, storage.ErrArchived, storage.ErrDamaged, storage.ErrUnsupported,
}

// Answer is one of a server's to a put, and what a backend should make of it.
type Answer struct {
	Status int
	// Code is the server's own word for what is wrong, and Message what it says beside.
	Code, Message string
	// Want is which of the errors it is that a caller decides on; nil is none of them.
	Want error
	// Temporary is whether it may be tried again.
	Temporary bool
	// Hint is a part of the hint.
	Hint string
}

// Waits is what servers ask a client to wait in the answers that [RunAnswers] gives.
const Waits = 7 * time.Second

// RunAnswers checks that each answer becomes the error that a caller decides on, with the
// wait that the server asks for, after one request. say makes an answer of the server's
// kind, with headers; says returns parts of what the error tells, and may be nil.
func RunAnswers(t *testing.T, be storage.Backend, seen *Tap, say func(r *http.Request, a Answer, headers ...string) *http.Response, says func(Answer) []string, answers []Answer) {
	for _, a := range answers {
		seen.Take()
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return say(r, a, "Retry-After", "7"), nil
		}
		err := be.Put(t.Context(), "b", []byte("x"), storage.PutOptions{})
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) != errors.Is(a.Want, sentinel) {
				t.Errorf("%d %s: %v; is it %q: %v", a.Status, a.Code, err, sentinel, errors.Is(err, sentinel))
			}
		}
		var temporary *storage.TemporaryError
		if errors.As(err, &temporary) != a.Temporary {
			t.Errorf("%d %s: temporary is %v, want %v", a.Status, a.Code, !a.Temporary, a.Temporary)
		} else if a.Temporary && a.Want == nil && temporary.After != Waits {
			t.Errorf("%d %s: to wait %v, the server asks for %v", a.Status, a.Code, temporary.After, Waits)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, a.Hint) {
			t.Errorf("%d %s: hints %q, want %q", a.Status, a.Code, hints, a.Hint)
		}
		var e *storage.Error
		if !errors.As(err, &e) || e.Op != "write" || e.Object != "b" {
			t.Errorf("%d %s: %v does not name its operation and object", a.Status, a.Code, err)
		}
		if says != nil {
			for _, part := range says(a) {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%d %s: %v does not say %q", a.Status, a.Code, err, part)
				}
			}
		}
		if asked := seen.Take().Asked; len(asked) != 1 {
			t.Errorf("%d %s: %q for one put: the SDK tries again by itself", a.Status, a.Code, asked)
		}
		if errors.Is(a.Want, storage.ErrRetained) { // what is kept is there
			if err := be.Put(t.Context(), "b", []byte("x"), storage.PutOptions{IfAbsent: true}); !errors.Is(err, storage.ErrExists) {
				t.Errorf("%d %s: a conditional put: %v, want ErrExists", a.Status, a.Code, err)
			}
		}
	}
	// The other operations tell that a server is busy just as well, after one request.
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return say(r, Answer{Status: http.StatusServiceUnavailable}, "Retry-After", "7"), nil
	}
	for what, do := range operations(t, be) {
		seen.Take()
		WantTemporary(t, what, do())
		if asked := seen.Take().Asked; len(asked) != 1 {
			t.Errorf("%s: %q, want one request", what, asked)
		}
	}
}

// operations are all that one may do with an object.
func operations(t *testing.T, be storage.Backend) map[string]func() error {
	return map[string]func() error{
		"put":    func() error { return be.Put(t.Context(), "a", nil, storage.PutOptions{}) },
		"get":    func() error { _, err := Read(t.Context(), be, "a", 0, -1); return err },
		"range":  func() error { _, err := Read(t.Context(), be, "a", 5, 5); return err },
		"stat":   func() error { _, err := be.Stat(t.Context(), "a"); return err },
		"sync":   func() error { return be.Sync(t.Context(), []string{"a"}) },
		"list":   func() error { return be.List(t.Context(), "", func(storage.Info) error { return nil }) },
		"delete": func() error { return be.Delete(t.Context(), "a") },
	}
}

// RunMissingPlace checks that a bucket or container that is missing is no missing object,
// which would look like a place without a repository, or with everything lost. hint says
// how it is made.
func RunMissingPlace(t *testing.T, open func() storage.Backend, hint string) {
	for name := range operations(t, nil) {
		err := operations(t, open())[name]()
		if err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, hint) {
			t.Errorf("%s: %v, hints %q, want %q", name, err, hints, hint)
		}
	}
}

// RunListings checks that a listing which goes round in circles, or breaks off, is an
// error and not an end. pages are such answers, by what is wrong with them.
func RunListings(t *testing.T, be storage.Backend, seen *Tap, pages map[string]string) {
	for name, page := range pages {
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return Reply(r, http.StatusOK, page), nil
		}
		if err := be.List(t.Context(), "", func(storage.Info) error { return nil }); err == nil {
			t.Errorf("%s: the listing ended well", name)
		}
	}
}

// WantNames checks what is listed.
func WantNames(t *testing.T, be storage.Backend, want ...string) {
	t.Helper()
	var names []string
	if err := be.List(t.Context(), "", func(i storage.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
}
