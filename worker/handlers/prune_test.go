package handlers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/retention"
)

// withGarbage makes two snapshots and forgets the older one.
func withGarbage(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.backup()
	r.write("a.txt", strings.Repeat("another content ", 1000))
	r.write("sub/c.txt", "gamma")
	r.backupAt(time.Now().Add(time.Minute), messages.BackupIncremental)
	r.clock.by = time.Hour
	r.settings.Retention = retention.Policy{Last: 1}
	if got := result[ForgetResult](r, &messages.ForgetSpec{}, messages.StateSucceeded); got.Forgotten != 1 {
		t.Fatalf("forget: %+v", got)
	}
	return r
}

func TestPruneJob(t *testing.T) {
	t.Parallel()
	r := withGarbage(t)
	dry := result[PruneResult](r, &messages.PruneSpec{DryRun: true}, messages.StateSucceeded)
	// The old content of a.txt, and both directories of the old tree with its root.
	if dry.UnusedBytes == 0 || dry.RemovedPacks != 0 || len(dry.Plan) == 0 {
		t.Errorf("dry run: %+v", dry)
	}
	got := result[PruneResult](r, &messages.PruneSpec{}, messages.StateSucceeded)
	if got.RemovedPacks == 0 || got.RemovedBytes == 0 || len(got.Waiting) > 0 || got.TroublesTotal != 0 {
		t.Errorf("pruned: %+v", got)
	}
	if again := result[PruneResult](r, &messages.PruneSpec{}, messages.StateSucceeded); again.UnusedBytes != 0 || again.RemovedPacks != 0 {
		t.Errorf("once more: %+v", again)
	}
	if got := result[VerifyResult](r, &messages.VerifySpec{ReadData: 100}, messages.StateSucceeded); got.ProblemsTotal != 0 {
		t.Errorf("verified after that: %+v", got)
	}
}

func TestPruneJobRemovesNothingWhileAnythingIsHeld(t *testing.T) {
	t.Parallel()
	r := withGarbage(t)
	hold := repository.Hold{Source: "another", Name: "anomaly", Keep: repository.Keep{Reason: "half of it changed"}}
	r.change(func(repo *repository.Repository) error { return repo.Hold(t.Context(), hold) })
	got := result[PruneResult](r, &messages.PruneSpec{}, messages.StateSucceeded)
	if got.RemovedPacks != 0 || got.UnusedBytes == 0 || len(got.Held) != 1 || got.Held[0].Reason != hold.Reason {
		t.Errorf("held: %+v", got)
	}
	r.change(func(repo *repository.Repository) error { return repo.Release(t.Context(), "another", "anomaly") })
	if got := result[PruneResult](r, &messages.PruneSpec{}, messages.StateSucceeded); got.RemovedPacks == 0 {
		t.Errorf("released: %+v", got)
	}
}

func TestPruneJobStopsAtDamage(t *testing.T) {
	t.Parallel()
	r := withGarbage(t)
	for _, lost := range []string{"packs", "parity"} {
		if err := os.RemoveAll(filepath.Join(r.store, lost)); err != nil {
			t.Fatal(err)
		}
	}
	rec := r.do(&messages.PruneSpec{})
	if rec.State != messages.StateFailed || rec.Spent != 0 || !strings.Contains(string(rec.Result), `"removed_packs":0`) {
		t.Errorf("after damage the job is %s: %s, %s", rec.State, rec.Error, rec.Result)
	}
}
