package handlers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/retention"
)

func TestBackupJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := result[BackupResult](r, &messages.BackupSpec{Source: "home", Tags: []string{"daily", "extra"}, Exclude: []string{"sub"}},
		messages.StateSucceeded, func(j *messages.Job) { j.Labels = map[string]string{"why": "test"} })
	if got.Files != 1 || got.Bytes != 5 || got.NewBytes == 0 || got.Type != "incremental" {
		t.Errorf("result %+v", got)
	}
	all := r.snapshots()
	if len(all) != 1 {
		t.Fatalf("%d snapshots", len(all))
	}
	s := all[0]
	if s.ID != got.Snapshot || s.Source != "home" || s.Host != "host1" || s.Engine != "test" || s.Attempt != 1 ||
		!slices.Equal(s.Tags, []string{"daily", "extra"}) || s.Labels["why"] != "test" {
		t.Errorf("snapshot %+v", s)
	}
}

func TestBackupJobThatRunsTwiceCommitsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	same := func(j *messages.Job) { j.ID = "same" }
	first := result[BackupResult](r, &messages.BackupSpec{Source: "home"}, messages.StateSucceeded, same)
	// As if the record of the first run had been lost: the repository knows.
	e, err := r.Records().Get(t.Context(), "same")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Records().Remove(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if e, err = r.Records().Create(t.Context(), messages.NewRecord(e.Job, e.Created)); err != nil {
		t.Fatal(err)
	}
	if err := r.Wake(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	second := result[BackupResult](r, &messages.BackupSpec{Source: "home"}, messages.StateSucceeded, same)
	if second.Snapshot != first.Snapshot || !second.Existing || len(r.snapshots()) != 1 || first.Known != 1 || second.Known != 1 {
		t.Errorf("first %s, second %s (existing: %v), %d snapshots", first.Snapshot, second.Snapshot, second.Existing, len(r.snapshots()))
	}
}

func TestBackupJobsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for source, want := range map[string]string{
		"hone":      `no source "hone" in the configuration (it has elsewhere, home); did you mean "home"?`,
		"elsewhere": "is in region eu-west-1, and this job went to region us-east-1; publish it to dr.jobs.backup.eu-west-1",
	} {
		if got := r.refused(&messages.BackupSpec{Source: source}); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not tell %q", source, got, want)
		}
	}
}

func TestPatternsNobodyCanReadAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.backup()
	bad := []string{"fine", "[bad"}
	for name, spec := range map[string]messages.Spec{
		"backup":  &messages.BackupSpec{Source: "home", Exclude: bad},
		"include": &messages.RestoreSpec{Snapshot: "latest", Target: "t", Include: bad},
		"exclude": &messages.RestoreSpec{Snapshot: "latest", Target: "t", Exclude: bad},
	} {
		if got := r.refused(spec); !strings.Contains(got, `pattern 2 "[bad"`) {
			t.Errorf("%s: %q does not name the pattern", name, got)
		}
	}
}

func TestEveryKindIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for want, spec := range map[string]messages.Spec{
		"no copies of other regions":             &messages.ReplicateSpec{From: region, To: "eu-west-1"},
		"cannot rehearse disasters yet":          &messages.DrillSpec{Scenario: "region_failure"},
		"cannot back up PostgreSQL clusters yet": &messages.BaseBackupSpec{Source: "home"},
	} {
		if got := r.refused(spec); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not tell %q", spec.Kind(), got, want)
		}
	}
}

func TestBackupOfMissingSourceIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings.Sources = map[string]config.Source{"home": {Path: filepath.Join(r.source, "nowhere")}}
	rec := r.do(&messages.BackupSpec{Source: "home"})
	if rec.State != messages.StateDead || rec.Spent != 2 || !strings.Contains(rec.Error, "nowhere") {
		t.Errorf("the job is %s after %d attempts: %s", rec.State, rec.Spent, rec.Error)
	}
}

