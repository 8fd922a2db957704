package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/storage/storagetest/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that keeps what is put, and knows what it was asked.
type echo struct {
	mu      sync.Mutex
	objects map[string][]byte
	partial int // requests whose body ended early
	host    string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.host = r.Host
	if err != nil {
		e.partial++
		return
	}
	w.Header().Set("ETag", `"right"`)
	switch r.Method {
	case http.MethodPut:
		e.objects[r.URL.Path] = data
	case http.MethodGet, http.MethodHead:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(e.objects[r.URL.Path]))
	}
}

type rig struct {
	*wire.Proxy
	server *echo
	client *http.Client
}

func newRig(t *testing.T, d wire.Dialect) *rig {
	e := &echo{objects: map[string][]byte{}}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true} // or net/http repeats some requests itself
	t.Cleanup(transport.CloseIdleConnections)
	return &rig{wire.New(t, d, s.URL), e, &http.Client{Transport: transport}}
}

// answer is the head of one; what it has of a body comes beside it.
type answer struct {
	status int
	header http.Header
}

func (r *rig) do(t *testing.T, method, path string, body []byte) (answer, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header}, data, err
}

func (r *rig) put(t *testing.T, path string, body []byte) error {
	t.Helper()
	_, _, err := r.do(t, http.MethodPut, path, body)
	return err
}

func TestPassesAsItIs(t *testing.T) {
	r := newRig(t, wire.S3)
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	if err := r.put(t, "/b/a", data); err != nil {
		t.Fatal(err)
	}
	head, got, err := r.do(t, http.MethodGet, "/b/a", nil)
	if err != nil || !bytes.Equal(got, data) || head.header.Get("ETag") != `"right"` {
		t.Errorf("%d bytes, %v, %v", len(got), head.header, err)
	}
	if r.server.host != strings.TrimPrefix(r.URL(), "http://") {
		t.Errorf("the server was asked as %s, and the request was for %s", r.server.host, r.URL())
	}
	if up, down := r.Bytes(); up != int64(len(data)) || down != int64(len(data)) {
		t.Errorf("%d bytes up, %d down", up, down)
	}
	if n := r.Counts(); n[wire.Put] != 1 || n[wire.Get] != 1 || r.Requests() != 2 || r.Struck() != 0 {
		t.Errorf("requests %v", n)
	}
}

// Each effect does what its name says, to requests and to answers.
func TestEffects(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	for name, c := range map[string]struct {
		does    func(*wire.Rule)
		stored  bool // after the put
		partial bool // the server saw a part of the put
		get     func(head answer, got []byte, err error) bool
	}{
		"refuse": {(*wire.Rule).Refuse, false, false, func(_ answer, _ []byte, err error) bool {
			return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
		}},
		"reset": {(*wire.Rule).Reset, false, true, func(_ answer, got []byte, err error) bool { return err != nil && len(got) <= len(data)/2 }},
		"lose":  {(*wire.Rule).LoseAnswer, true, false, func(_ answer, _ []byte, err error) bool { return err != nil }},
		"status": {func(r *wire.Rule) { r.Status(503, "Retry-After: 7") }, false, false, func(head answer, got []byte, err error) bool {
			return err == nil && head.status == http.StatusServiceUnavailable && head.header.Get("Retry-After") == "7" && strings.Contains(string(got), "<Code>SlowDown</Code>")
		}},
		"deny": {(*wire.Rule).Deny, false, false, func(head answer, got []byte, err error) bool {
			return err == nil && head.status == http.StatusForbidden && strings.Contains(string(got), "AccessDenied")
		}},
		"truncate": {func(r *wire.Rule) { r.Truncate(1000) }, false, true, func(head answer, got []byte, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && len(got) == 1000
		}},
		"etag": {(*wire.Rule).WrongETag, true, false, func(head answer, got []byte, err error) bool {
			return err == nil && bytes.Equal(got, data) && head.header.Get("ETag") != `"right"`
		}},
		"flip": {(*wire.Rule).Flip, true, false, func(_ answer, got []byte, err error) bool {
			different := 0
			for i := range got {
				if got[i] != data[i] {
					different++
				}
			}
			return err == nil && len(got) == len(data) && different == 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wire.S3)
			c.does(r.On(wire.Put))
			err := r.put(t, "/b/new", data)
			r.server.mu.Lock()
			_, stored := r.server.objects["/b/new"]
			partial := r.server.partial > 0
			changed := stored && !bytes.Equal(r.server.objects["/b/new"], data)
			r.server.objects["/b/a"] = data
			r.server.mu.Unlock()
			if stored != c.stored || partial && !c.partial || changed != (name == "flip") {
				t.Errorf("put: %v; stored %v, in part %v, changed %v", err, stored, partial, changed)
			}
			c.does(r.On("GET"))
			head, got, err := r.do(t, http.MethodGet, "/b/a", nil)
			if !c.get(head, got, err) {
				t.Errorf("get: %v, %d bytes, %v", head, len(got), err)
			}
			if r.Struck() != 2 {
				t.Errorf("%d requests were struck", r.Struck())
			}
			if _, got, err := r.do(t, http.MethodGet, "/b/a", nil); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the rule applies again: %d bytes, %v", len(got), err)
			}
		})
	}
}

