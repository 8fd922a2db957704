package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

// A keeper is killed together with whoever read what its watchdog says, and everything that ends programs is
// sent to the watchdog: it goes on until the member, which resists at first, is stopped. The program
// that stops the member is one that such signals end.
func TestWatchdogOutlivesItsKeeper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tried, may, fenced := filepath.Join(dir, "tried"), filepath.Join(dir, "may"), filepath.Join(dir, "fenced")
	idle := []string{"true"}
	spec := standby.Spec{Command: &standby.CommandOptions{
		Service: "db", Member: "a", Health: idle, Promote: idle, Demote: idle,
		Fence: []string{"sh", "-c", `echo >>"$0/tried"; test -e "$0/may" || { echo "not $(wc -l <"$0/tried")" >&2; exit 1; }
			grep ^SigIgn: /proc/self/status >"$0/fenced"`, dir},
	}}
	first, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	log, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "mahavishnu", "keeper-watchdog")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(first)+"\n"+fmt.Sprintf(`{"epoch":7,"until":%d}`, int64(1)<<62)+"\n"), says
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says.Close()
	log.Close() // before the first line
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	attempts := func() int {
		text, _ := os.ReadFile(tried) // not there at first
		return strings.Count(string(text), "\n")
	}
	await("it tried", func() bool { return attempts() > 0 })
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	soFar := attempts()
	await("it tries on", func() bool { return attempts() > soFar+3 })
	if err := os.WriteFile(may, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(fenced)
	if err != nil {
		t.Fatal(err)
	}
	var ignored uint64
	if _, err := fmt.Sscanf(string(text), "SigIgn: %x", &ignored); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE} {
		if ignored&(1<<(s-1)) != 0 {
			t.Errorf("the program that stops the member ignores %v", s)
		}
	}
}
