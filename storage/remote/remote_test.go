package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

func TestMain(m *testing.M) {
	// The environment's proxy is looked up once in a process. What goes to this
	// machine takes none.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, environmentProxy); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const environmentProxy = "http://proxy.example:3128"

// What a cloud tells its machines goes through no proxy, nor does what stays on this one.
func TestWhatTakesAProxy(t *testing.T) {
	for _, named := range []string{"", environmentProxy} {
		proxy, err := proxies("open", Options{Proxy: named})
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]bool{
			"https://bucket.s3.example": true, "http://169.254.169.254": false, "http://metadata.google.internal": false, "http://[fd00:ec2::254]": false,
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host+"/a", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if u, err := proxy(r); err != nil || (u != nil) != want {
				t.Errorf("%s through the proxy %q: %v, %v", host, named, u, err)
			}
		}
	}
}

// tlsServer starts a server with the certificate of example.com, and returns a
// file of the authority that signed it.
func tlsServer(t *testing.T, newest uint16, h http.HandlerFunc) (s *httptest.Server, caFile string) {
	t.Helper()
	s = httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{MaxVersion: newest} //nolint:gosec // an old server is what the test is about
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, caFile
}

// leadTo makes every connection go to one address, so that a server of this machine
// can have another's name.
func leadTo(address string) func(http.RoundTripper) http.RoundTripper {
	return func(rt http.RoundTripper) http.RoundTripper {
		rt.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		return rt
	}
}

func newClient(t *testing.T, o Options) *http.Client {
	t.Helper()
	c, err := Client(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get returns the body of the answer.
func get(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestOldTLSIsRefused(t *testing.T) {
	s, ca := tlsServer(t, tls.VersionTLS12, hello)
	c := newClient(t, Options{Endpoint: "https://example.com", CAFile: ca, Proxy: "direct", Wrap: leadTo(s.Listener.Addr().String())})
	_, err := get(t.Context(), c, "https://example.com/")
	if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), "TLS 1.3") || len(fault.Hints(err)) == 0 {
		t.Errorf("a server of TLS 1.2: %v (hints %q), want an error that says so", err, fault.Hints(err))
	}
	if Temporary(err) {
		t.Error("an old server is taken for one that may be new next time")
	}
	// The machine itself may speak what it likes.
	c = newClient(t, Options{Endpoint: s.URL, CAFile: ca})
	if body, err := get(t.Context(), c, s.URL); err != nil || string(body) != "hello" {
		t.Errorf("TLS 1.2 of this machine: %q, %v", body, err)
	}
}

func TestNewTLS(t *testing.T) {
	s, ca := tlsServer(t, tls.VersionTLS13, hello)
	c := newClient(t, Options{Endpoint: "https://example.com", CAFile: ca, Proxy: "direct", Wrap: leadTo(s.Listener.Addr().String())})
	if body, err := get(t.Context(), c, "https://example.com/"); err != nil || string(body) != "hello" {
		t.Errorf("TLS 1.3: %q, %v", body, err)
	}
	c = newClient(t, Options{Endpoint: "https://example.com", Proxy: "direct", Wrap: leadTo(s.Listener.Addr().String())})
	_, err := get(t.Context(), c, "https://example.com/")
	if err == nil || Temporary(err) || len(fault.Hints(err)) == 0 {
		t.Errorf("a certificate of an unknown authority: %v, want a lasting error with a hint", err)
	}
}

func TestPlainHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(hello))
	defer s.Close()
	c := newClient(t, Options{Endpoint: s.URL})
	if body, err := get(t.Context(), c, s.URL); err != nil || string(body) != "hello" {
		t.Errorf("plain HTTP of this machine: %q, %v", body, err)
	}
	for _, endpoint := range []string{"http://example.com", "http://10.0.0.1:9000", "http://169.254.169.254"} {
		if _, err := Client(Options{Endpoint: endpoint}); !errors.Is(err, ErrInsecure) {
			t.Errorf("Client of %s = %v, want ErrInsecure", endpoint, err)
		}
	}
	// Neither does a client speak so to anybody it was not made for.
	if _, err := get(t.Context(), newClient(t, Options{}), "http://example.com/"); !errors.Is(err, ErrInsecure) {
		t.Errorf("plain HTTP to another host: %v, want ErrInsecure", err)
	}
}