// Answers that never come, or stop in the middle, last until the client has enough.
func TestStalls(t *testing.T) {
	for name, does := range map[string]func(*wire.Rule){"at once": (*wire.Rule).Stall, "midway": (*wire.Rule).StallMidway} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wire.S3)
			r.server.objects["/b/a"] = make([]byte, 100_000)
			does(r.On(wire.Get))
			r.client.Timeout = 200 * time.Millisecond
			_, got, err := r.do(t, http.MethodGet, "/b/a", nil)
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() || len(got) > 50_000 {
				t.Errorf("%d bytes, %v; want a time-out", len(got), err)
			}
		})
	}
}

func TestSlow(t *testing.T) {
	r := newRig(t, wire.S3)
	r.server.objects["/b/a"] = make([]byte, 100_000)
	r.On(wire.Get).Slow(200_000)
	begun := time.Now()
	_, got, err := r.do(t, http.MethodGet, "/b/a", nil)
	if took := time.Since(begun); err != nil || len(got) != 100_000 || took < 400*time.Millisecond {
		t.Errorf("%d bytes in %v, %v", len(got), took, err)
	}
}

// Which requests a rule is about.
func TestRules(t *testing.T) {
	r := newRig(t, wire.S3)
	r.On(wire.Put).Under("b/packs/").After(1).Times(2).Refuse()
	r.On("DELETE").Times(-1).Refuse()
	r.On(wire.Get).Every(3).Refuse()
	failed := func(method, path string) bool {
		_, _, err := r.do(t, method, path, nil)
		return err != nil
	}
	for i, c := range []struct {
		method, path string
		want         bool
	}{
		{"PUT", "/b/index/1", false},
		{"PUT", "/b/packs/1", false},
		{"PUT", "/b/packs/2", true},
		{"PUT", "/b/packs/3", true},
		{"PUT", "/b/packs/4", false},
		{"DELETE", "/b/a", true},
		{"DELETE", "/b/b", true},
		{"GET", "/b/a", false},
		{"GET", "/b/a", false},
		{"GET", "/b/a", true},
		{"GET", "/b/a", false},
	} {
		if got := failed(c.method, c.path); got != c.want {
			t.Errorf("%d: %s %s failed: %v, want %v", i, c.method, c.path, got, c.want)
		}
	}
	r.Cut(true)
	if !failed("HEAD", "/b/a") {
		t.Error("a request passes a link that is cut")
	}
	r.Reset()
	if failed("DELETE", "/b/a") {
		t.Error("a script that was forgotten applies")
	}
}

// Each service's requests are known for what they are, and its refusals are its own.
func TestDialects(t *testing.T) {
	for name, c := range map[string]struct {
		dialect wire.Dialect
		kinds   map[string]wire.Kind
		expired string
	}{
		"S3": {wire.S3, map[string]wire.Kind{
			"PUT /b/p/a": wire.Put, "GET /b/p/a": wire.Get, "HEAD /b/p/a": wire.Stat, "DELETE /b/p/a": wire.Delete, "GET /b?list-type=2&prefix=p": wire.List,
			"GET /b/?list-type=2": wire.List, "GET /b?versioning": wire.Other, "POST /b?delete": wire.Delete, "PUT /b/p/a?retention": wire.Other, "HEAD /b": wire.Other,
		}, "ExpiredToken"},
		"Azure": {wire.Azure, map[string]wire.Kind{
			"PUT /acc/c/p/a": wire.Put, "GET /acc/c/p/a": wire.Get, "HEAD /acc/c/p/a": wire.Stat, "DELETE /acc/c/p/a": wire.Delete,
			"GET /acc/c?restype=container&comp=list&prefix=p": wire.List, "PUT /acc/c?restype=container": wire.Other, "PUT /acc/c/p/a?comp=tier": wire.Other,
		}, "AuthenticationFailed"},
		"GCS": {wire.GCS, map[string]wire.Kind{
			"POST /upload/storage/v1/b/k/o?uploadType=multipart&name=p/a": wire.Put, "GET /storage/v1/b/k/o/p%2Fa?alt=media": wire.Get, "GET /k/p/a": wire.Get,
			"GET /storage/v1/b/k/o/p%2Fa?alt=json": wire.Stat, "GET /storage/v1/b/k/o?prefix=p": wire.List, "DELETE /storage/v1/b/k/o/p%2Fa": wire.Delete,
			"GET /storage/v1/b/k": wire.Other,
		}, "authError"},
	} {
		t.Run(name, func(t *testing.T) {
			for request, want := range c.kinds {
				r := newRig(t, c.dialect)
				method, path, _ := strings.Cut(request, " ")
				if _, _, err := r.do(t, method, path, nil); err != nil {
					t.Fatal(err)
				}
				if got := r.Counts(); got[want] != 1 {
					t.Errorf("%s is counted as %v, want %s", request, got, want)
				}
			}
			r := newRig(t, c.dialect)
			r.Expire()
			head, body, err := r.do(t, http.MethodGet, "/b/c/a", nil)
			if err != nil || head.status/100 != 4 || !strings.Contains(string(body), c.expired) {
				t.Errorf("expired: %v, %s, %v", head, body, err)
			}
		})
	}
}
