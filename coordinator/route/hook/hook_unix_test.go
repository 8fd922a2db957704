//go:build unix

package hook_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/hook"
	"mahavishnu/coordinator/route/routetest"
	"mahavishnu/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a file that a script changes only to higher epochs, under a lock, as
// the package's documentation asks of commands.
type place struct{ dir, script, show string }

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{dir: t.TempDir()}
	p.script, p.show = filepath.Join(p.dir, "point"), filepath.Join(p.dir, "show")
	write(t, p.script, `#!/bin/sh
cd "$1"
until mkdir lock 2>/dev/null; do sleep 0.01; done
trap 'rmdir lock' EXIT
found=$(cut -d' ' -f1 now 2>/dev/null)
found=${found#epoch=}
[ "${found:-0}" -le "$MAHAVISHNU_ROUTE_EPOCH" ] || { echo "epoch $found is there"; exit 5; }
env | grep ^MAHAVISHNU_ | sort >said
echo "epoch=$MAHAVISHNU_ROUTE_EPOCH member=$MAHAVISHNU_ROUTE_MEMBER" >fresh
mv fresh now
`)
	write(t, p.show, "#!/bin/sh\ncat \"$1/now\" 2>/dev/null || true\n")
	return p
}

func write(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// open is the hook of one machine, with a memory of its own.
func (p place) open(t *testing.T) *hook.Hook {
	return open(t, hook.Options{Command: []string{p.script, p.dir}, Current: []string{p.show, p.dir}})
}

func open(t *testing.T, o hook.Options) *hook.Hook {
	t.Helper()
	if o.State == nil {
		o.State = route.NewFile(filepath.Join(t.TempDir(), "hook.json"))
	}
	o.Service = "orders"
	h, err := hook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestConformance(t *testing.T) {
	routetest.Run(t, func(t *testing.T) routetest.Subject {
		p := newPlace(t)
		return routetest.Subject{Open: func(t *testing.T) route.Router { return p.open(t) }}
	})
}

// TestConformanceOfOneMachine has no command that tells what is there.
func TestConformanceOfOneMachine(t *testing.T) {
	routetest.Run(t, func(t *testing.T) routetest.Subject {
		h := open(t, hook.Options{Command: []string{"true"}})
		return routetest.Subject{Open: func(*testing.T) route.Router { return h }}
	})
}

func TestVariables(t *testing.T) {
	t.Setenv("MAHAVISHNU_NATS_PASSWORD", "hush")
	p := newPlace(t)
	if err := p.open(t).Point(t.Context(), routetest.Targets()[0], 42); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(filepath.Join(p.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `MAHAVISHNU_ROUTE_ADDRESSES=192.0.2.1,2001:db8::1
MAHAVISHNU_ROUTE_EPOCH=42
MAHAVISHNU_ROUTE_HOST=pg1.example.test.
MAHAVISHNU_ROUTE_MEMBER=pg1
MAHAVISHNU_ROUTE_PORT=5432
MAHAVISHNU_ROUTE_SERVICE=orders
`
	if string(said) != want {
		t.Errorf("the command saw\n%s", said)
	}
}

func TestFailures(t *testing.T) {
	pg1, pg2 := routetest.Targets()[0], routetest.Targets()[1]
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	write(t, script, `#!/bin/sh
[ -e "$1/ok" ] && exit 0
echo "the balancer says no" >&2
seq 20000
echo the end
exit 3
`)
	state := route.NewFile(filepath.Join(dir, "state.json"))
	h := open(t, hook.Options{Command: []string{script, dir}, State: state})
	err := h.Point(t.Context(), pg2, 42)
	if err == nil || !strings.Contains(err.Error(), "the end") || len(err.Error()) > 4<<10 || len(fault.Hints(err)) == 0 {
		t.Errorf("a command that fails: %v", err)
	}
	if last := h.Last(); last.Epoch != 42 || last.Err == nil || len(last.Output) > 64<<10 || !strings.HasSuffix(last.Output, "the end\n") {
		t.Errorf("kept: epoch %d, %d bytes, %v", last.Epoch, len(last.Output), last.Err)
	}
	// It may have done half: nothing lower is done any more, by a restarted process
	// either, and the same again is.
	write(t, filepath.Join(dir, "ok"), "")
	h = open(t, hook.Options{Command: []string{script, dir}, State: state})
	if err := h.Point(t.Context(), pg1, 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("a lower epoch after one whose outcome is unknown: %v", err)
	}
	if err := h.Point(t.Context(), pg2, 42); err != nil {
		t.Error(err)
	}
	if _, epoch, err := h.Current(t.Context()); err != nil || epoch != 42 {
		t.Errorf("epoch %d, %v", epoch, err)
	}
}

func TestSlowCommandIsKilledWithWhatItStarted(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	write(t, script, "#!/bin/sh\nsleep 1000 &\necho $! >\"$1/child\"\necho waiting\nwait\n")
	h := open(t, hook.Options{Command: []string{script, dir}, Timeout: 500 * time.Millisecond})
	err := h.Point(t.Context(), routetest.Targets()[0], 1)
	if !errors.Is(err, route.ErrUnknown) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("a command that does not end: %v", err)
	}
	child, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", strings.TrimSpace(string(child))))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}
	for deadline := time.Now().Add(20 * time.Second); !gone(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what the command started lives on")
		}
	}
}

func TestCurrentIsChecked(t *testing.T) {
	h := open(t, hook.Options{Command: []string{"true"}, Current: []string{"echo", "epoch=1", "nonsense"}})
	if _, _, err := h.Current(t.Context()); err == nil {
		t.Error("nonsense was believed")
	}
	if err := h.Check(t.Context()); err == nil {
		t.Error("nonsense passed the check")
	}
	if err := h.Point(t.Context(), routetest.Targets()[0], 1); err == nil {
		t.Error("clients were led on without knowing where to")
	}
	h = open(t, hook.Options{Command: []string{"true"}, Rehearse: []string{"false"}})
	if err := h.Check(t.Context()); err == nil {
		t.Error("a rehearsal that fails passed the check")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	state := route.NewFile(filepath.Join(t.TempDir(), "state.json"))
	for what, o := range map[string]hook.Options{
		"no command":      {State: state},
		"no memory":       {Command: []string{"true"}},
		"no such program": {State: state, Command: []string{"/nonexistent/program"}},
	} {
		if _, err := hook.New(o); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}
