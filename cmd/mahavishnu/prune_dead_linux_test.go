package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
)

// killed starts a real process with these arguments, waits until something is in
// a directory of the bench's repository, and kills it.
func (b bench) killed(until string, args ...string) (pid int) {
	b.Helper()
	args = append(args, "--repository", filepath.Join(b.dir, "repository"), "--key", filepath.Join(b.dir, "ring"))
	cmd := exec.CommandContext(b.Context(), "mahavishnu", args...)
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "NO_COLOR=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if found, _ := filepath.Glob(filepath.Join(b.dir, "repository", filepath.FromSlash(until))); len(found) > 0 {
			break
		}
		select {
		case err := <-ended:
			b.Fatalf("%q ended: %v\n%s", args, err, &out)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	<-ended
	return cmd.Process.Pid
}

// TestPruneTakesThePlaceOfAKilledOne kills a prune that seals anew and waits for a
// backup at work. A dry run knows the dead from the living, the next prune takes its
// place without waiting and goes on with its work, and the living one is left alone.
func TestPruneTakesThePlaceOfAKilledOne(t *testing.T) {
	b := newBench(t)
	session, err := b.repo.Session(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Rotate(filepath.Join(b.dir, "ring"), time.Now()); err != nil {
		t.Fatal(err)
	}
	pid := b.killed("gc/condemned/*.wait", "prune", "--max-unused", "0", "--reseal", "--wait", "1h")
	corpse := fmt.Sprintf("(process %d, ", pid)

	out, errs := b.run(t.Context(), exitDone, "prune", "--dry-run", "--max-unused", "0")
	for _, part := range []string{"left by a process that has ended, and would be cleared away: collector on ", corpse, "would go on with sealing anew, begun on "} {
		if !strings.Contains(out, part) {
			t.Errorf("a dry run does not tell %q:\n%s%s", part, out, errs)
		}
	}
	out, errs = b.run(t.Context(), exitDone, "prune", "--max-unused", "0")
	for _, part := range []string{"cleared away what a process left that has ended: collector on ", corpse, "went on with sealing anew, begun on ", "will be removed when these have ended:"} {
		if !strings.Contains(out, part) {
			t.Errorf("the next prune does not tell %q:\n%s%s", part, out, errs)
		}
	}
	if _, err := session.Abort(t.Context()); err != nil {
		t.Errorf("the backup at work: %v", err)
	}
	out, errs = b.run(t.Context(), exitDone, "prune", "--max-unused", "0")
	if !strings.Contains(out, "nothing is left to remove") || strings.Contains(out, "sealing anew") {
		t.Errorf("once the backup has ended:\n%s%s", out, errs)
	}
	b.run(t.Context(), exitDone, "verify", "--read-data", "100")
}
