package prune_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// world is a repository, a directory that is backed up, and what each snapshot
// must restore to.
type world struct {
	t     testing.TB
	disk  *faults.Memory
	ring  *keyring.Ring
	cache string
	dir   string
	want  map[string]map[string]string // snapshot id -> path -> content
	seed  uint64
	// forgot is true when somebody forgot the snapshot that is being made.
	forgot bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, ring: keyring.Generate(time.Now()), dir: tempDir(t), cache: tempDir(t), want: map[string]map[string]string{}}
	w.disk = faults.NewMemory()
	repo, err := repository.Create(t.Context(), w.disk, w.ring, repository.CreateOptions{CacheDir: w.cache})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(be storage.Backend) *repository.Repository {
	w.t.Helper()
	repo, err := repository.Open(context.Background(), be, w.ring, repository.OpenOptions{CacheDir: w.cache})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := repo.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return repo
}

// tempDir is a directory in memory where there is such a place: nothing here asks
// what a disk does.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "prune-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// content is n bytes that do not compress.
func content(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

// files is what the directory holds.
func (w *world) files(dir string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(text)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) options() snapshot.BackupOptions {
	w.seed++
	return snapshot.BackupOptions{Source: "s", Path: w.dir, Job: fmt.Sprint("job-", w.seed), JobTime: time.Unix(1_700_000_000+int64(w.seed), 0)}
}

// backup makes a snapshot through a repository of its own.
func (w *world) backup() repository.Snapshot {
	w.t.Helper()
	r, err := snapshot.Backup(w.t.Context(), w.open(w.disk), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.want[r.Snapshot.ID] = w.files(w.dir)
	return r.Snapshot
}

func (w *world) forget(s repository.Snapshot) {
	w.t.Helper()
	if err := w.open(w.disk).DeleteSnapshot(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	delete(w.want, s.ID)
}

func (w *world) prune(o prune.Options) prune.Report {
	w.t.Helper()
	r, err := prune.Run(w.t.Context(), w.open(w.disk), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// whole restores every snapshot bit for bit, and wants no others.
func (w *world) whole() {
	w.t.Helper()
	repo := w.open(w.disk)
	snaps, bad, err := repo.Snapshots(w.t.Context(), "")
	if err != nil || len(bad) > 0 || len(snaps) != len(w.want) {
		w.t.Fatalf("%d snapshots, want %d; damaged %v, %v", len(snaps), len(w.want), bad, err)
	}
	for _, s := range snaps {
		to := tempDir(w.t)
		if _, err := snapshot.Restore(w.t.Context(), repo, s, snapshot.RestoreOptions{Target: to}); err != nil {
			w.t.Fatalf("restore %s: %v", s.ID, err)
		}
		got := w.files(to)
		want := w.want[s.ID]
		if len(got) != len(want) {
			w.t.Fatalf("snapshot %s restored %d files, want %d", s.ID, len(got), len(want))
		}
		for name, text := range want {
			if got[name] != text {
				w.t.Fatalf("snapshot %s restored %s wrong", s.ID, name)
			}
		}
	}
}

// tidy wants no garbage, beside what may stay for ever because somebody stalled or
// died just then: every blob of the index is needed, every pack is
// indexed, and nothing of garbage collection is left but its turn and notes.
func (w *world) tidy(mayStay ...string) {
	w.t.Helper()
	r, err := prune.Run(w.t.Context(), w.open(w.disk), prune.Options{DryRun: true})
	if err != nil {
		w.t.Fatal(err)
	}
	if r.UnusedBytes != 0 || r.UnindexedPacks != 0 || len(r.Waiting) != 0 {
		w.t.Errorf("garbage is left: %+v", r)
	}
	err = w.disk.List(w.t.Context(), "gc/", func(info storage.Info) error {
		// What was forgotten is known for a year, so that copies let go of it, too.
		for _, kept := range append(mayStay, "gc/gone/") {
			if strings.HasPrefix(info.Name, kept) {
				return nil
			}
		}
		if !strings.HasPrefix(info.Name, "gc/turns/") && info.Name != "gc/seen" && !strings.HasPrefix(info.Name, lease.Prefix) {
			w.t.Errorf("%s is left", info.Name)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.checked(false)
}

// checked wants no problem in any object; of what was interrupted it may be one
// that harms nothing.
func (w *world) checked(interrupted bool) {
	w.t.Helper()
	report, err := snapshot.Verify(w.t.Context(), w.open(w.disk), snapshot.VerifyOptions{ReadData: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range report.Problems {
		if !p.Harmless || !interrupted {
			w.t.Errorf("verify: %+v", p)
		}
	}
}

func TestPruneInOneRun(t *testing.T) {
	w := newWorld(t)
	w.write("kept/same", "in all")
	w.write("gone", content(1, 300_000))
	first := w.backup()
	w.remove("gone")
	w.write("new", content(2, 200_000))
	w.backup()
	w.forget(first)

	dry := w.prune(prune.Options{DryRun: true})
	if dry.UnusedBytes < 300_000 {
		t.Errorf("dry run: %+v", dry)
	}
	r := w.prune(prune.Options{})
	if r.RemovedBytes < 300_000 || !r.Clean() {
		t.Errorf("prune: %+v", r)
	}
	w.whole()
	w.tidy()
	if again := w.prune(prune.Options{}); again.RemovedPacks+again.WrittenFragments != 0 {
		t.Errorf("the second prune still found something: %+v", again)
	}
	w.whole()
}

var errStopped = errors.New("stopped")
