package s3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
)

// Each answer of a server becomes the error a caller decides on.
func TestAnswersAreClassified(t *testing.T) {
	s := servers.S3(t)
	var seen tap
	c := configure(s, "p")
	c.Wrap = seen.wrap
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{})
	for _, c := range []struct {
		status    int
		code      string
		want      error // nil: none of those a caller decides on
		temporary bool
		hint      string
	}{
		{403, "AccessDenied", backend.ErrDenied, false, "s3:PutObject on arn:aws:s3:::backups/p/*"},
		{401, "Unauthorized", backend.ErrDenied, false, "s3:PutObject"},
		{403, "InvalidAccessKeyId", backend.ErrDenied, false, "not known there"},
		{403, "SignatureDoesNotMatch", backend.ErrDenied, false, "secret key is wrong"},
		{400, "ExpiredToken", backend.ErrDenied, false, "renew the credentials"},
		{403, "ExpiredToken", backend.ErrDenied, false, "renew the credentials"},
		{403, "RequestTimeTooSkewed", nil, true, "set the clock"},
		{412, "PreconditionFailed", backend.ErrExists, false, ""},
		{409, "ConditionalRequestConflict", nil, true, ""},
		{409, "OperationAborted", nil, true, ""},
		{404, "NoSuchBucket", nil, false, "create the bucket backups"},
		{403, "InvalidObjectState", backend.ErrArchived, false, "thaw"},
		{403, "QuotaExceeded", backend.ErrFull, false, "quota"},
		{507, "InsufficientStorage", backend.ErrFull, false, "free space"},
		{400, "XMinioStorageFull", backend.ErrFull, false, "free space"},
		{500, "InternalError", nil, true, ""},
		{502, "", nil, true, ""},
		{503, "SlowDown", nil, true, ""},
		{503, "ServiceUnavailable", nil, true, ""},
		{504, "GatewayTimeout", nil, true, ""},
		{429, "TooManyRequests", nil, true, ""},
		{408, "RequestTimeout", nil, true, ""},
		{400, "RequestTimeout", nil, true, ""},
		{400, "BadDigest", backend.ErrDamaged, true, ""},
		{400, "XAmzContentSHA256Mismatch", backend.ErrDamaged, true, ""},
		{501, "NotImplemented", backend.ErrUnsupported, false, "docs/storage-s3.md"},
		{400, "InvalidStorageClass", backend.ErrUnsupported, false, "class="},
		{400, "MalformedXML", nil, false, ""},
		{301, "PermanentRedirect", nil, false, "region=eu-central-9"},
		{400, "AuthorizationHeaderMalformed", nil, false, "region=eu-central-9"},
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return say(r, c.status, c.code, "What the server says.", "X-Amz-Bucket-Region", "eu-central-9", "Retry-After", "7"), nil
		}
		err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{})
		for _, sentinel := range []error{
			backend.ErrNotFound, backend.ErrExists, backend.ErrShort, backend.ErrFull, backend.ErrDenied,
			backend.ErrRetained, backend.ErrArchived, backend.ErrDamaged, backend.ErrUnsupported,
		} {
			if errors.Is(err, sentinel) != (sentinel == c.want) { //nolint:errorlint // which of them it is
				t.Errorf("%d %s: %v; is it %q: %v", c.status, c.code, err, sentinel, errors.Is(err, sentinel))
			}
		}
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) != c.temporary {
			t.Errorf("%d %s: temporary is %v, want %v", c.status, c.code, !c.temporary, c.temporary)
		} else if c.temporary && temporary.After != 7*time.Second {
			t.Errorf("%d %s: to wait %v, the server asks for 7s", c.status, c.code, temporary.After)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%d %s: hints %q, want %q", c.status, c.code, hints, c.hint)
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Op != "write" || e.Object != "b" {
			t.Errorf("%d %s: %v does not name its operation and object", c.status, c.code, err)
		}
		for _, part := range []string{"HTTP ", "request REQUEST1", c.code} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%d %s: %v does not say %q", c.status, c.code, err, part)
			}
		}
	}
}

// A missing bucket is not a missing object, which would look like a place without
// a repository, or with everything lost.
func TestMissingBucket(t *testing.T) {
	s := servers.S3(t)
	c := configure(s, "p")
	c.Bucket = "nobody-made-it"
	for name, do := range map[string]func(*s3.Backend) error{
		"put":    func(be *s3.Backend) error { return be.Put(t.Context(), "a", nil, backend.PutOptions{}) },
		"get":    func(be *s3.Backend) error { _, err := be.Get(t.Context(), "a", 0, -1); return err },
		"range":  func(be *s3.Backend) error { _, err := be.Get(t.Context(), "a", 5, 5); return err },
		"stat":   func(be *s3.Backend) error { _, err := be.Stat(t.Context(), "a"); return err },
		"sync":   func(be *s3.Backend) error { return be.Sync(t.Context(), []string{"a"}) },
		"list":   func(be *s3.Backend) error { return be.List(t.Context(), "", nil) },
		"delete": func(be *s3.Backend) error { return be.Delete(t.Context(), "a") },
	} {
		err := do(open(t, c))
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "create the bucket nobody-made-it") {
			t.Errorf("%s: %v, hints %q", name, err, hints)
		}
	}
}

