package gcs_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configure returns what opens a prefix of the server's bucket.
func configure(s *servers.GCSServer, prefix string) gcs.Config {
	return gcs.Config{Bucket: s.Bucket, Prefix: prefix, Endpoint: s.Endpoint()}
}

// unserved returns what opens a place whose requests are all answered by the test.
func unserved(seen *storagetest.Tap) gcs.Config {
	return gcs.Config{Bucket: "backups", Prefix: "p", Endpoint: "http://127.0.0.1:1", Wrap: seen.Wrap}
}

func open(t testing.TB, c gcs.Config) *gcs.Backend {
	t.Helper()
	be, err := gcs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return be
}

// alone takes away what the machine's own environment would say of credentials.
func alone(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "GOOGLE_") || strings.HasPrefix(name, "GCE_") || strings.HasPrefix(name, "STORAGE_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil { // Setenv brings it back
				t.Fatal(err)
			}
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("APPDATA", dir)
	t.Setenv("CLOUDSDK_CONFIG", dir)
}

// The kit that all object stores are tested with.
var (
	put           = storagetest.Put
	read          = storagetest.Read
	wantText      = storagetest.WantText
	wantTemporary = storagetest.WantTemporary
)

// tapped returns a tap that shows which version of an object is asked for, and how.
func tapped(answer func(http.RoundTripper, *http.Request) (*http.Response, error)) *storagetest.Tap {
	return &storagetest.Tap{Answer: answer, Query: storagetest.Values("alt", "generation", "ifGenerationMatch", "ifMetagenerationMatch", "versions", "kmsKeyName")}
}

// say is a refusal of the server's kind.
func say(r *http.Request, status int, reason, message string, header ...string) *http.Response {
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
	if err != nil {
		panic(err) // of strings and a number alone
	}
	return sayBody(r, status, string(body), header...)
}

// sayBody is an answer with a body of one's own.
func sayBody(r *http.Request, status int, body string, header ...string) *http.Response {
	return storagetest.Reply(r, status, body, append(slices.Clone(header), "Content-Type", "application/json; charset=UTF-8")...)
}