func TestRedirects(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/clear":
			http.Redirect(w, r, "http://example.com/", http.StatusTemporaryRedirect)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case "/page":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusTemporaryRedirect)
		default:
			hello(w, r)
		}
	}))
	defer s.Close()
	c := newClient(t, Options{Endpoint: s.URL})
	if _, err := get(t.Context(), c, s.URL+"/clear"); !errors.Is(err, ErrInsecure) {
		t.Errorf("a redirect into the clear: %v, want ErrInsecure", err)
	}
	for path, want := range map[string]string{"/moved": "hello", "/page": "Found", "/round": "Temporary Redirect"} {
		if body, err := get(t.Context(), c, s.URL+path); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %q, %v; want %q", path, body, err, want)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"not the URL of a server":   {Endpoint: "s3.example.com"},
		"not the URL of a server ":  {Endpoint: "ftp://example.com"},
		"credentials":               {Endpoint: "https://user:secret@example.com"},
		"no such file":              {CAFile: file + "x"},
		"no certificate":            {CAFile: file},
		"unknown kind of proxy":     {Proxy: "ftp://user:secret@example.com"},
		"not the URL of a proxy":    {Proxy: "proxy:secret"},
		"plain HTTP is only for th": {Endpoint: "http://localhost:1", Proxy: "http://10.0.0.1"},
	} {
		_, err := Client(o)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || len(fault.Hints(err)) == 0 {
			t.Errorf("%+v: %v, want an error about %q with a hint", o, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// proxyServer passes connections on, or answers with a status.
func proxyServer(t *testing.T, to string, status int) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var hosts []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts = append(hosts, r.Host)
		mu.Unlock()
		w.WriteHeader(status)
		if status != http.StatusOK {
			return
		}
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return hosts
	}
}

func TestProxy(t *testing.T) {
	s, ca := tlsServer(t, tls.VersionTLS13, hello)
	url, asked := proxyServer(t, s.Listener.Addr().String(), http.StatusOK)
	c := newClient(t, Options{Endpoint: "https://example.com", CAFile: ca, Proxy: url})
	if body, err := get(t.Context(), c, "https://example.com/"); err != nil || string(body) != "hello" {
		t.Errorf("through a proxy: %q, %v", body, err)
	}
	if got := asked(); len(got) != 1 || got[0] != "example.com:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
	c.CloseIdleConnections()
	for status, want := range map[int]struct{ temporary, denied bool }{
		http.StatusServiceUnavailable: {temporary: true}, http.StatusProxyAuthRequired: {denied: true}, http.StatusForbidden: {},
	} {
		url, _ := proxyServer(t, "", status)
		_, err := get(t.Context(), newClient(t, Options{Endpoint: "https://example.com", Proxy: url}), "https://example.com/")
		if err == nil || Temporary(err) != want.temporary || errors.Is(err, backend.ErrDenied) != want.denied {
			t.Errorf("a proxy that answers %d: %v", status, err)
		}
	}
}

func TestPatienceEnds(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/midway" {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 50000))
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}))
	defer s.Close()
	defer close(release)
	c := newClient(t, Options{Endpoint: s.URL, Wrap: Patience(50 * time.Millisecond)})
	for _, path := range []string{"/never", "/midway"} {
		body, err := get(t.Context(), c, s.URL+path)
		if err == nil || !Temporary(err) {
			t.Errorf("%s: %d bytes, %v; want a failure that may pass", path, len(body), err)
		}
	}
}

// counter is a pace that only counts.
type counter struct {
	sent int
	err  error
}

func (c *counter) Pace(_ context.Context, n int) error {
	c.sent += n
	return c.err
}

func TestPace(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body) // all of it before the answer, as HTTP/1.1 wants it
		_, _ = w.Write(data)
	}))
	defer s.Close()
	c := newClient(t, Options{Endpoint: s.URL})
	data := bytes.Repeat([]byte("0123456789"), 10000)
	post := func(p *counter) error {
		req, err := http.NewRequestWithContext(WithPace(t.Context(), p), http.MethodPut, s.URL, bytes.NewReader(data))
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if !bytes.Equal(got, data) {
			t.Errorf("%d other bytes arrive", len(got))
		}
		return err
	}
	p := &counter{}
	if err := post(p); err != nil || p.sent != len(data) {
		t.Errorf("%d bytes were counted, %v; want %d", p.sent, err, len(data))
	}
	stop := errors.New("enough")
	if err := post(&counter{err: stop}); !errors.Is(err, stop) {
		t.Errorf("a pace that fails: %v", err)
	}
}
