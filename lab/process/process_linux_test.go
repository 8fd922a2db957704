package process_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/lab/process"
)

// obstinate makes watchdogs of this test's program stay when their keeper is gone.
const obstinate = "MAHAVISHNU_PROCESSTEST_STAYS"

// TestMain lets the test's program be a keeper, which starts as many watchdogs as it is told, and
// such a watchdog, which ends when its keeper does.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "keeper":
		if err := keep(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 2 && os.Args[1] == "keeper-watchdog":
		fmt.Println("watching")
		io.Copy(io.Discard, os.Stdin)
		if os.Getenv(obstinate) != "" {
			time.Sleep(time.Hour)
		}
	default:
		os.Exit(m.Run())
	}
}

func keep(watchdogs string) error {
	var ends []*os.File // they are closed by the end of this process
	for range watchdogs {
		from, to, err := os.Pipe()
		if err != nil {
			return err
		}
		ends = append(ends, to)
		cmd := exec.Command(os.Args[0], "keeper-watchdog")
		cmd.Stdin, cmd.Stdout = from, os.Stdout
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	time.Sleep(time.Hour)
	runtime.KeepAlive(ends)
	return nil
}

// program is another name of the test's, so that its processes are told from those of other tests.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, program, watchdogs string, env ...string) (*process.Process, *process.Output) {
	t.Helper()
	cmd := exec.Command(program, "keeper", watchdogs)
	cmd.Env = append(os.Environ(), env...)
	out := &process.Output{}
	cmd.Stdout, cmd.Stderr = out, out
	p, err := process.Start(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.End() })
	for deadline := time.Now().Add(time.Minute); strings.Count(out.String(), "watching") < len(watchdogs); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("its watchdogs do not start: %s", out)
		}
	}
	return p, out
}

func TestWatchdogsAreWaitedFor(t *testing.T) {
	t.Parallel()
	path := program(t)
	p, _ := start(t, path, "ab")
	other, _ := start(t, path, "c")
	if n := len(p.Watchdogs()); n != 2 || len(process.Left(path)) != 3 {
		t.Fatalf("%d watchdogs of one, %v of all", n, process.Left(path))
	}
	if lost := p.End(); lost != 0 || !p.Gone() || len(p.Watchdogs()) != 0 {
		t.Errorf("%d had to be ended, %v are left", lost, p.Watchdogs())
	}
	if left := process.Left(""); len(left) > 0 {
		t.Errorf("a program without a name has watchdogs: %v", left)
	}
	if len(other.Watchdogs()) != 1 || other.Gone() {
		t.Error("another's watchdog was ended")
	}
	if lost := p.End(); lost != 0 {
		t.Errorf("a second end found %d", lost)
	}
	other.End()
	if left := process.Left(path); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A frozen watchdog is waited for as well, also of a process that is dead already.
func TestFrozenWatchdogsAreWoken(t *testing.T) {
	t.Parallel()
	p, _ := start(t, program(t), "a")
	frozen := p.Watchdogs()
	if err := syscall.Kill(frozen[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Kill() // it has to return, though the watchdog holds the output
	if len(p.Watchdogs()) != 1 {
		t.Fatal("the watchdog is gone before it was woken")
	}
	if lost := p.End(); lost != 0 {
		t.Errorf("%d had to be ended", lost)
	}
}

func TestWatchdogsThatStayAreEnded(t *testing.T) {
	t.Parallel()
	p, _ := start(t, program(t), "ab", obstinate+"=1")
	if lost := p.EndWithin(100 * time.Millisecond); lost != 2 || len(p.Watchdogs()) != 0 {
		t.Errorf("%d were ended, %v are left", lost, p.Watchdogs())
	}
}

// Tests that leave a watchdog behind have failed, and it is ended all the same.
func TestWatchdogsLeftBehindFail(t *testing.T) {
	t.Parallel()
	path := program(t)
	p, _ := start(t, path, "a", obstinate+"=1")
	p.Kill()
	if code := process.Verify(path, 0); code != 1 {
		t.Errorf("exit code %d", code)
	}
	p.End()
	for _, want := range []int{0, 2} {
		if code := process.Verify(path, want); code != want {
			t.Errorf("exit code %d, want that of the tests, %d", code, want)
		}
	}
}

func TestHowAProcessEnded(t *testing.T) {
	t.Parallel()
	p, err := process.Start(exec.Command("sh", "-c", "exit 7"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if code := p.ExitCode(); code != 7 || !p.Gone() {
		t.Errorf("exit code %d", code)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to one that has ended: %v", err)
	}
	if _, err := process.Start(exec.Command(filepath.Join(t.TempDir(), "none")), nil); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	t.Parallel()
	all, last := &process.Output{}, &process.Output{Max: 5}
	for _, text := range []string{"abc", "defg", "h"} {
		if n, err := io.MultiWriter(all, last).Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if all.String() != "abcdefgh" || last.String() != "defgh" {
		t.Errorf("%q, the last of it %q", all, last)
	}
}
