package snapshot_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// archive is a storage with a cold class, from which nothing is read before it was
// asked for and its time has come.
type archive struct {
	*faults.Memory
	mu    sync.Mutex
	cold  map[string]bool
	ready map[string]time.Time // of what was asked for
}

const thawing = 5 * time.Hour

func newArchive() *archive {
	return &archive{Memory: faults.NewMemory(), cold: map[string]bool{}, ready: map[string]time.Time{}}
}

func (a *archive) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	a.mu.Lock()
	a.cold[name] = o.Cold
	a.mu.Unlock()
	return a.Memory.Put(ctx, name, data, o)
}

func (a *archive) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	a.mu.Lock()
	at, asked := a.ready[name]
	frozen := a.cold[name] && (!asked || time.Now().Before(at))
	a.mu.Unlock()
	if frozen {
		return nil, &storage.Error{Op: "read", Object: name, Err: storage.ErrArchived}
	}
	return a.Memory.Get(ctx, name, offset, length)
}

func (a *archive) Thaw(_ context.Context, names []string, o storage.ThawOptions) (state storage.ThawState, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.Days < 1 {
		return state, errors.New("for no time")
	}
	for _, name := range names {
		at, asked := a.ready[name]
		if a.cold[name] && !asked {
			at = time.Now().Add(thawing)
			a.ready[name] = at
			state.Asked++
		}
		if left := time.Until(at); left > 0 {
			state.Waiting++
			state.Expected = max(state.Expected, left)
		} else {
			state.Ready++
		}
	}
	return state, nil
}

// count returns how many objects below a prefix are cold.
func (a *archive) count(prefix string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, cold := range a.cold {
		if cold && strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

func openCold(t *testing.T, a *archive, ring *keyring.Ring) *repository.Repository {
	t.Helper()
	r, err := repository.Open(t.Context(), a, ring, repository.OpenOptions{Cold: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Data lies in the archive and nothing else does: backups, listings, checks and
// prunes read none of it; a restore without thawing says what to do and restores
// nothing wrong; with it, it asks once for what it needs, waits, and restores.
func TestColdDataIsThawedForARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ring := newArchive(), keyring.Generate(time.Now())
		repo, err := repository.Create(t.Context(), a, ring, repository.CreateOptions{Cold: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := repo.Close(); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		want := map[string]string{"wanted/file": strings.Repeat("needed ", 20_000), "other/file": strings.Repeat("not needed ", 9_000)}
		var snaps []repository.Snapshot
		for i, name := range []string{"wanted/file", "other/file"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(want[name]), 0o600)); err != nil {
				t.Fatal(err)
			}
			// The second backup looks into the first one's trees, and not into its data.
			done, err := snapshot.Backup(t.Context(), openCold(t, a, ring), snapshot.BackupOptions{
				Source: "s", Path: dir, Job: "job-" + name, JobTime: time.Now().Add(time.Duration(i) * time.Minute),
			})
			if err != nil {
				t.Fatal(err)
			}
			snaps = append(snaps, done.Snapshot)
		}
		if n := a.count(""); n != 2 || a.count("packs/") != 2 {
			t.Fatalf("%d objects are cold, %d of them packs, not the two packs of data", n, a.count("packs/"))
		}
		report, err := snapshot.Verify(t.Context(), openCold(t, a, ring), snapshot.VerifyOptions{ReadData: 100})
		if err != nil || report.ColdPacks != 2 || report.PacksRead == 0 {
			t.Errorf("verify: %v, %d cold packs, %d read", err, report.ColdPacks, report.PacksRead)
		}
		if pruned, err := prune.Run(t.Context(), openCold(t, a, ring), prune.Options{}); err != nil || len(pruned.Troubles) > 0 {
			t.Errorf("prune: %v, %v", err, pruned.Troubles)
		}

		to := filepath.Join(t.TempDir(), "to")
		_, err = snapshot.Restore(t.Context(), openCold(t, a, ring), snaps[1], snapshot.RestoreOptions{Target: to})
		if !errors.Is(err, storage.ErrArchived) || len(a.ready) != 0 {
			t.Errorf("restored from the archive, or asked for it: %v", err)
		}

		var states []snapshot.ThawState
		began := time.Now()
		_, err = snapshot.Restore(t.Context(), openCold(t, a, ring), snaps[1], snapshot.RestoreOptions{
			Target: to, Include: []string{"/wanted/"},
			Thaw: &snapshot.ThawOptions{Days: 3, OnState: func(s snapshot.ThawState) { states = append(states, s) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < thawing || took > thawing+time.Hour {
			t.Errorf("it took %v", took)
		}
		first, last := states[0], states[len(states)-1]
		if first.Requests != 1 || first.Waiting != 1 || first.Expected != thawing || last.Requests != 1 || last.Ready != 1 || last.Bytes == 0 {
			t.Errorf("at first %+v, at last %+v", first, last)
		}
		if got, err := os.ReadFile(filepath.Join(to, "wanted/file")); err != nil || string(got) != want["wanted/file"] {
			t.Errorf("it is not what it was: %v", err)
		}
	})
}
