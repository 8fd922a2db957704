package app

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/repository"
)

// TestAFreshWorkerMakesNoRepositoryWhereADiskIsMissing lets one worker make the
// repository, and another, which has never seen it, start where it is not
// mounted.
func TestAFreshWorkerMakesNoRepositoryWhereADiskIsMissing(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true}})
	backup := func() (messages.State, string) {
		t.Helper()
		job := messages.NewJob("eu", &messages.BackupSpec{Source: "home"}, time.Now())
		job.MaxAttempts = 1
		sent, err := a.Bus().Submit(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		state := ended(t, a, sent.ID)
		e, err := a.Bus().Records().Get(t.Context(), sent.ID)
		if err != nil {
			t.Fatal(err)
		}
		return state, e.Error
	}
	if state, why := backup(); state != messages.StateSucceeded {
		t.Fatalf("the first backup ended %s: %s", state, why)
	}
	place := cfg.Backup.Storage.Local.Path
	if err := errors.Join(os.Rename(place, place+".disk"), os.RemoveAll(cfg.Node.DataDir+"/"+knownFile)); err != nil {
		t.Fatal(err)
	}
	if state, why := backup(); state == messages.StateSucceeded || !strings.Contains(why, "other workers of this region have one") {
		t.Errorf("without the disk the backup ended %s: %s", state, why)
	}
	if _, err := os.Stat(place + "/config"); err == nil {
		t.Error("a repository was made in its place")
	}
	if err := errors.Join(os.RemoveAll(place), os.Rename(place+".disk", place)); err != nil {
		t.Fatal(err)
	}
	if state, why := backup(); state != messages.StateSucceeded {
		t.Errorf("with the disk back it ended %s: %s", state, why)
	}
}

func TestJobsMakeNoRepositoryWhenToldSo(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true}})
	known, err := a.Bus().Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	r := repositories{access: AccessTo(cfg), create: "never", known: known}
	if _, _, err := r.Open(t.Context(), "eu", true); !errors.Is(err, repository.ErrNotRepository) || !strings.Contains(err.Error(), "create is never") {
		t.Errorf("opened: %v", err)
	}
	access := AccessTo(cfg) // as a person does
	access.Create = true
	made, err := access.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	repo, closeRepo, err := r.Open(t.Context(), "eu", true)
	if err != nil {
		t.Fatal(err)
	}
	if repo.ID() != made.ID() {
		t.Error("another repository")
	}
	if err := closeRepo(); err != nil {
		t.Error(err)
	}
}
