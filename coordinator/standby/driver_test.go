package standby_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/coordinator/standby"
	"mahavishnu/coordinator/standby/standbytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func overHTTP(t *testing.T, s *standbytest.Service, change ...func(*standby.HTTPOptions)) standby.Driver {
	t.Helper()
	o := standby.HTTPOptions{Endpoint: s.URL(), Service: "counter"}
	for _, c := range change {
		c(&o)
	}
	d, err := standby.NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHTTPDriver(t *testing.T) {
	t.Parallel()
	standbytest.Run(t, func(t *testing.T) (a, b standbytest.Member) {
		g := standbytest.NewGroup()
		one, two := g.Member(t, "a"), g.Member(t, "b")
		return one.Member(overHTTP(t, one)), two.Member(overHTTP(t, two))
	})
}

func TestHTTPToken(t *testing.T) {
	t.Parallel()
	s := standbytest.NewGroup().Member(t, "a")
	s.Token = "open sesame"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := overHTTP(t, s, func(o *standby.HTTPOptions) { o.TokenFile = file })
	if h, err := d.Health(t.Context()); err != nil || !h.Writable {
		t.Errorf("%+v, %v", h, err)
	}
	for name, d := range map[string]standby.Driver{
		"no token":   overHTTP(t, s),
		"no file":    overHTTP(t, s, func(o *standby.HTTPOptions) { o.TokenFile = file + ".not" }),
		"a stranger": overHTTP(t, s, func(o *standby.HTTPOptions) { o.TokenFile = write(t, "close sesame") }),
	} {
		if err := d.Fence(t.Context(), 1); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Write(); err != nil {
		t.Errorf("fenced by a stranger: %v", err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestHTTPHealthOfServicesThatKnowLess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   standby.Health
		fails  bool
	}{
		"all":         {200, `{"role":"standby","timeline":3,"position":"0/1","streaming":true,"lag_bytes":7,"lag_seconds":1.5,"detail":"x"}`, standby.Health{Running: true, Role: standby.Standby, Timeline: 3, Position: "0/1", Streaming: true, LagBytes: 7, LagTime: 1500 * time.Millisecond, Detail: "x"}, false},
		"no body":     {204, ``, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health is empty, and has to tell its role"}, false},
		"plain text":  {200, `OK`, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health is no JSON object that tells its role: OK"}, false},
		"null":        {200, `null`, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health is no JSON object that tells its role: null"}, false},
		"a list":      {200, `[1,2]`, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health is no JSON object that tells its role: [1,2]"}, false},
		"no role":     {200, `{"position":"3"}`, standby.Health{Running: true, Role: standby.Unknown, Position: "3", Wrong: "its answer about its health does not tell its role: primary, standby or unknown"}, false},
		"a new role":  {200, `{"role":"witness"}`, standby.Health{Running: true, Role: standby.Unknown, Wrong: `its answer about its health says that its role is witness, and has to say primary, standby or unknown`}, false},
		"a number":    {200, `{"role":"primary","position":17}`, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health cannot be used: position is a number, and has to be a string"}, false},
		"a text":      {200, `{"role":"primary","timeline":"3"}`, standby.Health{Running: true, Role: standby.Unknown, Wrong: "its answer about its health cannot be used: timeline is a string, and has to be a whole number"}, false},
		"unavailable": {503, `{"role":"primary","writable":true}`, standby.Health{Running: true, Role: standby.Primary}, false},
		"nonsense":    {200, `{"role":"primary","lag_seconds":1e300,"lag_bytes":-5}`, standby.Health{Running: true, Role: standby.Primary}, false},
		"broken":      {500, `boom`, standby.Health{}, true},
		"redirected":  {302, ``, standby.Health{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/below/health" {
					http.NotFound(w, r)
					return
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			}))
			defer server.Close()
			d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: server.URL + "/below/", Service: "x"})
			if err != nil {
				t.Fatal(err)
			}
			h, err := d.Health(t.Context())
			if c.fails {
				if err == nil {
					t.Errorf("%+v", h)
				}
				return
			}
			if diff := cmp.Diff(c.want, h); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestHTTPThatHangsIsNoHealth(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: server.URL, Service: "x", ProbeTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := d.Health(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "ftp://host", "host:80", "https://", "https://user:secret@host", "https://host?token=secret", "http://%zz"} {
		_, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: bad, Service: "x"})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSpecOpensOneDriver(t *testing.T) {
	t.Parallel()
	web := &standby.HTTPOptions{Endpoint: "https://host", Service: "x"}
	programs := &standby.CommandOptions{Service: "x", Health: []string{"true"}, Fence: []string{"true"}, Promote: []string{"true"}, Demote: []string{"true"}}
	if d, err := (standby.Spec{HTTP: web}).Open(); err != nil || d == nil {
		t.Error(err)
	}
	if d, err := (standby.Spec{Command: programs}).Open(); err != nil || d == nil {
		t.Error(err)
	}
	for _, s := range []standby.Spec{{}, {HTTP: web, Command: programs}, {Command: &standby.CommandOptions{}}} {
		if _, err := s.Open(); err == nil {
			t.Errorf("%+v opens", s)
		}
	}
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "epoch")
	e, err := standby.OpenEpochs(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []uint64{0, 3, 3, 7} {
		if err := e.Accept(epoch); err != nil {
			t.Errorf("%d: %v", epoch, err)
		}
	}
	again, err := standby.OpenEpochs(file)
	if err != nil || again.Seen() != 7 {
		t.Errorf("seen %d, %v", again.Seen(), err)
	}
	if err := again.Accept(6); !errors.Is(err, standby.ErrStale) {
		t.Errorf("6 after 7: %v", err)
	}
	if err := again.Check(8); err != nil || again.Seen() != 7 {
		t.Errorf("a check remembers %d, %v", again.Seen(), err)
	}
	if err := os.WriteFile(file, []byte("seven\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := standby.OpenEpochs(file); err == nil {
		t.Error("a file that holds no number is read")
	}
	gone, err := standby.OpenEpochs(filepath.Join(t.TempDir(), "no", "where"))
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Accept(1); err == nil || gone.Seen() != 0 {
		t.Errorf("an epoch that cannot be written counts: %v", err)
	}
}

// script is a member of a counting service that programs control: its directory holds what
// it knows, as files.
const script = `#!/bin/sh
cd "$DIR" || exit 1
seen=$(cat epoch)
case $1 in
health)
  [ -e down ] && exit 1
  printf '{"role":"%s","writable":%s,"position":"%s"}\n' "$(cat role)" "$([ -e writable ] && echo true || echo false)" "$(cat writes)"
  exit 0;;
esac
[ "$MAHAVISHNU_EPOCH" -lt "$seen" ] && { echo "epoch $MAHAVISHNU_EPOCH after $seen" >&2; exit 5; }
[ "$MAHAVISHNU_SERVICE/$MAHAVISHNU_MEMBER" = counter/$(basename "$DIR") ] || exit 9
echo "$MAHAVISHNU_EPOCH" >epoch
[ -e follows ] && cp "$(cat follows)/writes" writes
case $1 in
fence|demote) rm -f writable follows; echo unknown >role;;
promote) rm -f down follows; echo primary >role; : >writable;;
rejoin) rm -f down writable; echo standby >role; echo "$DIR/../$MAHAVISHNU_PRIMARY_NAME" >follows;;
esac
`

func commands(t *testing.T, dir, name string) standbytest.Member {
	t.Helper()
	program := filepath.Join(dir, "control")
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, name)
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(filepath.Join(home, file), []byte(text+"\n"), 0o644); err != nil {
			t.Error(err)
		}
	}
	read := func(file string) string {
		text, _ := os.ReadFile(filepath.Join(home, file))
		return strings.TrimSpace(string(text))
	}
	exists := func(file string) bool { _, err := os.Stat(filepath.Join(home, file)); return err == nil }
	put("epoch", "0")
	put("writes", "0")
	if name == "a" {
		put("role", "primary")
		put("writable", "")
	} else {
		put("role", "standby")
		put("follows", filepath.Join(dir, "a"))
	}
	argv := func(verb string) []string { return []string{"env", "DIR=" + home, program, verb} }
	d, err := standby.NewCommand(standby.CommandOptions{
		Service: "counter", Member: name, ProbeTimeout: time.Minute,
		Health: argv("health"), Fence: argv("fence"), Promote: argv("promote"), Demote: argv("demote"), Rejoin: argv("rejoin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	has := func() int {
		from := home
		if f := read("follows"); f != "" {
			from = f
		}
		text, _ := os.ReadFile(filepath.Join(from, "writes"))
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	return standbytest.Member{
		Driver: d, Peer: standby.Peer{Name: name, Host: "127.0.0.1", Port: 1},
		Write: func() error {
			if exists("down") || !exists("writable") {
				return errors.New("no writes here")
			}
			put("writes", strconv.Itoa(has()+1))
			return nil
		},
		Has:     has,
		Crash:   func() { put("down", ""); os.Remove(filepath.Join(home, "writable")) },
		Restart: func() { os.Remove(filepath.Join(home, "down")) },
	}
}

func TestCommandDriver(t *testing.T) {
	t.Parallel()
	standbytest.Run(t, func(t *testing.T) (a, b standbytest.Member) {
		dir := t.TempDir()
		return commands(t, dir, "a"), commands(t, dir, "b")
	})
}

func TestCommandsThatGoWrong(t *testing.T) {
	t.Parallel()
	o := standby.CommandOptions{
		Service: "x", Member: "a", ProbeTimeout: 100 * time.Millisecond,
		Health: []string{"sh", "-c", "sleep 600 & wait"}, Fence: []string{"sh", "-c", "echo no power >&2; exit 3"},
		Promote: []string{"/nowhere/promote"}, Demote: []string{"true"},
	}
	d, err := standby.NewCommand(o)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := d.Health(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a look that hangs: %+v, %v", h, err)
	}
	if err := d.Fence(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no power") || errors.Is(err, standby.ErrStale) {
		t.Errorf("%v", err)
	}
	if err := d.Promote(t.Context(), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := d.Rejoin(t.Context(), standby.Peer{}, 1); err == nil {
		t.Error("rejoined without a command for it")
	}
	o.Fence = nil
	if _, err := standby.NewCommand(o); err == nil {
		t.Error("a member that cannot be fenced is taken")
	}
}
