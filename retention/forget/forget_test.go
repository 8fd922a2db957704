package forget

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/retention"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)

// rig is a repository with snapshots a day apart, each with a file of its own.
type rig struct {
	*testing.T
	repo  *repository.Repository
	store string
	ids   []string // oldest first
	packs [][]string
}

func newRig(t *testing.T, snapshots int) *rig {
	t.Helper()
	r := &rig{T: t, store: t.TempDir()}
	be, err := storage.Open(t.Context(), r.store)
	if err != nil {
		t.Fatal(err)
	}
	r.repo, err = repository.Create(t.Context(), be, keyring.Generate(start), repository.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.repo.Close(), be.Close()); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	var before []string
	for day := range snapshots {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(fmt.Sprint("of day ", day)), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Backup(t.Context(), r.repo, snapshot.BackupOptions{
			Source: "home", Path: dir, Type: "incremental", Job: fmt.Sprint("job", day), JobTime: start.AddDate(0, 0, day),
		})
		if err != nil {
			t.Fatal(err)
		}
		r.ids = append(r.ids, got.Snapshot.ID)
		packs, err := filepath.Glob(filepath.Join(r.store, "packs", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		r.packs = append(r.packs, slices.DeleteFunc(slices.Clone(packs), func(p string) bool { return slices.Contains(before, p) }))
		before = packs
	}
	return r
}

// objects are both objects of the i-th snapshot.
func (r *rig) objects(i int) []string {
	r.Helper()
	var all []string
	for _, top := range []string{"snapshots", "copies/snapshots"} {
		found, err := filepath.Glob(filepath.Join(r.store, top, "home", "*-"+r.ids[i]))
		if err != nil || len(found) != 1 {
			r.Fatalf("objects of snapshot %d: %v, %v", i, found, err)
		}
		all = append(all, found...)
	}
	return all
}

func (r *rig) truncate(paths ...string) {
	r.Helper()
	for _, path := range paths {
		if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 60)); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *rig) run(o Options) Report {
	r.Helper()
	o.Now = start.AddDate(0, 0, 30)
	report, err := Run(r.Context(), r.repo, o)
	if err != nil {
		r.Fatal(err)
	}
	return report
}

// left are the numbers of the snapshots that can be read, oldest first.
func (r *rig) left() []int {
	r.Helper()
	all, _, err := r.repo.Snapshots(r.Context(), "")
	if err != nil {
		r.Fatal(err)
	}
	numbers := []int{}
	for _, s := range all {
		numbers = append(numbers, slices.Index(r.ids, s.ID))
	}
	return numbers
}

func (r *rig) wantLeft(numbers ...int) {
	r.Helper()
	if got := r.left(); !slices.Equal(got, numbers) {
		r.Errorf("left are snapshots %v, want %v", got, numbers)
	}
}

func (r *rig) find(i int) repository.Snapshot {
	r.Helper()
	snap, err := r.repo.FindSnapshot(r.Context(), r.ids[i])
	if err != nil {
		r.Fatal(err)
	}
	return snap
}

func (r Report) why(id string) string {
	for _, d := range r.Decisions {
		if d.Snapshot == id {
			return d.Why
		}
	}
	return "nothing was said"
}

var lastTwo = retention.Policy{Last: 2}

func TestForgetRemovesWhatNoRuleKeeps(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	dry := r.run(Options{Policy: lastTwo, DryRun: true})
	if dry.Forgotten() != 2 || dry.Removed != 0 {
		t.Errorf("a dry run: %+v", dry)
	}
	r.wantLeft(0, 1, 2, 3)
	var heard []string
	got := r.run(Options{Policy: lastTwo, Forgotten: func(id string) { heard = append(heard, id) }})
	if got.Removed != 2 || !slices.Equal(heard, r.ids[:2]) { // the oldest first
		t.Errorf("removed %d, heard of %v", got.Removed, heard)
	}
	r.wantLeft(2, 3)
}

func TestOnlyWhatIsNamedGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	got := r.run(Options{Policy: lastTwo, Only: []string{r.ids[0], r.ids[3]}})
	r.wantLeft(1, 2, 3)
	for i, want := range []string{"forgotten: ", "it was not named", "kept: it is among", "kept: it is the newest good"} {
		if why := got.why(r.ids[i]); !strings.Contains(why, want) {
			t.Errorf("snapshot %d: %q, want %q", i, why, want)
		}
	}
}

// TestTheNewestGoodOneIsSeenToBeGood loses the data of the newest snapshot: it
// must not count as the one that is left.
func TestTheNewestGoodOneIsSeenToBeGood(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *rig, i int){
		"data is missing": func(r *rig, i int) {
			for _, p := range r.packs[i] {
				if err := os.Remove(p); err != nil {
					r.Fatal(err)
				}
			}
		},
		"a verification found damage": func(r *rig, i int) {
			for _, p := range r.packs[i] {
				data, err := os.ReadFile(p)
				if err != nil {
					r.Fatal(err)
				}
				data[70] ^= 1 // in the first record
				if err := errors.Join(os.Chmod(p, 0o600), os.WriteFile(p, data, 0o600), os.RemoveAll(filepath.Join(r.store, "parity"))); err != nil {
					r.Fatal(err)
				}
			}
			if _, err := snapshot.Verify(r.Context(), r.repo, snapshot.VerifyOptions{ReadData: 100}); !errors.Is(err, repository.ErrDamaged) {
				r.Fatalf("verify: %v", err)
			}
		},
		"data is cut short":           func(r *rig, i int) { r.truncate(r.packs[i]...) },
		"the snapshot cannot be read": func(r *rig, i int) { r.truncate(r.objects(i)...) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4)
			r.T = t
			spoil(r, 3)
			spoil(r, 2)
			got := r.run(Options{Policy: retention.Policy{Last: 1}})
			if got.Removed == 0 {
				t.Error("nothing was forgotten")
			}
			if why := got.why(r.ids[1]); !strings.Contains(why, "the newest good snapshot") {
				t.Errorf("of the newest that is whole it is said: %s", why)
			}
			if slices.Contains(r.left(), 0) || !slices.Contains(r.left(), 1) {
				t.Errorf("left are %v", r.left())
			}
		})
	}
}

func TestNothingGoesWhileNothingIsWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	for _, packs := range r.packs {
		for _, p := range packs {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.run(Options{Policy: retention.Policy{Last: 1}})
	r.wantLeft(0, 1, 2)
}

func TestPinsAndHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	if err := r.repo.Pin(t.Context(), r.find(0), repository.Keep{Reason: "for the auditors"}); err != nil {
		t.Fatal(err)
	}
	hold := repository.Hold{Source: "home", Name: "anomaly", Keep: repository.Keep{Reason: "half of it changed"}}
	if err := r.repo.Hold(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	got := r.run(Options{Policy: lastTwo})
	r.wantLeft(0, 1, 2, 3)
	if len(got.Held) != 1 || got.Held[0].Name != "anomaly" || !strings.Contains(got.why(r.ids[1]), "held by anomaly (half of it changed)") {
		t.Errorf("held %v: %s", got.Held, got.why(r.ids[1]))
	}
	if err := r.repo.Release(t.Context(), "home", "anomaly"); err != nil {
		t.Fatal(err)
	}
	got = r.run(Options{Policy: lastTwo})
	r.wantLeft(0, 2, 3)
	if why := got.why(r.ids[0]); !strings.Contains(why, "pinned (for the auditors)") {
		t.Error(why)
	}
}

// TestAnAlarmDuringTheRunStopsIt raises an alarm and sets a pin after the
// decision.
func TestAnAlarmDuringTheRunStopsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, 6)
	n := 0
	got := r.run(Options{Policy: retention.Policy{Last: 1}, together: 1, Fence: func(ctx context.Context) error {
		n++
		switch n {
		case 1:
			return r.repo.Pin(ctx, r.find(0), repository.Keep{})
		case 3:
			return r.repo.Hold(ctx, repository.Hold{Source: "home", Name: "anomaly"})
		}
		return nil
	}})
	if got.Removed != 1 || len(got.Held) != 1 {
		t.Errorf("removed %d, held %v", got.Removed, got.Held)
	}
	r.wantLeft(0, 2, 3, 4, 5)
}

// What is removed together stands and falls for itself: here one is pinned, and then
// an alarm is raised.
func TestSomeAreRemovedTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, 8)
	n := 0
	got := r.run(Options{Policy: retention.Policy{Last: 1}, together: 3, Fence: func(ctx context.Context) error {
		switch n++; n {
		case 1:
			return r.repo.Pin(ctx, r.find(1), repository.Keep{})
		case 3:
			return r.repo.Hold(ctx, repository.Hold{Source: "home", Name: "anomaly"})
		}
		return nil
	}})
	if got.Removed != 5 || n != 3 || len(got.Held) != 1 {
		t.Errorf("removed %d in %d steps, held %v", got.Removed, n, got.Held)
	}
	r.wantLeft(1, 6, 7)
}

func TestALostFenceEndsTheRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	lost, n := errors.New("fence lost"), 0
	report, err := Run(t.Context(), r.repo, Options{Policy: retention.Policy{Last: 1}, Now: start.AddDate(0, 0, 9), together: 1, Fence: func(context.Context) error {
		if n++; n == 2 {
			return lost
		}
		return nil
	}})
	if !errors.Is(err, lost) || report.Removed != 1 || report.Forgotten() != 1 {
		t.Errorf("%v, removed %d, told of %d", err, report.Removed, report.Forgotten())
	}
	r.wantLeft(1, 2, 3)
}

func TestDamagedOnesGoWhenNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.truncate(r.objects(1)...) // cannot be read
	r.truncate(r.packs[2]...)   // reads, and does not restore
	keepAll := retention.Policy{Last: 10}
	if got := r.run(Options{Policy: keepAll, Only: r.ids, Damaged: false}); got.Forgotten() != 0 || len(got.Damaged) != 1 {
		t.Errorf("without being asked: %+v", got)
	}
	if err := r.repo.Pin(t.Context(), r.find(2), repository.Keep{}); err != nil {
		t.Fatal(err)
	}
	got := r.run(Options{Policy: keepAll, Only: r.ids, Damaged: true})
	if got.Removed != 1 || !strings.Contains(got.why(r.ids[1]), "forgotten: it is damaged") || !strings.Contains(got.why(r.ids[2]), "pinned") ||
		!strings.Contains(got.why(r.ids[3]), "not damaged") {
		t.Errorf("%+v", got)
	}
	if err := r.repo.Unpin(t.Context(), r.find(2)); err != nil {
		t.Fatal(err)
	}
	r.run(Options{Policy: keepAll, Only: r.ids[2:3], Damaged: true})
	r.wantLeft(0, 3)
	if left, _ := filepath.Glob(filepath.Join(r.store, "*", "home", "*-"+r.ids[1])); len(left) > 0 {
		t.Errorf("left of a damaged snapshot: %v", left)
	}
}
