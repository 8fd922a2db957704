package lease

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// child is a real process.
type child struct {
	cmd *exec.Cmd
	Process
	in  *json.Encoder
	out *json.Decoder
}

func startChild(t *testing.T, flags uintptr) child {
	t.Helper()
	c := child{cmd: exec.CommandContext(t.Context(), "/proc/self/exe")}
	c.cmd.Env = append(os.Environ(), asChild+"=1")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	in, err := c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	if err := c.cmd.Start(); errors.Is(err, syscall.EPERM) && flags != 0 {
		t.Skipf("this user may not make namespaces: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = c.cmd.Wait()
	})
	c.in, c.out = json.NewEncoder(in), json.NewDecoder(out)
	must(t, c.out.Decode(&c.Process))
	return c
}

// kill kills the child and waits until it has ended, which its parent has not
// asked about yet.
func (c child) kill(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Kill())
	for {
		if _, ended, err := readStat(strconv.Itoa(c.cmd.Process.Pid)); err != nil || ended {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestProcessGone(t *testing.T) {
	me := *self()
	if me.gone() {
		t.Error("this process takes itself for dead")
	}
	c := startChild(t, 0)
	if c.PID != c.cmd.Process.Pid || c.Boot != me.Boot || c.Space != me.Space || c.gone() {
		t.Fatalf("%+v, beside %+v: gone %v", c.Process, me, c.gone())
	}
	c.kill(t)
	if !c.gone() {
		t.Error("killed, and its parent has not asked: not told")
	}
	_ = c.cmd.Wait()
	if !c.gone() {
		t.Error("killed: not told")
	}
	reused := c.Process
	reused.PID = me.PID
	if !reused.gone() {
		t.Error("its number is another process's: not told")
	}
	for what, change := range map[string]func(p *Process){
		"another boot":  func(p *Process) { p.Boot = "00" },
		"another space": func(p *Process) { p.Space = "pid:[1]" },
		"no boot":       func(p *Process) { p.Boot = "" },
		"no space":      func(p *Process) { p.Space = "" },
		"no number":     func(p *Process) { p.PID = 0 },
		"all processes": func(p *Process) { p.PID = -1 },
		"other clocks, and a number that is used": func(p *Process) { p.PID, p.Clocks = me.PID, "time:[1]" },
	} {
		p := c.Process
		if change(&p); p.gone() {
			t.Errorf("%s: taken for dead", what)
		}
	}
	if (*Process)(nil).gone() {
		t.Error("what tells nothing is taken for dead")
	}
}

// Processes that are counted in another space judge nothing of each other, nor
// by a /proc that counts otherwise.
func TestProcessInAnotherSpace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes PID namespaces")
	}
	inside := startChild(t, syscall.CLONE_NEWPID)
	me := *self()
	if inside.PID != 1 || inside.Space == me.Space || inside.Boot != me.Boot {
		t.Fatalf("%+v, beside %+v", inside.Process, me)
	}
	if inside.gone() {
		t.Error("from outside: taken for dead")
	}
	judged := func(p Process) (gone bool) {
		must(t, inside.in.Encode(p))
		must(t, inside.out.Decode(&gone))
		return gone
	}
	if judged(me) {
		t.Error("from inside: taken for dead")
	}
	// Its /proc is the one outside, where number 1 is another process.
	if judged(inside.Process) {
		t.Error("it takes itself for dead")
	}
	reused := inside.Process
	reused.Start++
	if judged(reused) {
		t.Error("by a /proc that counts otherwise it judged when a process started")
	}
	if ended := (Process{Boot: inside.Boot, Space: inside.Space, PID: 4711}); !judged(ended) {
		t.Error("a number that no process has in its own space: not told")
	}
	inside.kill(t)
	if inside.gone() {
		t.Error("from outside, killed: there is nothing to tell it by")
	}
}

// A session whose process was killed is ended by the next collector on the
// machine, at once; what it had committed is published.
func TestDeadProcessIsFencedAtOnce(t *testing.T) {
	c := startChild(t, 0)
	c.kill(t)
	dead := c.Process
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		alive := p.begin(t, Options{})
		backup := p.begin(t, Options{process: &dead})
		prune := p.begin(t, Options{process: &dead, Role: Collector})
		k := &keeper{held: map[string]bool{}}
		kept := p.begin(t, Options{process: &dead, Keeper: k})
		done := p.begin(t, Options{process: &dead})
		_, err := done.Commit(t.Context(), "snapshots/s/1", []byte("snapshot"))
		must(t, err)
		for _, l := range []*Lease{backup, prune, kept, done} {
			must(t, l.Leave(t.Context()))
			k.held[kept.ID().String()] = true // the queue has not noticed yet
		}

		look, err := p.Watch(k, nil).Look(t.Context(), ID{})
		must(t, err)
		if len(look.Unfinished) != 5 || len(look.Left()) != 3 {
			t.Fatalf("looking decides nothing, and tells who is gone: %+v", look)
		}
		for _, s := range look.Unfinished {
			if s.Gone == (s.ID == alive.ID()) {
				t.Errorf("%+v: gone %v", s, s.Gone)
			}
		}
		settled := p.settle(t, p.Watch(k, nil))
		if len(settled.Fenced) != 3 || len(settled.Published) != 1 || len(settled.Unfinished) != 1 || !settled.Open(alive.ID()) {
			t.Fatalf("settled: %+v", settled)
		}
		must(t, alive.Done(t.Context()))
	})
}

// Should the verdict be wrong, it costs the session a retry: it finds itself
// fenced, publishes nothing, and begins anew.
func TestWrongVerdictCostsARetry(t *testing.T) {
	c := startChild(t, 0)
	c.kill(t)
	dead := c.Process
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		l := p.begin(t, Options{process: &dead})
		p.settle(t, p.Watch(nil, nil))
		if _, err := l.Commit(t.Context(), "snapshots/s/1", []byte("snapshot")); !errors.Is(err, ErrFenced) {
			t.Errorf("it committed: %v", err)
		}
		must(t, l.Done(t.Context()))
		p.settle(t, p.Watch(nil, nil))
		if left := p.left(); left != "" {
			t.Errorf("left: %s", left)
		}
		again := p.begin(t, Options{})
		if _, err := again.Commit(t.Context(), "snapshots/s/1", []byte("snapshot")); err != nil {
			t.Error(err)
		}
		must(t, again.Done(t.Context()))
	})
}

func FuzzStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("7 (a) b) Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0"))
	f.Add([]byte("7 (x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		started, ended, err := parseStat(text)
		if err != nil && (ended || started != 0) {
			t.Fatalf("%d, %v beside %v", started, ended, err)
		}
	})
}

func TestParseStat(t *testing.T) {
	for text, want := range map[string]struct {
		started uint64
		ended   bool
		bad     bool
	}{
		"7 (a) b) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 9 0 4711 0":  {started: 4711},
		"7 (a) b) Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0":  {started: 4711, ended: true},
		"7 (first) Z 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 2 0 4711 0": {started: 4711}, // other threads go on
		"7 (short) S 1 1 1": {bad: true},
		"7 (letters) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 soon 0": {bad: true},
		"": {bad: true},
	} {
		started, ended, err := parseStat([]byte(text))
		if started != want.started || ended != want.ended || (err != nil) != want.bad {
			t.Errorf("%q: %d, %v, %v", text, started, ended, err)
		}
	}
}
