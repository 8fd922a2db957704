package servers

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// GCSServer speaks the protocol of Google Cloud Storage, and asks for no
// credentials.
type GCSServer struct {
	*Process
	// Bucket exists and is empty.
	Bucket string
}

// GCSOption changes how a Google Cloud Storage server is set up.
type GCSOption func(*gcsSettings)

type gcsSettings struct{ inMemory, versions bool }

// InMemory keeps objects in the server's memory. They are gone when it stops, and
// their names may be as long as Google allows: as files, some are too long.
func InMemory() GCSOption { return func(s *gcsSettings) { s.inMemory = true } }

// Versions has the bucket keep versions of its objects, which takes a server that keeps
// objects in its memory.
func Versions() GCSOption { return func(s *gcsSettings) { s.inMemory, s.versions = true, true } }

// GCS starts a Google Cloud Storage server with one bucket.
func GCS(t testing.TB, options ...GCSOption) *GCSServer {
	t.Helper()
	path := program(t, "fake-gcs-server")
	s := &GCSServer{Bucket: "backups"}
	var settings gcsSettings
	for _, o := range options {
		o(&settings)
	}
	kept := []string{"-backend", "memory"}
	if !settings.inMemory {
		kept = []string{"-backend", "filesystem", "-filesystem-root", directory(t, "objects")}
	}
	s.Process = begin(t, func(address string) *exec.Cmd {
		host, port, _ := net.SplitHostPort(address)
		//nolint:noctx // ended by Stop, which lets it finish what it writes
		return exec.Command(path, append(kept, "-scheme", "http", "-host", host, "-port", port, "-public-host", address,
			"-external-url", "http://"+address, "-log-level", "error")...)
	})
	s.makeBucket(s.Bucket, settings.versions)
	return s
}

// URL returns the location of a prefix in the bucket.
func (s *GCSServer) URL(prefix string) string { return s.Through(s.Endpoint(), prefix) }

// Through returns the location of a prefix in the bucket, for requests that take
// their way through another endpoint.
func (s *GCSServer) Through(endpoint, prefix string) string {
	return "gs://" + s.Bucket + "/" + prefix + "?" + url.Values{"endpoint": {endpoint}}.Encode()
}

// MakeBucket makes another bucket.
func (s *GCSServer) MakeBucket(name string) {
	s.t.Helper()
	s.makeBucket(name, false)
}

// Delete deletes an object as somebody would who is not us: in a bucket with versions the
// live one becomes one of the past.
func (s *GCSServer) Delete(name string) {
	s.t.Helper()
	at := s.Endpoint() + "/storage/v1/b/" + s.Bucket + "/o/" + url.PathEscape(name)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, at, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	call(s.t, req)
}

func (s *GCSServer) makeBucket(name string, versions bool) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Endpoint()+"/storage/v1/b?project=test",
		strings.NewReader(fmt.Sprintf(`{"name": %q, "versioning": {"enabled": %v}}`, name, versions)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	call(s.t, req)
}
