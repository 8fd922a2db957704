package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig makes a key, a source with a file, and a configuration on free ports.
func testConfig(t *testing.T, more string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "home")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "letter"), []byte("dear reader"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Create(filepath.Join(dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	text := `
backup:
  directory: repository
  encryption: {key_path: key}
regions: [eu]
sources:
  home: {path: home}
node: {name: n1, data_dir: data, listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0"}
jobs: {ack_wait: 3s}
` + more
	path := filepath.Join(dir, "mahavishnu.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func started(t *testing.T, o Options) *App {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// ended waits for a job.
func ended(t *testing.T, a *App, id string) messages.State {
	t.Helper()
	for range 1500 {
		e, err := a.Bus().Records().Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if e.State.Final() {
			return e.State
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("job %s does not end", id)
	return ""
}

func TestAWholeSystemRunsInATest(t *testing.T) {
	cfg := testConfig(t, "")
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true}})
	if a.HTTPAddr() == nil || QueueURL(cfg) != a.QueueURL() {
		t.Errorf("served on %v; the queue is at %q, others find %q", a.HTTPAddr(), a.QueueURL(), QueueURL(cfg))
	}
	sent, err := a.Bus().Submit(t.Context(), messages.NewJob("eu", &messages.BackupSpec{Source: "home"}, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if state := ended(t, a, sent.ID); state != messages.StateSucceeded {
		t.Fatalf("the backup ended %s", state)
	}
	// Its verification follows by itself.
	for range 1500 {
		if _, err = a.Bus().Records().Get(t.Context(), sent.ID+"/verify"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if state := ended(t, a, sent.ID+"/verify"); state != messages.StateSucceeded {
		t.Fatalf("the verification ended %s", state)
	}
	c, err := OpenCatalog(t.Context(), a.Bus())
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() != 1 {
		t.Errorf("the catalog has %d entries, want 1", c.Len())
	}
}

func TestAWorkerAloneNeedsAQueue(t *testing.T) {
	_, err := New(Options{Config: testConfig(t, ""), Roles: Roles{Worker: true}})
	if err == nil {
		t.Fatal("a worker without a queue was made")
	}
}

func TestAFailedStartLeavesNothingRunning(t *testing.T) {
	cfg := testConfig(t, "")
	first := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true}})
	second, err := New(Options{Config: cfg, Roles: Roles{Scheduler: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil {
		t.Fatal("two processes run on one data directory")
	}
	if _, err := first.Bus().Info(t.Context()); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	}
}

func TestOpenMakesARepositoryOnlyWhereNothingIs(t *testing.T) {
	cfg := testConfig(t, "")
	access := AccessTo(cfg)
	if _, err := access.Open(t.Context()); !errors.Is(err, repository.ErrNotRepository) {
		t.Fatalf("opening nothing: %v", err)
	}
	access.Create = true
	place := cfg.Backup.Storage.Local.Path
	if err := os.MkdirAll(place, 0o755); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(place, "holiday.jpg")
	if err := os.WriteFile(stranger, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Open(t.Context()); err == nil {
		t.Fatal("a repository was made among somebody's files")
	}
	if err := os.Remove(stranger); err != nil {
		t.Fatal(err)
	}
	for _, created := range []bool{true, false} {
		o, err := access.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if o.Created != created {
			t.Errorf("Created is %v, want %v", o.Created, created)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
