package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
)

// bench is a repository with one snapshot, and garbage of a forgotten one.
type bench struct {
	*testing.T
	dir  string
	repo *repository.Repository
}

func newBench(t *testing.T) bench {
	t.Helper()
	b := bench{T: t, dir: t.TempDir()}
	ring, err := keyring.Create(filepath.Join(b.dir, "ring"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	be, err := storage.Open(t.Context(), filepath.Join(b.dir, "repository"))
	if err != nil {
		t.Fatal(err)
	}
	if b.repo, err = repository.Create(t.Context(), be, ring, repository.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.repo.Close(), be.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, content := range []string{"first", "second"} {
		if err := os.MkdirAll(filepath.Join(b.dir, "tree"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "tree", "file"), []byte(strings.Repeat(content, 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		made, err := snapshot.Backup(t.Context(), b.repo, snapshot.BackupOptions{Source: content, Path: filepath.Join(b.dir, "tree")})
		if err != nil {
			t.Fatal(err)
		}
		if content == "first" {
			defer func() {
				if err := b.repo.Forget(t.Context(), made.Snapshot); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	return b
}

// run runs the command line on the repository and returns what it says.
func (b bench) run(ctx context.Context, want int, args ...string) (out, errs string) {
	b.Helper()
	var o, e strings.Builder
	args = append(args, "--repository", filepath.Join(b.dir, "repository"), "--key", filepath.Join(b.dir, "ring"))
	if code := execute(ctx, args, strings.NewReader(""), &o, &e); code != want {
		b.Fatalf("mahavishnu %q: exit code %d, want %d\n%s%s", args, code, want, &o, &e)
	}
	return o.String(), e.String()
}

// TestPruneTellsForWhomItWaits prunes beside a session that may rely on what is to
// go, and again when that has ended.
func TestPruneTellsForWhomItWaits(t *testing.T) {
	b := newBench(t)
	session, err := b.repo.Session(t.Context(), repository.SessionOptions{Lease: lease.Options{Host: "elsewhere", PID: 4711}})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := b.run(t.Context(), exitDone, "prune", "--max-unused", "0")
	for _, part := range []string{"will be removed when these have ended:", "backup on elsewhere (process 4711, since ", "the next run removes it"} {
		if !strings.Contains(out, part) {
			t.Errorf("prune does not tell %q:\n%s", part, out)
		}
	}
	out, _ = b.run(t.Context(), exitDone, "prune", "--json")
	var report struct {
		Clean   bool `json:"clean"`
		Waiting []struct {
			Bytes int64 `json:"bytes"`
			For   []struct {
				Host string `json:"host"`
				PID  int    `json:"pid"`
			} `json:"for"`
		} `json:"waiting"`
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if report.Clean || len(report.Waiting) == 0 || len(report.Waiting[0].For) != 1 || report.Waiting[0].For[0].PID != 4711 || report.Waiting[0].Bytes == 0 {
		t.Errorf("as JSON: %+v", report)
	}
	if _, err := session.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, _ = b.run(t.Context(), exitDone, "prune", "--max-unused", "0")
	if strings.Contains(out, "will be removed") || strings.Contains(out, "removed 0 B") || !strings.Contains(out, "nothing is left to remove") {
		t.Errorf("when the session has ended:\n%s", out)
	}
}

// TestPruneWaitsAsLongAsItIsTold ends the session while prune waits for it.
func TestPruneWaitsAsLongAsItIsTold(t *testing.T) {
	b := newBench(t)
	session, err := b.repo.Session(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 1)
	go func() {
		out, _ := b.run(t.Context(), exitDone, "prune", "--max-unused", "0", "--wait", "5m")
		done <- out
	}()
	for { // until the run has decided whom to wait for
		lists, err := filepath.Glob(filepath.Join(b.dir, "repository", "gc", "condemned", "*.wait"))
		if err != nil {
			t.Fatal(err)
		}
		if len(lists) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := session.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := <-done; strings.Contains(out, "will be removed") || strings.Contains(out, "removed 0 B") {
		t.Errorf("it did not wait:\n%s", out)
	}
}

// TestAnInterruptedPruneSaysWhatIsKept interrupts it while it waits; the next run
// goes on, and what is left is whole.
func TestAnInterruptedPruneSaysWhatIsKept(t *testing.T) {
	b := newBench(t)
	session, err := b.repo.Session(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancelCause(t.Context())
	said := make(chan string, 1)
	go func() {
		_, errs := b.run(ctx, exitInterrupted, "prune", "--max-unused", "0", "--wait", "5m")
		said <- errs
	}()
	if err := clock.System().Sleep(t.Context(), 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	interrupt(&interruptedError{os.Interrupt})
	if errs := <-said; !strings.Contains(errs, "interrupted; no snapshot lost anything") {
		t.Errorf("it says:\n%s", errs)
	}
	if _, err := session.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, _ := b.run(t.Context(), exitDone, "prune", "--max-unused", "0")
	if !strings.Contains(out, "nothing is left to remove") {
		t.Errorf("the next run:\n%s", out)
	}
	b.run(t.Context(), exitDone, "verify", "--read-data", "100")
}
