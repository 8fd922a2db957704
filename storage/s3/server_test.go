package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configure returns what opens a prefix of the server's bucket with its owner's keys.
func configure(s *servers.S3Server, prefix string) s3.Config {
	return s3.Config{
		Bucket: s.Bucket, Prefix: prefix, Endpoint: s.Endpoint(), Region: s.Region,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey,
	}
}

func open(t testing.TB, c s3.Config) *s3.Backend {
	t.Helper()
	be, err := s3.Open(t.Context(), c)
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

// owner returns a plain client with the owner's keys, which looks at and does what
// no backend would.
func owner(t testing.TB, s *servers.S3Server) *sdk.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String(s.Endpoint()), Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

// versions returns how many versions and markers of a key the server has.
func versions(t testing.TB, client *sdk.Client, bucket, key string) (kept, markers int) {
	t.Helper()
	out, err := client.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Versions), len(out.DeleteMarkers)
}

func put(t testing.TB, be *s3.Backend, name, data string, o backend.PutOptions) {
	t.Helper()
	if err := be.Put(t.Context(), name, []byte(data), o); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func read(ctx context.Context, be *s3.Backend, name string, offset, length int64) ([]byte, error) {
	r, err := be.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// wantText checks that the whole object is what it should be.
func wantText(t testing.TB, be *s3.Backend, name, want string) {
	t.Helper()
	got, err := read(t.Context(), be, name, 0, -1)
	if err != nil || string(got) != want {
		t.Errorf("%s = %q, %v; want %q", name, got, err, want)
	}
}

// wantTemporary checks that an error may be tried again.
func wantTemporary(t testing.TB, what string, err error) {
	t.Helper()
	var temporary *backend.TemporaryError
	if !errors.As(err, &temporary) {
		t.Errorf("%s: %v is no TemporaryError", what, err)
	}
}

// tap sees the requests of a backend, and may answer them in the server's place.
type tap struct {
	mu       sync.Mutex
	requests []string // method, path and what is asked for
	answer   func(next http.RoundTripper, r *http.Request) (*http.Response, error)
}

func (p *tap) wrap(next http.RoundTripper) http.RoundTripper {
	return trip(func(r *http.Request) (*http.Response, error) {
		p.mu.Lock()
		var asked []string
		for name := range r.URL.Query() {
			if name != "x-id" {
				asked = append(asked, name)
			}
		}
		p.requests = append(p.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+strings.Join(asked, "&")))
		p.mu.Unlock()
		if p.answer != nil {
			return p.answer(next, r)
		}
		return next.RoundTrip(r)
	})
}

// take returns the requests since it was called last.
func (p *tap) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests = nil
	return requests
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// say is an answer of the server's kind.
func say(r *http.Request, status int, code, message string, header ...string) *http.Response {
	body := ""
	if r.Method != http.MethodHead && status >= http.StatusMultipleChoices {
		body = "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	h := http.Header{"Content-Type": {"application/xml"}, "X-Amz-Request-Id": {"REQUEST1"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: r,
	}
}

func putInput(bucket, key, data string) *sdk.PutObjectInput {
	return &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(data)}
}
