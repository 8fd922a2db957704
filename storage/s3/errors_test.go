package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
)

func TestAnswersAreClassified(t *testing.T) {
	s := servers.S3(t)
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	be := open(t, c)
	var answers []storagetest.Answer
	for _, a := range []struct {
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
		answers = append(answers, storagetest.Answer{Status: a.status, Code: a.code, Want: a.want, Temporary: a.temporary, Hint: a.hint})
	}
	storagetest.RunAnswers(t, be, seen, func(r *http.Request, a storagetest.Answer, headers ...string) *http.Response {
		return say(r, a.Status, a.Code, "What the server says.", append(headers, "X-Amz-Bucket-Region", "eu-central-9")...)
	}, func(a storagetest.Answer) []string { return []string{"HTTP ", "request REQUEST1", a.Code} }, answers)
}

func TestMissingBucket(t *testing.T) {
	c := configure(servers.S3(t), "p")
	c.Bucket = "nobody-made-it"
	storagetest.RunMissingPlace(t, func() storage.Backend { return open(t, c) }, "create the bucket nobody-made-it")
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
	seen := tapped(asOnAWS)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	be := open(t, c)
	put(t, be, "there-and-longer", "x", backend.PutOptions{})
	for name, do := range map[string]func() error{
		"stat":  func() error { _, err := be.Stat(t.Context(), "there"); return err },
		"get":   func() error { _, err := be.Get(t.Context(), "there", 0, -1); return err },
		"range": func() error { _, err := be.Get(t.Context(), "there", 2, 3); return err },
		"sync":  func() error { return be.Sync(t.Context(), []string{"there"}) },
	} {
		seen.Take()
		if err := do(); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s of a missing object: %v, want ErrNotFound", name, err)
		}
		if got := seen.Take().Asked; len(got) != 2 {
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
		seen.Answer = deny(what) //nolint:bodyclose // the client closes it
		_, err := be.Stat(t.Context(), "there")
		if !errors.Is(err, backend.ErrDenied) || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s denied: %v, want ErrDenied", what, err)
		}
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, hint) {
			t.Errorf("%s denied: hints %q, want %q", what, hints, hint)
		}
	}
	// The answer to a HEAD has no code; the listing tells that it was the token.
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
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

func TestConnections(t *testing.T) {
	c := s3.Config{Bucket: "backups", AccessKey: "a", SecretKey: "hunter2"}
	storagetest.RunConnections(t, func(endpoint string) storage.Backend {
		c.Endpoint = endpoint
		return open(t, c)
	}, "s3.example.com:443", func(wrap func(http.RoundTripper) http.RoundTripper) storage.Backend {
		c.Endpoint, c.Wrap = "https://s3.example.com", wrap
		return open(t, c)
	})
	c.Wrap, c.Endpoint = nil, "http://s3.example.com"
	if _, err := s3.Open(t.Context(), c); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("plain HTTP to a network: %v", err)
	}
	c.Endpoint, c.CAFile = "https://s3.example.com", "no-such-file.pem"
	if _, err := s3.Open(t.Context(), c); err == nil {
		t.Error("a CA file that is missing is taken")
	}
}
