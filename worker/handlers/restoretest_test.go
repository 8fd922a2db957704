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
)

func (r *rig) stagingIsEmpty() {
	r.Helper()
	if left, err := os.ReadDir(r.staging); err != nil || len(left) > 0 {
		r.Errorf("left in staging: %v, %v", left, err)
	}
}

func TestRestoreTestPasses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("moved.txt", "before")
	closed := filepath.Join(r.source, "closed")
	r.write("closed/in.txt", "in a directory nobody may write to")
	if err := os.Chmod(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(closed, 0o755) })
	r.backup()
	r.write("moved.txt", "after it")
	r.clock.by = time.Hour
	got := result[RestoreTestResult](r, &messages.RestoreTestSpec{Source: "home", Sample: 100}, messages.StateSucceeded)
	if len(got.Tests) != 1 || got.Failed != 0 {
		t.Fatalf("result %+v", got)
	}
	test := got.Tests[0]
	if !test.Passed || test.Files != 4 || test.Bytes == 0 || test.DifferencesTotal != 0 || test.RTOMillis <= 0 {
		t.Errorf("test %+v", test)
	}
	if age := time.Duration(test.RPOMillis) * time.Millisecond; age < time.Hour || age > time.Hour+time.Minute {
		t.Errorf("RPO %v, want about an hour", age)
	}
	if s := test.Sample; s == nil || s.Files != 4 || s.Same != 3 || s.Moved != 1 || s.DifferentTotal != 0 {
		t.Errorf("sample %+v", s)
	}
	r.stagingIsEmpty()
}

func TestRestoreTestFindsWhatDiffersFromTheSource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.backup()
	path := filepath.Join(r.source, "a.txt")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r.write("a.txt", "ALPHA") // silently: same size, same time
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	got := result[RestoreTestResult](r, &messages.RestoreTestSpec{Source: "home", Sample: 100}, messages.StateFailed)
	if s := got.Tests[0].Sample; s == nil || !slices.Equal(s.Different, []string{"a.txt"}) || got.Tests[0].Passed {
		t.Errorf("test %+v, sample %+v", got.Tests[0], s)
	}
	r.stagingIsEmpty()
}

func TestRestoreTestFindsDamage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("large", strings.Repeat("content ", 10_000))
	r.backup()
	r.flip()
	// What parity corrects is no damage to the sources.
	result[RestoreTestResult](r, &messages.RestoreTestSpec{Source: "home"}, messages.StateSucceeded)
	if err := os.RemoveAll(filepath.Join(r.store, "parity")); err != nil {
		t.Fatal(err)
	}
	got := result[RestoreTestResult](r, &messages.RestoreTestSpec{Source: "home"}, messages.StateFailed)
	if got.Failed != 1 || got.Tests[0].Passed || !strings.Contains(got.Tests[0].Error, "damaged") {
		t.Errorf("result %+v", got)
	}
	r.stagingIsEmpty()
}

func TestRestoreTestOfAllSources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	snap := r.backup()
	r.settings.Sources = map[string]config.Source{
		"home": {Path: r.source}, "never": {Path: r.source}, "elsewhere": {Path: r.source, Region: "eu-west-1"},
	}
	got := result[RestoreTestResult](r, &messages.RestoreTestSpec{}, messages.StateFailed)
	if len(got.Tests) != 2 || !got.Tests[0].Passed || got.Tests[1].Source != "never" || !strings.Contains(got.Tests[1].Error, "never backed up") {
		t.Errorf("result %+v", got)
	}
	named := result[RestoreTestResult](r, &messages.RestoreTestSpec{Snapshot: snap.Snapshot}, messages.StateSucceeded)
	if len(named.Tests) != 1 || named.Tests[0].Source != "home" {
		t.Errorf("result %+v", named)
	}
	if got := r.refused(&messages.RestoreTestSpec{Source: "hone"}); !strings.Contains(got, `did you mean "home"?`) {
		t.Errorf("refused with %q", got)
	}
}

func TestStagingIsSwept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newStaging(r.staging, r.clock)
	mine, release, err := s.takeTest("job", "home", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", testPrefix + "dead-1"} {
		if err := os.MkdirAll(filepath.Join(r.staging, name, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names := func() (all []string) {
		entries, err := os.ReadDir(r.staging)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if err := s.sweep(); err != nil || len(names()) != 3 {
		t.Errorf("swept too early: %v, %v", names(), err)
	}
	r.clock.by = 25 * time.Hour
	if err := s.sweep(); err != nil || !slices.Equal(names(), []string{filepath.Base(mine), "kept"}) {
		t.Errorf("left after the sweep: %v, %v", names(), err)
	}
	// The next attempt clears away what this one left, were it dead.
	next, _, err := newStaging(r.staging, r.clock).takeTest("job", "home", 3)
	if err != nil || next == mine || !slices.Equal(names(), []string{filepath.Base(next), "kept"}) {
		t.Errorf("after the next attempt: %v, %v", names(), err)
	}
	if err := release(); err != nil {
		t.Errorf("releasing what is gone: %v", err)
	}
}