// asOnAWS answers like AWS does to credentials that may not list the whole bucket:
// missing objects are forbidden ones.
func asOnAWS(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusNotFound && !r.URL.Query().Has("list-type") {
		resp.Body.Close()
		return say(r, http.StatusForbidden, "AccessDenied", "Access Denied"), nil
	}
	return resp, err
}

func TestMissingObjectsThatLookForbidden(t *testing.T) {
	s := servers.S3(t)
	seen := tap{answer: asOnAWS}
	c := configure(s, "p")
	c.Wrap = seen.wrap
	be := open(t, c)
	put(t, be, "there-and-longer", "x", backend.PutOptions{})
	for name, do := range map[string]func() error{
		"stat":  func() error { _, err := be.Stat(t.Context(), "there"); return err },
		"get":   func() error { _, err := be.Get(t.Context(), "there", 0, -1); return err },
		"range": func() error { _, err := be.Get(t.Context(), "there", 2, 3); return err },
		"sync":  func() error { return be.Sync(t.Context(), []string{"there"}) },
	} {
		seen.take()
		if err := do(); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s of a missing object: %v, want ErrNotFound", name, err)
		}
		if got := seen.take(); len(got) != 2 {
			t.Errorf("%s: %q, want 2 requests", name, got)
		}
	}
	// An object that is there and may not be read stays forbidden.
	put(t, be, "there", "x", backend.PutOptions{})
	deny := func(what string) func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			isList := r.URL.Query().Has("list-type")
			if what == "all" || !isList {
				return say(r, http.StatusForbidden, "AccessDenied", "Access Denied"), nil
			}
			return next.RoundTrip(r)
		}
	}
	for what, hint := range map[string]string{"objects": "allow these credentials s3:GetObject", "all": "missing or forbidden"} {
		seen.answer = deny(what) //nolint:bodyclose // the client closes it
		_, err := be.Stat(t.Context(), "there")
		if !errors.Is(err, backend.ErrDenied) || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s denied: %v, want ErrDenied", what, err)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, hint) {
			t.Errorf("%s denied: hints %q, want %q", what, hints, hint)
		}
	}
	// The answer to a HEAD has no code; the listing tells that it was the token.
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return say(r, http.StatusBadRequest, "ExpiredToken", "The provided token has expired."), nil
	}
	if _, err := be.Stat(t.Context(), "there"); !errors.Is(err, backend.ErrDenied) || !strings.Contains(err.Error(), "ExpiredToken") {
		t.Errorf("Stat with an expired token: %v", err)
	}
}

// Wrong keys are told by what they are, and never repeated.
func TestWrongKeys(t *testing.T) {
	s := servers.S3(t)
	for name, change := range map[string]func(*s3.Config){
		"secret": func(c *s3.Config) { c.SecretKey = "hunter2-hunter2" },
		"access": func(c *s3.Config) { c.AccessKey, c.SecretKey = "NOBODY", "hunter2-hunter2" },
	} {
		c := configure(s, "p")
		change(&c)
		be := open(t, c)
		_, statErr := be.Stat(t.Context(), "a")
		for what, err := range map[string]error{
			"put": be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{}), "stat": statErr,
			"list": be.List(t.Context(), "", nil), "delete": be.Delete(t.Context(), "a"),
		} {
			if !errors.Is(err, backend.ErrDenied) {
				t.Errorf("%s, %s: %v, want ErrDenied", name, what, err)
				continue
			}
			if text := err.Error() + strings.Join(fault.Hints(err), ""); strings.Contains(text, "hunter2") {
				t.Errorf("%s, %s: the secret is in %q", name, what, text)
			}
		}
	}
}

// A server that is gone is a temporary failure; one with an old TLS, or in the
// clear on a network, is refused for good.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	l.Close()
	c := s3.Config{Bucket: "backups", Endpoint: gone, AccessKey: "a", SecretKey: "b"}
	wantTemporary(t, "put to nobody", open(t, c).Put(t.Context(), "a", nil, backend.PutOptions{}))

	c.Endpoint = "http://s3.example.com"
	if _, err := s3.Open(t.Context(), c); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("plain HTTP to a network: %v", err)
	}
	c.Endpoint = "https://s3.example.com"
	c.CAFile = "no-such-file.pem"
	if _, err := s3.Open(t.Context(), c); err == nil {
		t.Error("a CA file that is missing is taken")
	}

	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	// The endpoint's name is not loopback's, so the rule for networks applies.
	c.CAFile = ""
	c.Wrap = func(next http.RoundTripper) http.RoundTripper {
		next.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, old.Listener.Addr().String())
		}
		return next
	}
	err = open(t, c).Put(t.Context(), "a", nil, backend.PutOptions{})
	var temporary *backend.TemporaryError
	if err == nil || errors.As(err, &temporary) || !strings.Contains(err.Error(), "TLS 1.3") {
		t.Errorf("a server with TLS 1.2: %v", err)
	}
}
