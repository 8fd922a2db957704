package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/storage/storagetest/servers"
)

// glacier stands before a real S3 server, which has no archive classes, and gives it one:
// what is put there cannot be read before it was asked for and the time has come, as AWS
// documents it: https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
type glacier struct {
	next http.Handler

	mu     sync.Mutex
	class  map[string]string
	asked  map[string]string // what was asked for, by path
	thawed bool
}

func newGlacier(t *testing.T, server string) (*glacier, string) {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	g := &glacier{class: map[string]string{}, asked: map[string]string{}}
	g.next = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // which is signed
		},
		ModifyResponse: func(r *http.Response) error {
			g.tell(r.Request.URL.Path, r.Header)
			return nil
		},
	}
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	return g, front.URL
}

// tell adds what S3 says of an archived object.
func (g *glacier) tell(path string, h http.Header) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.class[path] == "" {
		return
	}
	h.Set("X-Amz-Storage-Class", g.class[path])
	switch {
	case g.asked[path] == "":
	case g.thawed:
		h.Set("X-Amz-Restore", `ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"`)
	default:
		h.Set("X-Amz-Restore", `ongoing-request="true"`)
	}
}

// ServeHTTP implements http.Handler.
func (g *glacier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%[1]s</Message></Error>", code)
	}
	g.mu.Lock()
	switch {
	case r.Method == http.MethodPut:
		g.class[path] = r.Header.Get("X-Amz-Storage-Class")
	case r.Method == http.MethodPost && r.URL.Query().Has("restore"):
		text, err := io.ReadAll(r.Body)
		already := g.asked[path] != ""
		if err == nil && !already {
			g.asked[path] = string(text)
		}
		g.mu.Unlock()
		if already {
			refuse(http.StatusConflict, "RestoreAlreadyInProgress")
		} else {
			w.WriteHeader(http.StatusAccepted)
		}
		return
	case r.Method == http.MethodGet && g.class[path] != "" && (!g.thawed || g.asked[path] == ""):
		g.mu.Unlock()
		refuse(http.StatusForbidden, "InvalidObjectState")
		return
	}
	g.mu.Unlock()
	g.next.ServeHTTP(w, r)
}

// watched calls back once, when what is written contains something.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	then func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	if w.then != nil && strings.Contains(w.text.String(), w.word) {
		w.then()
		w.then = nil
	}
	return n, err
}

// A restore of what lies in an archive class of S3 asks for it only when that is wanted,
// says how much it is, how many requests that took and how long it may take, waits, and
// goes on after an interruption without asking again.
func TestRestoreOfArchivedData(t *testing.T) {
	s := servers.S3(t)
	g, front := newGlacier(t, s.Endpoint())
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	tree, restored := filepath.Join(dir, "tree"), filepath.Join(dir, "restored")
	if _, err := corpus.Write(t.Context(), tree, corpus.Spec{Kind: corpus.Files, Files: 8, FileSize: 300_000}); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, want int, stop string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out := &watched{word: stop}
		if stop != "" {
			out.then = cancel
		}
		args = append(args, "--key", filepath.Join(dir, "key"), "--cache-dir", filepath.Join(dir, "cache"),
			"--repository", s.Through(front, "p")+"&cold_class=GLACIER")
		if got := execute(ctx, args, strings.NewReader(""), out, out); got != want {
			t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(args[:3], " "), got, want, out.text.String())
		}
		return out.text.String()
	}
	ctx := t.Context()
	run(ctx, 0, "", "key", "create")
	run(ctx, 0, "", "backup", tree, "--direct")
	cold := 0
	for _, class := range g.class {
		if class == "GLACIER" {
			cold++
		}
	}
	if cold == 0 {
		t.Fatal("nothing went to the archive")
	}
	// Without being told to, nothing is asked for, and nothing wrong is written.
	text := run(ctx, 1, "", "restore", "latest", "--target", restored)
	if !strings.Contains(text, "--thaw") || len(g.asked) > 0 {
		t.Errorf("it asked for %d objects, and said\n%s", len(g.asked), text)
	}
	args := []string{"restore", "latest", "--target", restored, "--thaw", "--thaw-days", "3", "--thaw-speed", "bulk"}
	text = run(ctx, exitInterrupted, "thawing:", args...)
	told := regexp.MustCompile(`thawing: 0 of (\d+) packs?, [\d.]+ [KM]iB in all, can be read; (\d+) requests? made; the rest may take up to 12 h`).FindStringSubmatch(text)
	if told == nil || told[1] != fmt.Sprint(cold) || told[2] != fmt.Sprint(cold) {
		t.Errorf("of %d archived packs it said\n%s", cold, text)
	}
	if len(g.asked) != cold {
		t.Errorf("%d of %d were asked for", len(g.asked), cold)
	}
	for path, request := range g.asked {
		if !strings.Contains(request, "<Days>3</Days>") || !strings.Contains(request, "<Tier>Bulk</Tier>") {
			t.Errorf("%s: %s", path, request)
		}
	}
	g.mu.Lock()
	g.thawed = true
	g.mu.Unlock()
	run(ctx, 0, "", args...)
	if _, differ, err := corpus.Compare(ctx, tree, restored); err != nil || len(differ) > 0 {
		t.Errorf("restored: %q, %v", differ, err)
	}
	if err := os.RemoveAll(restored); err != nil {
		t.Fatal(err)
	}
	if text := run(ctx, 0, "", args...); strings.Contains(text, "thawing:") {
		t.Errorf("all can be read, and it said\n%s", text)
	}
}
