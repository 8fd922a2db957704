package servers

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
)

// S3Server speaks the protocol of S3.
type S3Server struct {
	*Process
	// AccessKey and SecretKey are those of the server's owner, who may do all.
	AccessKey, SecretKey string
	// Region is what requests are signed for.
	Region string
	// Bucket exists and is empty.
	Bucket string

	dir, versions, users string
	locked               bool
}

// S3Option changes how an S3 server is set up.
type S3Option func(*S3Server)

// Versioning keeps the versions of objects of the bucket.
func Versioning() S3Option { return func(s *S3Server) { s.versions = "yes" } }

// ObjectLock makes the bucket one whose objects can be locked, which takes versions.
func ObjectLock() S3Option {
	return func(s *S3Server) { s.versions, s.locked = "yes", true }
}

// Users makes room for users beside the owner: see [S3Server.AddUser].
func Users() S3Option { return func(s *S3Server) { s.users = "yes" } }

// S3 starts an S3 server with one bucket.
func S3(t testing.TB, options ...S3Option) *S3Server {
	t.Helper()
	s := &S3Server{AccessKey: "owner-of-the-test", SecretKey: "a-secret-that-must-not-be-seen", Region: "eu-test-1", Bucket: "backups"}
	for _, o := range options {
		o(s)
	}
	s.dir = directory(t, "objects")
	if s.versions != "" {
		s.versions = directory(t, "versions")
	}
	if s.users != "" {
		s.users = directory(t, "users")
	}
	path := program(t, "versitygw")
	s.Process = begin(t, func(address string) *exec.Cmd {
		args := []string{"--port", address, "--region", s.Region, "--quiet", "--keep-alive"}
		if s.users != "" {
			args = append(args, "--iam-dir", s.users, "--iam-cache-disable")
		}
		args = append(args, "posix")
		if s.versions != "" {
			args = append(args, "--versioning-dir", s.versions)
		}
		//nolint:noctx // ended by Stop, which lets it finish what it writes
		cmd := exec.Command(path, append(args, s.dir)...)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
		return cmd
	})
	s.MakeBucket(s.Bucket)
	return s
}

// URL returns the location of a prefix in the bucket.
func (s *S3Server) URL(prefix string) string { return s.Through(s.Endpoint(), prefix) }

// Through returns the location of a prefix in the bucket, for requests that take
// their way through another endpoint.
func (s *S3Server) Through(endpoint, prefix string) string {
	q := url.Values{"endpoint": {endpoint}, "region": {s.Region}}
	return "s3://" + s.Bucket + "/" + prefix + "?" + q.Encode()
}

// MakeBucket makes another bucket, with versions and locks as the first has them.
func (s *S3Server) MakeBucket(name string) {
	s.t.Helper()
	h := http.Header{}
	if s.locked {
		h.Set("X-Amz-Bucket-Object-Lock-Enabled", "true")
	}
	s.send(http.MethodPut, "/"+name, "", h, nil)
	if s.versions != "" && !s.locked {
		s.send(http.MethodPut, "/"+name, "versioning=", nil,
			[]byte(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`))
	}
}

// Delete deletes an object of the bucket as anybody does who has the credentials:
// without naming a version, which leaves a marker where versions are kept.
func (s *S3Server) Delete(key string) {
	s.send(http.MethodDelete, "/"+s.Bucket+"/"+key, "", nil, nil)
}

// Put writes over an object of the bucket as anybody does who has the credentials.
func (s *S3Server) Put(key, data string) {
	s.send(http.MethodPut, "/"+s.Bucket+"/"+key, "", nil, []byte(data))
}

// AddUser adds a user who may do nothing but what the bucket's policy allows. The
// server must have been started with [Users].
func (s *S3Server) AddUser(accessKey, secretKey string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program(s.t, "versitygw"), "admin", "--access", s.AccessKey, "--secret", s.SecretKey,
		"--region", s.Region, "--endpoint-url", s.Endpoint(), "create-user", "--access", accessKey, "--secret", secretKey, "--role", "user")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("add a user: %v\n%s", err, out)
	}
}

// SetPolicy sets the bucket's policy, a document in JSON.
func (s *S3Server) SetPolicy(policy string) {
	s.t.Helper()
	s.send(http.MethodPut, "/"+s.Bucket, "policy=", nil, []byte(policy))
}

// send makes a request with the owner's signature.
func (s *S3Server) send(method, path, query string, h http.Header, body []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.Endpoint()+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.URL.RawQuery = query
	for name, values := range h {
		req.Header[name] = values
	}
	s.sign(req, body, clock.System().Now())
	call(s.t, req)
}

// sign signs a request by AWS Signature Version 4, as far as setting up a server
// takes: no more than one query parameter, paths that need no escaping.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
func (s *S3Server) sign(req *http.Request, body []byte, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	sum := sha256.Sum256(body)
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	headers := map[string]string{"host": req.URL.Host}
	for name := range req.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			headers[lower] = req.Header.Get(name)
		}
	}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	canonical := req.Method + "\n" + req.URL.Path + "\n" + req.URL.RawQuery + "\n"
	for _, name := range names {
		canonical += name + ":" + headers[name] + "\n"
	}
	signed := strings.Join(names, ";")
	canonical += "\n" + signed + "\n" + hex.EncodeToString(sum[:])
	hash := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{stamp[:8], s.Region, "s3", "aws4_request"}, "/")
	key := []byte("AWS4" + s.SecretKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", s.AccessKey, scope, signed, signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
