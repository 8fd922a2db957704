package gcs_test

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
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest/servers"
)

var sentinels = []error{
	backend.ErrNotFound, backend.ErrExists, backend.ErrShort, backend.ErrFull, backend.ErrDenied,
	backend.ErrRetained, backend.ErrArchived, backend.ErrDamaged, backend.ErrUnsupported,
}

// Each answer of the service becomes the error a caller decides on.
func TestAnswersAreClassified(t *testing.T) {
	var seen tap
	be := open(t, unserved(&seen))
	cases := []struct {
		status          int
		reason, message string
		want            error // nil: none of those a caller decides on
		temporary       bool
		hint            string
	}{
		{403, "forbidden", "x does not have storage.objects.create access", backend.ErrDenied, false, "Storage Object User"},
		{401, "authError", "Invalid Credentials", backend.ErrDenied, false, "wrong or have expired"},
		{403, "forbidden", "Permission denied on Cloud KMS key", backend.ErrDenied, false, "CryptoKey Encrypter"},
		{403, "accountDisabled", "The billing account is disabled", backend.ErrDenied, false, "billing"},
		{403, "vpcServiceControls", "Request is prohibited by organization's policy", backend.ErrDenied, false, "service perimeter"},
		{404, "notFound", "The specified bucket does not exist.", nil, false, "buckets create gs://backups"},
		{412, "conditionNotMet", "", backend.ErrExists, false, ""},
		{403, "retentionPolicyNotMet", "Object is subject to bucket's retention policy", backend.ErrRetained, false, "retention has ended"},
		{403, "objectUnderActiveHold", "", backend.ErrRetained, false, "hold was released"},
		{403, "forbidden", "Object retention prohibits it until 2030", backend.ErrRetained, false, ""},
		{400, "invalid", "Provided CRC32C doesn't match calculated CRC32C", backend.ErrDamaged, true, ""},
		{400, "resourceIsEncryptedWithCustomerEncryptionKey", "", backend.ErrDenied, false, "customer_key_file="},
		{403, "rateLimitExceeded", "", nil, true, ""},
		{403, "quotaExceeded", "", backend.ErrFull, false, "quota"},
		{507, "", "", backend.ErrFull, false, "free space"},
		{500, "backendError", "", nil, true, ""},
		{502, "", "", nil, true, ""},
		{503, "backendError", "", nil, true, ""},
		{504, "gatewayTimeout", "", nil, true, ""},
		{429, "rateLimitExceeded", "", nil, true, ""},
		{408, "uploadBrokenConnection", "", nil, true, ""},
		{400, "invalid", "Invalid argument", nil, false, ""},
		{501, "notImplemented", "", nil, false, ""},
	}
	for _, c := range cases {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return say(r, c.status, c.reason, c.message, "Retry-After", "7"), nil
		}
		err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{IfAbsent: true})
		want := c.want
		if errors.Is(want, backend.ErrRetained) {
			want = backend.ErrExists // what is kept is there
			if !errors.Is(err, want) {
				t.Errorf("%d %s: a conditional put: %v, want ErrExists", c.status, c.reason, err)
			}
			err = be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{})
		}
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) != errors.Is(c.want, sentinel) {
				t.Errorf("%d %s: %v; is it %q: %v", c.status, c.reason, err, sentinel, errors.Is(err, sentinel))
			}
		}
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) != c.temporary {
			t.Errorf("%d %s: temporary is %v, want %v", c.status, c.reason, !c.temporary, c.temporary)
		} else if c.temporary && c.want == nil && temporary.After != 7*time.Second {
			t.Errorf("%d %s: to wait %v, the server asks for 7s", c.status, c.reason, temporary.After)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%d %s: hints %q, want %q", c.status, c.reason, hints, c.hint)
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Op != "write" || e.Object != "b" {
			t.Errorf("%d %s: %v does not name its operation and object", c.status, c.reason, err)
		}
	}
	if asked := seen.take(); len(asked) != len(cases)+3 {
		t.Errorf("%d requests for %d puts: the SDK tries again by itself", len(asked), len(cases)+3)
	}
	for what, do := range map[string]func() error{
		"get":    func() error { _, err := be.Get(t.Context(), "a", 0, -1); return err },
		"stat":   func() error { _, err := be.Stat(t.Context(), "a"); return err },
		"list":   func() error { return be.List(t.Context(), "", nil) },
		"delete": func() error { return be.Delete(t.Context(), "a") },
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return say(r, http.StatusServiceUnavailable, "backendError", "", "Retry-After", "3"), nil
		}
		wantTemporary(t, what, do())
		if asked := seen.take(); len(asked) != 1 {
			t.Errorf("%s: %q, want one request", what, asked)
		}
	}
}

