package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
)

// alone takes away what the machine's own environment would say of credentials.
func alone(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func profile(name, access, secret string) string {
	return fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, access, secret)
}

// The standard chain finds credentials where every other program does.
func TestChain(t *testing.T) {
	s := servers.S3(t)
	for name, c := range map[string]struct {
		set    func(t *testing.T, dir string)
		change func(*s3.Config)
	}{
		"environment": {func(t *testing.T, _ string) {
			t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
		}, nil},
		"shared file": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "credentials"), profile("default", s.AccessKey, s.SecretKey))
		}, nil},
		"profile": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "credentials"), profile("default", "wrong", "wrong")+profile("dr", s.AccessKey, s.SecretKey))
		}, func(c *s3.Config) { c.Profile = "dr" }},
		"container": {func(t *testing.T, _ string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", tells(t, s, nil))
		}, nil},
		"instance": {func(t *testing.T, _ string) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", tells(t, s, nil))
		}, nil},
		"role": {func(t *testing.T, _ string) {
			t.Setenv("AWS_ACCESS_KEY_ID", "somebody")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "else")
			t.Setenv("AWS_ENDPOINT_URL_STS", tells(t, s, nil))
		}, func(c *s3.Config) { c.Role = "arn:aws:iam::123456789012:role/backup" }},
		"web identity": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "token"), "a.web.token")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(dir, "token"))
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup")
			t.Setenv("AWS_ENDPOINT_URL_STS", tells(t, s, nil))
		}, nil},
		"endpoint and region of the environment": {func(t *testing.T, _ string) {
			t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
			t.Setenv("AWS_ENDPOINT_URL_S3", s.Endpoint())
			t.Setenv("AWS_REGION", s.Region)
		}, func(c *s3.Config) { c.Endpoint, c.Region = "", "" }},
	} {
		t.Run(name, func(t *testing.T) {
			c.set(t, alone(t))
			config := configure(s, "p")
			config.AccessKey, config.SecretKey = "", ""
			if c.change != nil {
				c.change(&config)
			}
			be := open(t, config)
			put(t, be, "a", "x", backend.PutOptions{})
			wantText(t, be, "a", "x")
		})
	}
}

// tells is a server that hands out the owner's credentials: as the metadata of an
// instance, those of a container, and the security token service do.
func tells(t *testing.T, s *servers.S3Server, asked *atomic.Int64) string {
	t.Helper()
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	document := fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":%q}`, s.AccessKey, s.SecretKey, expires)
	role := fmt.Sprintf(`<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>%s</Expiration></Credentials>`,
		s.AccessKey, s.SecretKey, expires)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked != nil {
			asked.Add(1)
		}
		switch {
		case r.Method == http.MethodPut: // a session of the metadata service
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
			fmt.Fprint(w, "token")
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			fmt.Fprint(w, "backup")
		case r.Method == http.MethodGet:
			fmt.Fprint(w, document)
		default:
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			action := r.Form.Get("Action")
			fmt.Fprintf(w, "<%sResponse><%sResult>%s</%sResult></%sResponse>", action, action, role, action, action)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestNoCredentials(t *testing.T) {
	alone(t)
	s := servers.S3(t)
	c := configure(s, "p")
	c.AccessKey, c.SecretKey = "", ""
	be := open(t, c)
	err := be.Put(t.Context(), "a", nil, backend.PutOptions{})
	if !errors.Is(err, backend.ErrDenied) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), "AWS_ACCESS_KEY_ID") {
		t.Errorf("%v, hints %q; want ErrDenied and where credentials are looked for", err, fault.Hints(err))
	}
}

func TestHalfCredentials(t *testing.T) {
	for _, c := range []s3.Config{
		{Bucket: "backups", AccessKey: "a"},
		{Bucket: "backups", SecretKey: "hunter2"},
		{Bucket: "backups", SessionToken: "hunter2"},
		{Bucket: "backups", AccessKey: "a", SecretKey: "hunter2", Profile: "p"},
	} {
		if _, err := s3.Open(t.Context(), c); err == nil || len(fault.Hints(err)) == 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Credentials that expire in the middle are looked for again: those that were
// renewed in the meantime are taken by the next try, others are a clear end.
func TestCredentialsThatExpire(t *testing.T) {
	s := servers.S3(t)
	dir := alone(t)
	write(t, filepath.Join(dir, "credentials"), profile("default", "OLDKEY", "old"))
	expired := func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		if strings.Contains(r.Header.Get("Authorization"), "Credential=OLDKEY/") {
			return say(r, http.StatusBadRequest, "ExpiredToken", "The provided token has expired."), nil
		}
		return next.RoundTrip(r)
	}
	seen := tapped(expired)
	c := configure(s, "p")
	c.AccessKey, c.SecretKey, c.Wrap = "", "", seen.Wrap
	be := open(t, c)
	err := be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{})
	var temporary *backend.TemporaryError
	if !errors.Is(err, backend.ErrDenied) || errors.As(err, &temporary) {
		t.Errorf("expired, nothing new: %v, want ErrDenied for good", err)
	}
	write(t, filepath.Join(dir, "credentials"), profile("default", s.AccessKey, s.SecretKey))
	wantTemporary(t, "expired, renewed in the file", be.Put(t.Context(), "a", []byte("x"), backend.PutOptions{}))
	put(t, be, "a", "x", backend.PutOptions{})
	wantText(t, be, "a", "x")
}
