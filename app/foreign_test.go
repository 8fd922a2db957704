package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// opened opens a repository and returns its id.
func opened(t *testing.T, a Access) (id string, err error) {
	t.Helper()
	o, err := a.Open(t.Context())
	if err != nil {
		return "", err
	}
	return o.ID(), o.Close()
}

// Another repository in the place of the one that this machine knows, sealed with the same
// key: nothing is stored there, reading it is told, and a person who means it can go on.
func TestAForeignRepositoryInThePlaceOfOne(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	place := cfg.Backup.Storage.Local.Path
	access := AccessTo(cfg)
	access.Create, access.Write = true, true
	first, err := opened(t, access)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := access
	elsewhere.Location = place + "-other"
	second, err := opened(t, elsewhere)
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	if err := errors.Join(os.Rename(place, place+"-right"), os.Rename(place+"-other", place)); err != nil {
		t.Fatal(err)
	}
	write := access
	write.Create = false
	for _, a := range []Access{access, write} {
		_, err := opened(t, a)
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), second) {
			t.Fatalf("to be stored in: %v", err)
		}
		if hints := strings.Join(fault.Hints(err), " "); !strings.Contains(hints, filepath.Join(cfg.Node.DataDir, knownFile)) {
			t.Errorf("no way out: %s", hints)
		}
	}
	var told error
	read := AccessTo(cfg)
	read.OnForeign = func(err error) { told = err }
	if id, err := opened(t, read); err != nil || id != second || !errors.Is(told, ErrForeign) {
		t.Errorf("to be read: %s, %v; told: %v", id, err, told)
	}
	if err := errors.Join(os.Rename(place, place+"-other"), os.Rename(place+"-right", place)); err != nil {
		t.Fatal(err)
	}
	for _, a := range []Access{access, elsewhere} {
		if _, err := opened(t, a); err != nil {
			t.Errorf("where each was made: %v", err)
		}
	}
	if err := errors.Join(os.Rename(place, place+"-right"), os.Rename(place+"-other", place), os.Remove(filepath.Join(cfg.Node.DataDir, knownFile))); err != nil {
		t.Fatal(err)
	}
	if id, err := opened(t, write); err != nil || id != second {
		t.Errorf("by who means it: %s, %v", id, err)
	}
}

// A worker that has never seen the repository goes by what the queue knows of the region's,
// until a person has backed up from its machine.
func TestTheQueueKnowsTheRepository(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	place := cfg.Backup.Storage.Local.Path
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true}})
	known, err := a.Bus().Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	jobs := func(dataDir string) repositories {
		a := AccessTo(cfg)
		a.DataDir = dataDir
		return repositories{access: a, create: "auto", known: known, log: zerolog.Nop()}
	}
	use := func(r repositories) error {
		_, done, err := r.Open(context.Background(), "eu", true)
		if err != nil {
			return err
		}
		return done()
	}
	if err := use(jobs(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(place, place+"-right"), use(jobs(t.TempDir()))); err == nil {
		t.Fatal("a new repository was made in its place")
	}
	other := AccessTo(cfg)
	other.Create, other.Write, other.DataDir = true, true, t.TempDir()
	if _, err := opened(t, other); err != nil {
		t.Fatal(err)
	}
	if err := use(jobs(t.TempDir())); !errors.Is(err, ErrForeign) {
		t.Errorf("a worker that knows nothing of it: %v", err)
	}
	if err := use(jobs(other.DataDir)); err != nil {
		t.Errorf("one whose machine does: %v", err)
	}
	if err := use(jobs(t.TempDir())); err != nil {
		t.Errorf("and the others after that: %v", err)
	}
}
