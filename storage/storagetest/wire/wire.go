// Package wire is an HTTP proxy that stands between a backend and its server and
// breaks what passes, by a script:
//
//	p := wire.New(t, wire.S3, server.Endpoint())
//	p.On(wire.Put).Under("backups/packs/").After(3).Times(2).Reset()
//	p.On(wire.Get).Truncate(1000)
//	p.On(wire.Any).Times(-1).Status(503, "Retry-After: 2")
//	p.Expire()
//
// Rules are tried in the order they were made; the first that applies decides. All
// requests are counted by what they do, so that requests per GB can be told.
//
// The proxy keeps requests as they are, the host they are for included, since
// some services sign it.
package wire

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Kind is what a request does.
type Kind string

// The kinds of requests.
const (
	Put    Kind = "put"
	Get    Kind = "get"
	Stat   Kind = "stat"
	List   Kind = "list"
	Delete Kind = "delete"
	Other  Kind = "other"
	Any    Kind = "" // in a rule: all of them
)

// Proxy passes requests on to one server.
type Proxy struct {
	target  *url.URL
	dialect Dialect
	server  *http.Server
	out     *http.Transport
	address string
	serving sync.WaitGroup
	ended   context.Context

	mu      sync.Mutex
	rules   []*Rule
	expired bool
	cut     bool
	closed  bool
	counts  map[Kind]int
	struck  int
	up      int64
	down    int64
}

// New starts a proxy in front of a server, the URL of which may have no path. It
// ends with the test.
func New(t testing.TB, d Dialect, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		t.Fatalf("a proxy in front of %q: not the URL of a server without a path", target)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	p := &Proxy{
		target: u, dialect: d, address: l.Addr().String(), counts: map[Kind]int{}, ended: ended,
		// A connection for each request: what happens to one must not reach another.
		out: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	}
	p.server = &http.Server{Handler: p} //nolint:gosec // of a test: whoever connects is the test
	p.serving.Go(func() { _ = p.server.Serve(l) })
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		end() // lets go of those that stand still
		if err := p.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("end the proxy: %v", err)
		}
		p.serving.Wait()
		p.out.CloseIdleConnections()
	})
	return p
}

// URL returns the proxy's own endpoint.
func (p *Proxy) URL() string { return "http://" + p.address }

// Counts returns how many requests of each kind came.
func (p *Proxy) Counts() map[Kind]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Requests returns how many requests came, of all kinds.
func (p *Proxy) Requests() int {
	total := 0
	for _, n := range p.Counts() {
		total += n
	}
	return total
}

// Struck returns how many requests a rule applied to.
func (p *Proxy) Struck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// Bytes returns how many bytes of bodies went up to the server and down from it.
func (p *Proxy) Bytes() (up, down int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up, p.down
}

// Reset forgets the script, the counts and what Expire and Cut did.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.expired, p.cut, p.struck, p.up, p.down = nil, false, false, 0, 0, 0
	clear(p.counts)
}

// Expire makes the credentials expire: from now on the service answers every
// request as it does then.
func (p *Proxy) Expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired = true
}

// Cut takes the link away, or brings it back: while it is gone every connection
// is reset.
func (p *Proxy) Cut(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = gone
}

// ServeHTTP passes one request on, or does to it what the script says.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := p.arrived(r)
	if what == nil {
		hangUp(w, true)
		return
	}
	defer p.serving.Done()
	what.strike(p, w, r)
}

// arrived counts a request and returns what is done with it; nil when the proxy has
// ended.
func (p *Proxy) arrived(r *http.Request) effect {
	kind := p.dialect.kind(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.serving.Add(1)
	p.counts[kind]++
	switch {
	case p.cut:
		return reset{}
	case p.expired:
		return expired{}
	}
	object := p.dialect.object(r)
	for _, rule := range p.rules {
		if rule.applies(kind, r.Method, object) {
			p.struck++
			return rule.effect
		}
	}
	return plain{}
}

// pass sends the request on and its answer back; b may look at and change both
// bodies and the answer's head.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, b bodies) {
	resp, err := p.forward(r, b)
	if err != nil {
		hangUp(w, false) // as when nobody were there
		return
	}
	defer resp.Body.Close()
	b.head(resp.Header)
	answer(w, resp)
	body := &counted{reader: b.down(resp.Body, resp.ContentLength), add: p.countDown}
	if _, err := copyOut(w, body); err != nil {
		var broken *brokenError
		hangUp(w, errors.As(err, &broken) && broken.reset)
	}
}

// forward sends a request to the server.
func (p *Proxy) forward(r *http.Request, b bodies) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	out.RequestURI, out.Close = "", false
	out.Header.Del("Expect") // answered here
	out.Header.Del("Connection")
	if r.ContentLength != 0 {
		out.Body = io.NopCloser(&counted{reader: b.up(r.Body, r.ContentLength), add: p.countUp})
	} else {
		out.Body = http.NoBody
	}
	return p.out.RoundTrip(out)
}

func (p *Proxy) countUp(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up += int64(n)
}

func (p *Proxy) countDown(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down += int64(n)
}

// answer sends the head of an answer.
func answer(w http.ResponseWriter, resp *http.Response) {
	maps.Copy(w.Header(), resp.Header)
	w.Header().Del("Connection") // which is between the server and the proxy
	w.WriteHeader(resp.StatusCode)
}

// copyOut sends a body as it comes.
func copyOut(w http.ResponseWriter, body io.Reader) (int64, error) {
	flush := http.NewResponseController(w)
	buf := make([]byte, 16<<10)
	var sent int64
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return sent, werr
			}
			sent += int64(n)
			if ferr := flush.Flush(); ferr != nil {
				return sent, ferr
			}
		}
		switch {
		case err == io.EOF:
			return sent, nil
		case err != nil:
			return sent, err
		}
	}
}

// hangUp ends the connection in the middle of whatever goes on: with a reset, or as a
// program that died would.
func hangUp(w http.ResponseWriter, withReset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which net/http takes as the wish to do just that
	}
	if tcp, ok := conn.(*net.TCPConn); ok && withReset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

type counted struct {
	reader io.Reader
	add    func(int)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.reader.Read(b)
	c.add(n)
	return n, err
}
