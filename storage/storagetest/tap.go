package storagetest

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Tap sees the requests of a backend, and may answer them in the server's place.
type Tap struct {
	// Query says what is shown of a request's parameters; nil shows none.
	Query func(url.Values) []string
	// Answer, when set, is asked in place of the server. It may be changed between
	// requests.
	Answer func(next http.RoundTripper, r *http.Request) (*http.Response, error)

	mu   sync.Mutex
	seen Seen
}

// Seen is what requests were made of, in their order.
type Seen struct {
	// Asked are method, path and what is shown of the parameters.
	Asked   []string
	Headers []http.Header
	// Bodies are the first 1,000 bytes of what was sent.
	Bodies []string
}

// Values shows the named parameters that have a value, but for values that say
// nothing.
func Values(names ...string) func(url.Values) []string {
	return func(q url.Values) []string {
		var shown []string
		for _, name := range names {
			if v := q.Get(name); v != "" && v != "false" && v != "json" {
				shown = append(shown, name+"="+v)
			}
		}
		return shown
	}
}

// Wrap puts the tap around a transport.
func (p *Tap) Wrap(next http.RoundTripper) http.RoundTripper {
	return trip(func(r *http.Request) (*http.Response, error) {
		r = p.see(r)
		if p.Answer != nil {
			return p.Answer(next, r)
		}
		return next.RoundTrip(r)
	})
}

// see notes a request and returns it with its headers in their canonical form, which SDKs
// do not always keep to, and a body that can still be read.
func (p *Tap) see(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	header := http.Header{}
	for name, values := range r.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header = header
	body := ""
	if r.Body != nil && r.Body != http.NoBody {
		start := make([]byte, 1000)
		n, _ := io.ReadFull(r.Body, start)
		body = string(start[:n])
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(start[:n]), r.Body), r.Body}
	}
	asked := []string{r.Method, r.URL.Path}
	if p.Query != nil {
		asked = append(asked, p.Query(r.URL.Query())...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Asked = append(p.seen.Asked, strings.Join(asked, " "))
	p.seen.Headers = append(p.seen.Headers, header)
	p.seen.Bodies = append(p.seen.Bodies, body)
	return r
}

// Take returns what was seen since it was called last.
func (p *Tap) Take() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = Seen{}
	return seen
}

// Seen returns what Take would, and leaves it there.
func (p *Tap) Seen() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Reply is a server's answer to a request, whose body it takes: with a body, and headers
// as pairs of name and value, of which empty values are left out.
func Reply(r *http.Request, status int, body string, headers ...string) *http.Response {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] != "" {
			h.Set(headers[i], headers[i+1])
		}
	}
	if r.Method == http.MethodHead {
		body = ""
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