func TestRestoreJobWritesIntoStaging(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	snap := r.backup()
	got := result[RestoreResult](r, &messages.RestoreSpec{Snapshot: "latest:home", Source: "home", Target: "out", Verify: new(true)}, messages.StateSucceeded)
	if got.Files != 2 || got.Snapshot != snap.Snapshot || got.Worker != "node1" || got.Target != filepath.Join(r.staging, "out") {
		t.Errorf("result %+v", got)
	}
	for name, want := range map[string]string{"a.txt": "alpha", "sub/b.txt": "beta"} {
		if data, err := os.ReadFile(filepath.Join(r.staging, "out", name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if info, err := os.Stat(r.staging); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the staging directory: %v, %v", info.Mode(), err)
	}
	if got := result[RestoreResult](r, &messages.RestoreSpec{Snapshot: snap.Snapshot, Target: "dry", DryRun: true}, messages.StateSucceeded); !got.DryRun {
		t.Error("not a dry run")
	}
	if left, _ := os.ReadDir(filepath.Join(r.staging, "dry")); len(left) > 0 {
		t.Errorf("a dry run left %v", left)
	}
}

// TestWhetherRestoreJobsReadBack is for the job to say, else for the worker's
// configuration.
func TestWhetherRestoreJobsReadBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configured bool
		wish       *bool
		want       int64
	}{
		"as configured":        {true, nil, int64(len("alpha" + "beta"))},
		"as not configured":    {false, nil, 0},
		"wished all the same":  {false, new(true), int64(len("alpha" + "beta"))},
		"refused all the same": {true, new(false), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.settings.VerifyOnRestore = c.configured
			r.backup()
			got := result[RestoreResult](r, &messages.RestoreSpec{Snapshot: "latest:home", Target: "out", Verify: c.wish}, messages.StateSucceeded)
			if got.Files != 2 || got.ReadBackBytes != c.want {
				t.Errorf("%d files restored, %d bytes read back, want %d", got.Files, got.ReadBackBytes, c.want)
			}
		})
	}
}

// TestRestoreStaysInStaging plants a link where a target is to be.
func TestRestoreStaysInStaging(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.backup()
	outside := t.TempDir()
	if err := os.MkdirAll(r.staging, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(r.staging, "link")); err != nil {
		t.Fatal(err)
	}
	rec := r.do(&messages.RestoreSpec{Snapshot: "latest", Target: "link"})
	if rec.State != messages.StateDead || !strings.Contains(rec.Error, "symbolic link") {
		t.Errorf("the job is %s: %s", rec.State, rec.Error)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("it wrote %v through the link", left)
	}
	s := newStaging(r.staging, r.clock)
	for _, name := range []string{"..", ".", "", "a/b", `a\b`, "/etc", "../x"} {
		if _, _, err := s.take(name); err == nil {
			t.Errorf("staging gave %q away", name)
		}
	}
	_, release, err := s.take("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.take("one"); err == nil {
		t.Error("one directory was given away twice")
	}
	release()
	if _, _, err := s.take("one"); err != nil {
		t.Error(err)
	}
}

func TestRestoreJobsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.backup()
	for want, spec := range map[string]*messages.RestoreSpec{
		"no such snapshot":                   {Snapshot: "ffffffffffffffff", Target: "x"},
		`is of source "home", not of "work"`: {Snapshot: "latest", Source: "work", Target: "x"},
	} {
		if got := r.refused(spec); !strings.Contains(got, want) {
			t.Errorf("%q does not tell %q", got, want)
		}
	}
}

func TestRestoreJobOfNothingFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.backup()
	rec := r.do(&messages.RestoreSpec{Snapshot: "latest", Target: "x", Include: []string{"/no/such/file"}})
	if rec.State != messages.StateFailed || !strings.Contains(rec.Error, "nothing in it fits") {
		t.Errorf("the job is %s: %s", rec.State, rec.Error)
	}
}

func TestVerifyJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	snap := r.backup()
	for _, spec := range []*messages.VerifySpec{
		{ReadData: 100}, {Source: "home"}, {Snapshot: snap.Snapshot[:6], ReadData: 50}, {Source: "elsewhere"},
	} {
		got := result[VerifyResult](r, spec, messages.StateSucceeded)
		if got.ProblemsTotal != 0 || got.Packs == 0 || spec.ReadData > 0 && got.PacksRead == 0 {
			t.Errorf("%+v: %+v", *spec, got)
		}
	}
	if got := r.refused(&messages.VerifySpec{Source: "hone"}); !strings.Contains(got, `did you mean "home"?`) {
		t.Errorf("refused with %q", got)
	}
	r.flip()
	got := result[VerifyResult](r, &messages.VerifySpec{ReadData: 100, Repair: true}, messages.StateSucceeded)
	if got.ProblemsTotal != 0 || got.Repair == nil || got.Repair.Mended != 1 || got.Repair.Left != 0 {
		t.Errorf("after a repair: %+v, %+v", got.Repair, got)
	}
	if err := os.RemoveAll(filepath.Join(r.store, "parity")); err != nil {
		t.Fatal(err)
	}
	r.flip()
	rec := r.do(&messages.VerifySpec{ReadData: 100, Repair: true})
	if rec.State != messages.StateFailed || rec.Spent != 0 || !strings.Contains(string(rec.Result), `"left":1`) {
		t.Errorf("beyond parity the job is %s: %s, %s", rec.State, rec.Error, rec.Result)
	}
	rec = r.do(&messages.VerifySpec{ReadData: 100})
	if rec.State != messages.StateFailed || rec.Spent != 0 || !strings.Contains(string(rec.Result), `"object":"packs/`) {
		t.Errorf("after damage the job is %s: %s, %s", rec.State, rec.Error, rec.Result)
	}
}

func TestForgetJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := time.Now()
	old := r.backupAt(start.Add(-2*time.Hour), messages.BackupIncremental)
	r.write("a.txt", "changed")
	r.backupAt(start.Add(-time.Hour), messages.BackupFull)
	r.write("a.txt", "changed again")
	newest := r.backupAt(start, messages.BackupIncremental)
	r.settings.Retention = retention.Policy{Last: 1}

	got := result[ForgetResult](r, &messages.ForgetSpec{DryRun: true}, messages.StateSucceeded)
	if got.Forgotten != 2 || got.Kept != 1 || len(r.snapshots()) != 3 || len(got.Decisions) != 3 || got.Decisions[0].Keep || got.Decisions[0].Why == "" || got.Left["home"] != 3 {
		t.Errorf("dry run: %+v", got)
	}
	r.change(func(repo *repository.Repository) error {
		return repo.Hold(t.Context(), repository.Hold{Source: "home", Name: "anomaly", Keep: repository.Keep{Reason: "half of it changed"}})
	})
	if got = result[ForgetResult](r, &messages.ForgetSpec{}, messages.StateSucceeded); got.Forgotten != 0 || len(got.Held) != 1 || got.Held[0].Reason != "half of it changed" {
		t.Errorf("held: %+v", got)
	}
	r.change(func(repo *repository.Repository) error { return repo.Release(t.Context(), "home", "anomaly") })
	got = result[ForgetResult](r, &messages.ForgetSpec{Snapshots: []string{old, newest}}, messages.StateSucceeded)
	if got.Forgotten != 1 || len(r.snapshots()) != 2 || got.Left["home"] != 2 {
		t.Errorf("two named, one of them the newest: %+v", got)
	}
	if got = result[ForgetResult](r, &messages.ForgetSpec{Source: "home"}, messages.StateSucceeded); got.Forgotten != 1 || got.Left["home"] != 1 {
		t.Errorf("the rest: %+v", got)
	}
	if all := r.snapshots(); len(all) != 1 || all[0].ID != newest {
		t.Errorf("left: %+v", all)
	}
	for want, spec := range map[string]*messages.ForgetSpec{
		`did you mean "home"?`:      {Source: "hone"},
		`there is no snapshot "x1"`: {Snapshots: []string{"x1"}},
	} {
		if got := r.refused(spec); !strings.Contains(got, want) {
			t.Errorf("%q does not tell %q", got, want)
		}
	}
}

// That there is no repository is told at once: no attempt finds one. One that is
// known to exist may be there the next time.
func TestAMissingRepositoryIsFinal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, spec := range []messages.Spec{
		&messages.RestoreSpec{Snapshot: "latest", Target: "back"}, &messages.VerifySpec{}, &messages.ForgetSpec{},
		&messages.PruneSpec{}, &messages.RestoreTestSpec{},
	} {
		if rec := r.do(spec); rec.State != messages.StateFailed || rec.Attempt != 1 || !strings.Contains(rec.Error, repository.ErrNotRepository.Error()) {
			t.Errorf("the %s job is %s after %d attempts: %s", spec.Kind(), rec.State, rec.Attempt, rec.Error)
		}
	}
	r.known = true
	if rec := r.do(&messages.VerifySpec{}); rec.State != messages.StateDead || rec.Spent != 2 {
		t.Errorf("with a repository that is elsewhere, the job is %s after %d attempts: %s", rec.State, rec.Spent, rec.Error)
	}
}
