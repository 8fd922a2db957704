package azure_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Many tests share a server, which takes its time to start: each has a container of its own.
func TestServer(t *testing.T) {
	s := servers.Azure(t)
	for name, test := range map[string]func(*testing.T, *servers.AzureServer){
		"Archive":                     testArchive,
		"ContextEndsAReadInTheMiddle": testContextEndsAReadInTheMiddle,
		"Credentials":                 testCredentials,
		"DeleteWithoutVersions":       testDeleteWithoutVersions,
		"MissingContainer":            testMissingContainer,
		"RangesThatChangeOnTheWay":    testRangesThatChangeOnTheWay,
		"RefusedCredentials":          testRefusedCredentials,
		"Requests":                    testRequests,
		"Resume":                      testResume,
		"RetentionThatIsOff":          testRetentionThatIsOff,
		"RightsThatABackupNeeds":      testRightsThatABackupNeeds,
		"WithoutPrefix":               testWithoutPrefix,
	} {
		t.Run(name, func(t *testing.T) {
			own := *s
			own.Container = strings.ToLower(name)
			s.MakeContainer(own.Container)
			test(t, &own)
		})
	}
}

// configure returns what opens a prefix of the server's container with its account's key.
func configure(s *servers.AzureServer, prefix string) azure.Config {
	return azure.Config{Container: s.Container, Prefix: prefix, Endpoint: s.Endpoint(), Account: s.Account, AccountKey: s.Key}
}

// unserved returns what opens a place whose requests are all answered by the test.
func unserved(seen *tap) azure.Config {
	return azure.Config{
		Container: "backups", Prefix: "p", Endpoint: "http://127.0.0.1:1", Account: "devstoreaccount1", AccountKey: "aGVsbG8=", Wrap: seen.wrap,
	}
}

func open(t testing.TB, c azure.Config) *azure.Backend {
	t.Helper()
	be, err := azure.Open(t.Context(), c)
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
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "IDENTITY_") || strings.HasPrefix(name, "MSI_") || strings.HasPrefix(name, "IMDS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil { // Setenv brings it back
				t.Fatal(err)
			}
		}
	}
}

func put(t testing.TB, be *azure.Backend, name, data string, o backend.PutOptions) {
	t.Helper()
	if err := be.Put(t.Context(), name, []byte(data), o); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func read(ctx context.Context, be *azure.Backend, name string, offset, length int64) ([]byte, error) {
	r, err := be.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// wantText checks that the whole object is what it should be.
func wantText(t testing.TB, be *azure.Backend, name, want string) {
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
	headers  []http.Header
	answer   func(next http.RoundTripper, r *http.Request) (*http.Response, error)
}

func (p *tap) wrap(next http.RoundTripper) http.RoundTripper {
	return trip(func(r *http.Request) (*http.Response, error) {
		p.mu.Lock()
		q := r.URL.Query()
		asked := []string{r.Method, r.URL.Path}
		for _, name := range []string{"comp", "versionid"} {
			if v := q.Get(name); v != "" {
				asked = append(asked, name+"="+v)
			}
		}
		p.requests = append(p.requests, strings.Join(asked, " "))
		header := http.Header{}
		for name, values := range r.Header { // the SDK spells some in small letters
			header[http.CanonicalHeaderKey(name)] = values
		}
		p.headers = append(p.headers, header)
		p.mu.Unlock()
		if p.answer != nil {
			r = r.Clone(r.Context())
			r.Header = header
			return p.answer(next, r)
		}
		return next.RoundTrip(r)
	})
}

// take returns the requests since it was called last, and their headers.
func (p *tap) take() ([]string, []http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests, headers := p.requests, p.headers
	p.requests, p.headers = nil, nil
	return requests, headers
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// say is an answer of the server's kind.
func say(r *http.Request, status int, code string, header ...string) *http.Response {
	body := ""
	if r.Method != http.MethodHead && status >= 300 {
		body = "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>What the server says.</Message></Error>"
	}
	return sayBody(r, status, body, append(slices.Clone(header), "X-Ms-Error-Code", code)...)
}

// sayBody is an answer with a body of one's own.
func sayBody(r *http.Request, status int, body string, header ...string) *http.Response {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	h := http.Header{"Content-Type": {"application/xml"}, "X-Ms-Request-Id": {"REQUEST1"}}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			h.Set(header[i], header[i+1])
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
