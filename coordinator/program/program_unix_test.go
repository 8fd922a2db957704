//go:build unix

package program_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/program"
)

// family starts a shell that starts another program and waits for it, and tells who that is.
func family(ctx context.Context, t *testing.T) (parent *exec.Cmd, child int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "child")
	parent = exec.CommandContext(ctx, "sh", "-c", `sleep 1000 & echo $! >"$0.new" && mv "$0.new" "$0"; wait`, file)
	program.Together(parent)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); child == 0; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil {
			child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) }) // it should have ended
	return parent, child
}

// runs tells whether a process is there and has not ended; whoever has ended waits for somebody to
// ask, or is gone.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	out, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output() // an error says that there is none
	state := strings.TrimSpace(string(out))
	return state != "" && !strings.HasPrefix(state, "Z")
}

// A command that has no more time ends with what it started: a script that is given up must not
// go on to change the service through its children.
func TestTogetherEndsWhatACommandStarted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parent, child := family(ctx, t)
	if !runs(t, child) {
		t.Fatal("the child has ended before its parent")
	}
	cancel()
	if err := parent.Wait(); err == nil {
		t.Error("a command that was killed succeeded")
	}
	for deadline := time.Now().Add(time.Minute); runs(t, child); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives the command that started it", child)
		}
	}
}

// What ends by itself is not touched, nor is anybody else's group.
func TestTogetherLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "true")
	program.Together(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	cancel()
	// Its context may end in the moment in which it does.
	if err := cmd.Cancel(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("ending a command that has ended: %v", err)
	}
	// A command has a group of its own: a terminal's signals to this one do not reach it.
	other, cancelOther := context.WithCancel(t.Context())
	defer cancelOther()
	parent, _ := family(other, t)
	group, err := syscall.Getpgid(parent.Process.Pid)
	if err != nil || group != parent.Process.Pid || group == syscall.Getpgrp() {
		t.Errorf("it is in group %d, this process in %d: %v", group, syscall.Getpgrp(), err)
	}
	cancelOther()
	_ = parent.Wait() // killed is an error
}
