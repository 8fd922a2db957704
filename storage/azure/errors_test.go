package azure_test

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
	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
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
	for _, c := range []struct {
		status    int
		code      string
		want      error // nil: none of those a caller decides on
		temporary bool
		hint      string
	}{
		{403, "AuthorizationPermissionMismatch", backend.ErrDenied, false, "Storage Blob Data Contributor"},
		{403, "AuthenticationFailed", backend.ErrDenied, false, "has expired"},
		{401, "NoAuthenticationInformation", backend.ErrDenied, false, "wrong or has expired"},
		{403, "AuthorizationFailure", backend.ErrDenied, false, "network rules"},
		{403, "KeyBasedAuthenticationNotPermitted", backend.ErrDenied, false, "takes no keys"},
		{403, "AccountIsDisabled", backend.ErrDenied, false, "switched off"},
		{403, "KeyVaultEncryptionKeyNotFound", backend.ErrDenied, false, "key vault"},
		{404, "ContainerNotFound", nil, false, "az storage container create --name backups"},
		{404, "BlobNotFound", backend.ErrNotFound, false, ""},
		{404, "", backend.ErrNotFound, false, ""},
		{409, "BlobAlreadyExists", backend.ErrExists, false, ""},
		{412, "ConditionNotMet", backend.ErrExists, false, ""},
		{403, "UnauthorizedBlobOverwrite", backend.ErrExists, false, ""},
		{412, "LeaseIdMissing", backend.ErrDenied, false, "lease break"},
		{409, "BlobImmutableDueToPolicy", backend.ErrRetained, false, "wait until"},
		{409, "BlobImmutableDueToLegalHold", backend.ErrRetained, false, "legal hold"},
		{409, "BlobArchived", backend.ErrArchived, false, "rehydrated"},
		{409, "BlobBeingRehydrated", backend.ErrArchived, false, "rehydrated"},
		{409, "BlobUsesCustomerSpecifiedEncryption", backend.ErrDenied, false, "customer_key_file="},
		{416, "InvalidRange", backend.ErrShort, false, ""},
		{400, "Md5Mismatch", backend.ErrDamaged, true, ""},
		{400, "UnsupportedHeader", backend.ErrUnsupported, false, "tier="},
		{507, "", backend.ErrFull, false, "free space"},
		{500, "InternalError", nil, true, ""},
		{500, "OperationTimedOut", nil, true, ""},
		{502, "", nil, true, ""},
		{503, "ServerBusy", nil, true, ""},
		{504, "", nil, true, ""},
		{429, "TooManyRequests", nil, true, ""},
		{408, "", nil, true, ""},
		{409, "AccountBeingCreated", nil, true, ""},
		{400, "InvalidHeaderValue", nil, false, ""},
		{501, "", nil, false, ""},
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return say(r, c.status, c.code, "Retry-After", "7"), nil
		}
		err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{})
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) != errors.Is(c.want, sentinel) {
				t.Errorf("%d %s: %v; is it %q: %v", c.status, c.code, err, sentinel, errors.Is(err, sentinel))
			}
		}
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) != c.temporary {
			t.Errorf("%d %s: temporary is %v, want %v", c.status, c.code, !c.temporary, c.temporary)
		} else if c.temporary && c.want == nil && temporary.After != 7*time.Second {
			t.Errorf("%d %s: to wait %v, the server asks for 7s", c.status, c.code, temporary.After)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%d %s: hints %q, want %q", c.status, c.code, hints, c.hint)
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Op != "write" || e.Object != "b" {
			t.Errorf("%d %s: %v does not name its operation and object", c.status, c.code, err)
		}
	}
	if asked, _ := seen.take(); len(asked) != 33 {
		t.Errorf("%d requests for 33 puts: the SDK tries again by itself", len(asked))
	}
}

// A missing container is not a missing object, which would look like a place without a
// repository, or with everything lost.
func testMissingContainer(t *testing.T, s *servers.AzureServer) {
	c := configure(s, "p")
	c.Container = "nobody-made-it"
	be := open(t, c)
	for name, do := range map[string]func() error{
		"put":    func() error { return be.Put(t.Context(), "a", nil, backend.PutOptions{}) },
		"get":    func() error { _, err := be.Get(t.Context(), "a", 0, -1); return err },
		"range":  func() error { _, err := be.Get(t.Context(), "a", 5, 5); return err },
		"stat":   func() error { _, err := be.Stat(t.Context(), "a"); return err },
		"sync":   func() error { return be.Sync(t.Context(), []string{"a"}) },
		"list":   func() error { return be.List(t.Context(), "", nil) },
		"delete": func() error { return be.Delete(t.Context(), "a") },
	} {
		err := do()
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "container create --name nobody-made-it") {
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
	c := azure.Config{Container: "backups", Account: "acc", AccountKey: "aGVsbG8=", Endpoint: gone}
	wantTemporary(t, "put to nobody", open(t, c).Put(t.Context(), "a", nil, backend.PutOptions{}))

	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	// The account's public name is not loopback's, so the rule for networks applies.
	c.Endpoint, c.Proxy = "", "direct"
	c.Wrap = func(next http.RoundTripper) http.RoundTripper {
		next.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "acc.blob.core.windows.net:443" {
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
	var seen tap
	be := open(t, unserved(&seen))
	const head = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults>`
	for name, page := range map[string]string{
		"circles": head + `<Blobs></Blobs><NextMarker>again</NextMarker></EnumerationResults>`,
		"half":    head + `<Blobs><Blob><Name>p/a</Name>`,
		"nothing": ``,
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, page), nil
		}
		if err := be.List(t.Context(), "", func(backend.Info) error { return nil }); err == nil {
			t.Errorf("%s: the listing ended well", name)
		}
	}
}

// A listing shows what a put could have made, and nothing else; directories of an account
// with a hierarchical namespace are none.
func TestForeignBlobsAreNotObjects(t *testing.T) {
	var seen tap
	be := open(t, unserved(&seen))
	entry := func(name, properties string) string {
		return `<Blob><Name>` + name + `</Name><Properties><Content-Length>5</Content-Length>` + properties + `</Properties></Blob>`
	}
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, `<EnumerationResults><Blobs>`+
			entry("p/a", "")+entry("p/dir", "<ResourceType>directory</ResourceType>")+entry("p/with space", "")+entry("pq/other", "")+entry("elsewhere", "")+
			`</Blobs><NextMarker/></EnumerationResults>`), nil
	}
	var names []string
	if err := be.List(t.Context(), "", func(i backend.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(names, " ") != "a" {
		t.Errorf("listed %q, want a alone", names)
	}
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, "", "X-Ms-Meta-Hdi_isfolder", "true", "Content-Length", "0"), nil
	}
	if _, err := be.Stat(t.Context(), "dir"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Stat of a directory: %v", err)
	}
	if _, err := be.Get(t.Context(), "dir", 0, -1); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Get of a directory: %v", err)
	}
}
