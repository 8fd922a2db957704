package main

import (
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mahavishnu/lab/process"
)

// TestMain lets scripts run this test binary as the real command.
func TestMain(m *testing.M) {
	testscript.Main(swept{m}, map[string]func(){"mahavishnu": main})
}

// swept are tests that fail when a watchdog of the program is left.
type swept struct{ *testing.M }

func (s swept) Run() int {
	code := s.M.Run()
	self, err := os.Executable() // the program's other name
	if err != nil {
		return max(code, 1)
	}
	return process.Verify(self, code)
}

// TestScripts runs the real binary as people and scripts do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// An empty home: nothing but what the script itself makes.
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TZ", "UTC")
			return os.Mkdir(filepath.Join(env.WorkDir, ".home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus,
			"flip":   cmdFlip,
			"until":  cmdUntil,
			// versions '1 2' repo: which versions of the key its packs were sealed with
			"versions": cmdVersions,
		},
	})
}

// cmdStatus runs a command and checks its exit code: status 3 mahavishnu …
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND [ARGUMENT]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		got = exited.ExitCode()
		if status, ok := exited.Sys().(syscall.WaitStatus); ok && runtime.GOOS != "windows" && status.Signaled() {
			got = 128 + int(status.Signal())
		}
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdVersions compares the key versions that the headers of a repository's packs
// tell with those it is given.
func cmdVersions(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: versions 'VERSION...' REPOSITORY")
	}
	packs, err := filepath.Glob(ts.MkAbs(filepath.Join(args[1], "packs", "*", "*")))
	ts.Check(err)
	found := map[string]bool{}
	for _, path := range packs {
		header, err := os.ReadFile(path)
		ts.Check(err)
		if len(header) < 12 || string(header[:4]) != "MHVp" {
			ts.Fatalf("%s is no pack", path)
		}
		found[strconv.FormatUint(uint64(binary.LittleEndian.Uint32(header[8:])), 10)] = true
	}
	if got := strings.Join(slices.Sorted(maps.Keys(found)), " "); got != args[0] {
		ts.Fatalf("%d packs are sealed with versions %q, want %q", len(packs), got, args[0])
	}
}

// cmdUntil runs a command until it succeeds, for at most half a minute.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until COMMAND [ARGUMENT]...")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("still fails: %v", err)
		}
	}
}

// cmdFlip flips one bit in the middle of every file that matches a pattern:
// flip repo/packs/*/*
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip PATTERN")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	for _, file := range files {
		bytes, err := os.ReadFile(file)
		ts.Check(err)
		if len(bytes) == 0 {
			ts.Fatalf("%s is empty", file)
		}
		bytes[len(bytes)/2] ^= 1
		ts.Check(os.Chmod(file, 0o600))
		ts.Check(os.WriteFile(file, bytes, 0o600))
	}
}