// A missing bucket is not a missing object, which would look like a place without a
// repository, or with everything lost.
func TestMissingBucket(t *testing.T) {
	s := servers.GCS(t)
	c := configure(s, "p")
	c.Bucket = "nobody-made-it"
	for name, do := range map[string]func(*gcs.Backend) error{
		"put":    func(be *gcs.Backend) error { return be.Put(t.Context(), "a", nil, backend.PutOptions{}) },
		"get":    func(be *gcs.Backend) error { _, err := be.Get(t.Context(), "a", 0, -1); return err },
		"range":  func(be *gcs.Backend) error { _, err := be.Get(t.Context(), "a", 5, 5); return err },
		"stat":   func(be *gcs.Backend) error { _, err := be.Stat(t.Context(), "a"); return err },
		"sync":   func(be *gcs.Backend) error { return be.Sync(t.Context(), []string{"a"}) },
		"list":   func(be *gcs.Backend) error { return be.List(t.Context(), "", nil) },
		"delete": func(be *gcs.Backend) error { return be.Delete(t.Context(), "a") },
	} {
		err := do(open(t, c))
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "buckets create gs://nobody-made-it") {
			t.Errorf("%s: %v, hints %q", name, err, hints)
		}
	}
}

// A server that is gone is a temporary failure; one with an old TLS, or in the clear
// on a network, is refused for good.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	l.Close()
	be := open(t, gcs.Config{Bucket: "backups", Endpoint: gone})
	_, getErr := be.Get(t.Context(), "a", 0, -1)
	for what, err := range map[string]error{
		"put": be.Put(t.Context(), "a", nil, backend.PutOptions{}), "get": getErr, "list": be.List(t.Context(), "", nil), "delete": be.Delete(t.Context(), "a"),
	} {
		wantTemporary(t, what+" of nobody", err)
	}
	if _, err := gcs.Open(t.Context(), gcs.Config{Bucket: "backups", Endpoint: "http://storage.example.com"}); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("plain HTTP to a network: %v", err)
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	// Google's own name is not loopback's, so the rule for networks applies.
	c := gcs.Config{Bucket: "backups", Proxy: "direct", Credentials: account(t, tokens(t, nil).URL)}
	c.Wrap = func(next http.RoundTripper) http.RoundTripper {
		next.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "storage.googleapis.com:443" {
				t.Errorf("a connection to %s", address)
			}
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

// A listing that goes round in circles, or breaks off, is an error and not an end.
func TestListingsThatNeverEnd(t *testing.T) {
	for name, page := range map[string]string{"circles": `{"nextPageToken": "again"}`, "half": `{"items": [{"name": "p/a"`, "nothing": ``} {
		seen := tap{answer: func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, page), nil
		}}
		if err := open(t, unserved(&seen)).List(t.Context(), "", func(backend.Info) error { return nil }); err == nil {
			t.Errorf("%s: the listing ended well", name)
		}
	}
}

// A listing shows what a put could have made, and nothing else.
func TestForeignObjects(t *testing.T) {
	seen := tap{answer: func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, `{"items": [{"name": "p/a", "size": "5"}, {"name": "p/dir/"}, {"name": "p/with space"}, {"name": "pq/other"}, {"name": "elsewhere"}]}`), nil
	}}
	var names []string
	if err := open(t, unserved(&seen)).List(t.Context(), "", func(i backend.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(names, " ") != "a" {
		t.Errorf("listed %q, want a alone", names)
	}
}
