package wire

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mahavishnu/clock"
)

// bodies may look at and change what passes. The zero plain leaves all as it is.
type bodies interface {
	up(body io.Reader, length int64) io.Reader
	down(body io.Reader, length int64) io.Reader
	head(h http.Header)
}

type plain struct{}

func (plain) strike(p *Proxy, w http.ResponseWriter, r *http.Request) { p.pass(w, r, plain{}) }

func (plain) up(body io.Reader, _ int64) io.Reader   { return body }
func (plain) down(body io.Reader, _ int64) io.Reader { return body }
func (plain) head(http.Header)                       {}

// brokenError ends a body in the middle.
type brokenError struct{ reset bool }

func (*brokenError) Error() string { return "the script breaks the body off here" }

// reset ends the connection at once: with a reset, or by closing it.
type reset struct{ gently bool }

func (e reset) strike(_ *Proxy, w http.ResponseWriter, _ *http.Request) { hangUp(w, !e.gently) }

// lost lets the server work and keeps the answer.
type lost struct{}

func (lost) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	if resp, err := p.forward(r, plain{}); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // the server is done when its answer is
		_ = resp.Body.Close()
	}
	hangUp(w, true)
}

// status answers in the server's place.
type status struct {
	code    int
	headers []string
}

func (s status) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a service that refuses has read what was sent
	for _, line := range s.headers {
		name, value, _ := strings.Cut(line, ":")
		w.Header().Set(name, strings.TrimSpace(value))
	}
	p.dialect.say(w, r, s.code, p.dialect.code(s.code))
}

// expired answers as the service does to credentials that were good once.
type expired struct{}

func (expired) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	code, word := p.dialect.expired()
	p.dialect.say(w, r, code, word)
}

// stall never answers.
type stall struct{}

func (stall) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	standStill(p, r)
	hangUp(w, true)
}

// standStill waits until the client or the test has enough.
func standStill(p *Proxy, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-p.ended.Done():
	}
}

// midway lets half of a body through, or so many bytes, and then breaks it off or stands
// still.
type midway struct {
	plain
	after  int
	exact  bool
	stall  bool
	broken brokenError
}

func (m midway) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		p.pass(w, r, &midwayDown{midway: m, p: p, r: r})
		return
	}
	if resp, err := p.forward(r, &midwayUp{m}); err == nil {
		_ = resp.Body.Close() // a server that answers to half a request has refused it
	}
	if m.stall {
		standStill(p, r)
	}
	hangUp(w, m.broken.reset)
}

func (m midway) cut(body io.Reader, length int64, then error) io.Reader {
	n := int64(m.after)
	if !m.exact {
		n = middle(length)
	}
	return io.MultiReader(io.LimitReader(body, n), &failing{then})
}

// middle returns the middle of a body; when its length was not told, a place that is
// behind the head which some services put into it.
func middle(length int64) int64 {
	if length < 0 {
		return 32 << 10
	}
	return length / 2
}

type midwayUp struct{ midway }

func (m *midwayUp) up(body io.Reader, length int64) io.Reader { return m.cut(body, length, &m.broken) }

type midwayDown struct {
	midway
	p *Proxy
	r *http.Request
}

func (m *midwayDown) down(body io.Reader, length int64) io.Reader {
	if !m.stall {
		return m.cut(body, length, &m.broken)
	}
	return io.MultiReader(m.cut(body, length, io.EOF), &waiting{m})
}

// waiting is the part of a body that never comes.
type waiting struct{ m *midwayDown }

func (b *waiting) Read([]byte) (int, error) {
	standStill(b.m.p, b.m.r)
	return 0, &b.m.broken
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// slow sends bodies at a rate.
type slow struct {
	plain
	rate int
	ctx  context.Context //nolint:containedctx // of the one request the value is made for
}

func (s slow) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ended, cancel)()
	s.ctx = ctx
	p.pass(w, r, s)
}

func (s slow) up(body io.Reader, _ int64) io.Reader   { return &paced{slow: s, body: body} }
func (s slow) down(body io.Reader, _ int64) io.Reader { return &paced{slow: s, body: body} }

type paced struct {
	slow
	body io.Reader
}

// Read hands out what a tenth of a second allows for.
func (p *paced) Read(b []byte) (int, error) {
	n, err := p.body.Read(b[:min(len(b), max(1, p.rate/10))])
	if n > 0 {
		if serr := clock.System().Sleep(p.ctx, time.Duration(n)*time.Second/time.Duration(p.rate)); serr != nil {
			return 0, serr
		}
	}
	return n, err
}

// wrongETag lies about which object it is.
type wrongETag struct{ plain }

func (e wrongETag) strike(p *Proxy, w http.ResponseWriter, r *http.Request) { p.pass(w, r, e) }

func (wrongETag) head(h http.Header) {
	if h.Get("ETag") != "" {
		h.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	}
}

// flip changes one bit.
type flip struct{ plain }

func (f flip) strike(p *Proxy, w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		p.pass(w, r, flipUp{f})
		return
	}
	p.pass(w, r, flipDown{f})
}

type flipUp struct{ flip }

func (flipUp) up(body io.Reader, length int64) io.Reader { return flipAt(body, middle(length)) }

type flipDown struct{ flip }

func (flipDown) down(body io.Reader, length int64) io.Reader { return flipAt(body, middle(length)) }

func flipAt(body io.Reader, at int64) io.Reader { return &flipped{body: body, at: at} }

type flipped struct {
	body io.Reader
	at   int64 // how many bytes are before the one to change
}

func (f *flipped) Read(b []byte) (int, error) {
	n, err := f.body.Read(b)
	if f.at >= 0 && f.at < int64(n) {
		b[f.at] ^= 0x10
	}
	f.at -= int64(n)
	return n, err
}

// say answers with a code and a body that was made for it.
func say(w http.ResponseWriter, r *http.Request, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
}
