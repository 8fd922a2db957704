package wire

import (
	"net/http"
	"strings"
)

// Rule is one line of the script. It does nothing until one of its last words,
// such as Reset, says what.
type Rule struct {
	proxy  *Proxy
	kind   Kind
	method string
	part   string
	skip   int
	every  int // of the requests that it could apply to, one in so many
	seen   int
	left   int // how often it still applies; negative is for ever
	effect effect
}

// effect is what happens to a request in place of being passed on.
type effect interface {
	strike(p *Proxy, w http.ResponseWriter, r *http.Request)
}

// On starts a rule about one kind of request, or about one method when it is
// spelled like one: On("PUT"). Without Times it applies once.
func (p *Proxy) On(kind Kind) *Rule {
	r := &Rule{proxy: p, kind: kind, every: 1, left: 1}
	if method := string(kind); method != "" && method == strings.ToUpper(method) {
		r.kind, r.method = Any, method
	}
	return r
}

// Under limits the rule to objects whose name, with the bucket before it, has the
// part.
func (r *Rule) Under(part string) *Rule { r.part = strings.TrimPrefix(part, "/"); return r }

// After lets n matching requests pass first.
func (r *Rule) After(n int) *Rule { r.skip = n; return r }

// Times makes the rule apply n times; negative is for ever.
func (r *Rule) Times(n int) *Rule { r.left = n; return r }

// Every makes the rule apply for ever, to each n-th matching request.
func (r *Rule) Every(n int) *Rule { r.every, r.left = n, -1; return r }

// applies tells whether the rule is about a request, and counts it. The caller
// holds the proxy's mutex.
func (r *Rule) applies(kind Kind, method, object string) bool {
	if r.left == 0 || (r.kind != Any && r.kind != kind) || (r.method != "" && r.method != method) || !strings.Contains(object, r.part) {
		return false
	}
	if r.skip > 0 {
		r.skip--
		return false
	}
	if r.seen++; r.seen%r.every != 0 {
		return false
	}
	if r.left > 0 {
		r.left--
	}
	return true
}

func (r *Rule) does(e effect) {
	r.effect = e
	r.proxy.mu.Lock()
	defer r.proxy.mu.Unlock()
	r.proxy.rules = append(r.proxy.rules, r)
}

// Refuse resets the connection before the server hears of the request.
func (r *Rule) Refuse() { r.does(reset{}) }

// HangUp closes the connection before the server hears of the request.
func (r *Rule) HangUp() { r.does(reset{gently: true}) }

// Reset resets the connection in the middle of the body: of the request's where it
// has one, so that the server sees half of it, else of the answer's.
func (r *Rule) Reset() { r.does(midway{broken: brokenError{reset: true}}) }

// LoseAnswer lets the server do what was asked and resets the connection before
// its answer comes.
func (r *Rule) LoseAnswer() { r.does(lost{}) }

// Status answers in place of the server, with the words the service has for such
// a code. Headers are given as "Name: value".
func (r *Rule) Status(code int, headers ...string) { r.does(status{code: code, headers: headers}) }

// Stall takes the request, and answers nothing for as long as the client waits.
func (r *Rule) Stall() { r.does(stall{}) }

// StallMidway sends half of the answer's body and then nothing more.
func (r *Rule) StallMidway() { r.does(midway{stall: true}) }

// Slow sends bodies, both ways, at so many bytes a second.
func (r *Rule) Slow(bytesPerSecond int) { r.does(slow{rate: bytesPerSecond}) }

// Truncate ends a body after n bytes, though its length was told to be what it is:
// the request's towards the server where it has a body, else the answer's.
func (r *Rule) Truncate(n int) { r.does(midway{after: n, exact: true}) }

// WrongETag changes the entity tag of the answer, and the checksums told beside it
// stay.
func (r *Rule) WrongETag() { r.does(wrongETag{}) }

// Flip changes one bit in the middle of the body: of the request's where it has
// one, else of the answer's.
func (r *Rule) Flip() { r.does(flip{}) }

// Deny answers as the service does to credentials that do not allow the request.
func (r *Rule) Deny() { r.does(status{code: http.StatusForbidden}) }
