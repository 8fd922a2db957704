package gcs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
)

// tokens is a server that hands out tokens, as Google's does.
func tokens(t *testing.T, status *atomic.Int64) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status != nil && status.Load() != 0 {
			http.Error(w, `{"error": "invalid_grant", "error_description": "hunter2"}`, int(status.Load()))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 3600}`, n.Add(1))
	}))
	t.Cleanup(s.Close)
	return s
}

// account returns the key of a service account, in JSON.
func account(t *testing.T, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "id", "client_email": "backup@p.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// empty answers as a bucket without objects, and keeps how it was asked.
func empty(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	return sayBody(r, http.StatusOK, `{}`), nil
}

// Credentials are found by value, in files, and where all programs look for Google's.
func TestCredentials(t *testing.T) {
	json := account(t, tokens(t, nil).URL)
	for name, set := range map[string]func(*testing.T, *gcs.Config){
		"value": func(_ *testing.T, c *gcs.Config) { c.Credentials = json },
		"file": func(t *testing.T, c *gcs.Config) {
			c.CredentialsFile = write(t, filepath.Join(t.TempDir(), "key"), json)
		},
		"GOOGLE_APPLICATION_CREDENTIALS": func(t *testing.T, c *gcs.Config) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, filepath.Join(t.TempDir(), "key"), json))
			c.Endpoint = ""
		},
		"login": func(t *testing.T, c *gcs.Config) {
			write(t, filepath.Join(os.Getenv("HOME"), ".config", "gcloud", "application_default_credentials.json"), json)
			write(t, filepath.Join(os.Getenv("APPDATA"), "gcloud", "application_default_credentials.json"), json)
			c.Endpoint = ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			seen := tapped(empty)
			c := unserved(seen)
			set(t, &c)
			be := open(t, c)
			for range 2 {
				if err := be.List(t.Context(), "", nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, h := range seen.Seen().Headers {
				if got := h.Get("Authorization"); !strings.HasPrefix(got, "Bearer ") || got != seen.Seen().Headers[0].Get("Authorization") {
					t.Errorf("Authorization is %q, the first time %q", got, seen.Seen().Headers[0].Get("Authorization"))
				}
			}
			if len(seen.Seen().Headers) != 2 {
				t.Errorf("%d requests for 2 listings", len(seen.Seen().Headers))
			}
		})
	}
}

// A server of this machine is asked without credentials, unless some are given for it.
func TestLoopbackIsAskedWithoutCredentials(t *testing.T) {
	alone(t)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, filepath.Join(t.TempDir(), "key"), account(t, tokens(t, nil).URL)))
	seen := tapped(empty)
	if err := open(t, unserved(seen)).List(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	if got := seen.Seen().Headers[0].Get("Authorization"); got != "" {
		t.Errorf("Authorization is %q", got)
	}
}

// Credentials that a server does not take any more are a clear end; the next try looks
// for them again, since the file may have been renewed.
func TestCredentialsThatExpire(t *testing.T) {
	alone(t)
	server := tokens(t, nil)
	file := write(t, filepath.Join(t.TempDir(), "key"), account(t, server.URL))
	seen := tapped(nil)
	c := unserved(seen)
	c.CredentialsFile = file
	be := open(t, c)
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			return say(r, http.StatusUnauthorized, "authError", "Invalid Credentials"), nil
		}
		return empty(nil, r)
	}
	err := be.List(t.Context(), "", nil)
	var temporary *backend.TemporaryError
	if !errors.Is(err, backend.ErrDenied) || errors.As(err, &temporary) || strings.Contains(err.Error(), "token-1") {
		t.Errorf("expired: %v, want ErrDenied for good", err)
	}
	if err := be.List(t.Context(), "", nil); err != nil {
		t.Errorf("after they were looked for again: %v", err)
	}
}

func TestWrongCredentials(t *testing.T) {
	alone(t)
	var status atomic.Int64
	server := tokens(t, &status)
	dir := t.TempDir()
	good := account(t, server.URL)
	broken := strings.Replace(good, "BEGIN PRIVATE KEY", "BEGIN hunter2 KEY", 1)
	for name, c := range map[string]struct {
		config    gcs.Config
		status    int
		temporary bool
	}{
		"no JSON":                 {config: gcs.Config{Credentials: "hunter2"}},
		"no kind":                 {config: gcs.Config{Credentials: `{"private_key": "hunter2"}`}},
		"another kind":            {config: gcs.Config{Credentials: `{"type": "hunter", "private_key": "hunter2"}`}},
		"a broken key":            {config: gcs.Config{Credentials: broken}},
		"no file":                 {config: gcs.Config{CredentialsFile: filepath.Join(dir, "none")}},
		"an empty file":           {config: gcs.Config{CredentialsFile: write(t, filepath.Join(dir, "empty"), "\n")}},
		"a deleted account":       {config: gcs.Config{Credentials: good}, status: http.StatusBadRequest},
		"a forbidden account":     {config: gcs.Config{Credentials: good}, status: http.StatusForbidden},
		"a busy token service":    {config: gcs.Config{Credentials: account(t, "http://127.0.0.1:1")}, temporary: true},
		"a token service in HTTP": {config: gcs.Config{Credentials: account(t, "http://token.example.com")}},
	} {
		status.Store(int64(c.status))
		seen := tapped(empty)
		config := unserved(seen)
		config.Credentials, config.CredentialsFile = c.config.Credentials, c.config.CredentialsFile
		err := open(t, config).Put(t.Context(), "a", []byte("x"), backend.PutOptions{})
		var temporary *backend.TemporaryError
		if errors.As(err, &temporary) != c.temporary || errors.Is(err, backend.ErrDenied) == c.temporary {
			t.Errorf("%s: %v, want temporary: %v, or ErrDenied", name, err, c.temporary)
			continue
		}
		if !c.temporary && len(fault.Hints(err)) == 0 {
			t.Errorf("%s: %v has no hint", name, err)
		}
		if text := err.Error() + strings.Join(fault.Hints(err), ""); strings.Contains(text, "hunter2") || strings.Contains(text, "PRIVATE") {
			t.Errorf("%s: the secret is in %q", name, text)
		}
		if asked := seen.Take().Asked; len(asked) != 0 {
			t.Errorf("%s: requests were made: %q", name, asked)
		}
	}
}

func TestWrongConfigurations(t *testing.T) {
	for name, c := range map[string]gcs.Config{
		"credentials twice":        {Credentials: "hunter2", CredentialsFile: "x"},
		"a customer key of 5":      {CustomerKey: "hunter2"},
		"a customer key twice":     {CustomerKey: "hunter2", CustomerKeyFile: "x"},
		"a customer key's file":    {CustomerKeyFile: write(t, filepath.Join(t.TempDir(), "key"), "hunter2")},
		"a customer key's no file": {CustomerKeyFile: filepath.Join(t.TempDir(), "none")},
		"a CA file that is none":   {CAFile: write(t, filepath.Join(t.TempDir(), "ca"), "hunter2")},
	} {
		c.Bucket = "backups"
		_, err := gcs.Open(t.Context(), c)
		if err == nil || len(fault.Hints(err)) == 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, hints %q", name, err, fault.Hints(err))
		}
	}
}
