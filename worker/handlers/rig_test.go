package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/worker"
)

const region = "us-east-1"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a worker with real handlers: a server, a repository and a source.
type rig struct {
	testing.TB
	*bus.Bus
	source  string // directory of the source "home"
	staging string
	store   string // directory of the repository
	ring    *keyring.Ring
	clock   *skewed

	settings Settings
	sessions *keeper
	// wrap stands between the repository and its storage; nil for nothing.
	wrap func(storage.Backend) storage.Backend
	// replicas opens what replicate jobs copy; nil for a worker that keeps no copies.
	replicas Replicas
	// known says that there is a repository, wherever it is.
	known bool
}

// skewed is a clock ahead of the machine's, to be set before jobs run.
type skewed struct {
	clock.Clock
	by time.Duration
}

func (c *skewed) Now() time.Time { return c.Clock.Now().Add(c.by) }

func newRig(t testing.TB, change ...func(*rig)) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{
		TB: t, source: filepath.Join(dir, "home"), staging: filepath.Join(dir, "staging"), store: filepath.Join(dir, "store"),
		ring: keyring.Generate(time.Now()), clock: &skewed{Clock: clock.System()},
		sessions: &keeper{held: map[string]bool{}},
	}
	r.settings.Sources = map[string]config.Source{
		"home":      {Path: r.source, Region: region, Tags: []string{"daily"}, Exclude: []string{"*.tmp"}},
		"elsewhere": {Path: r.source, Region: "eu-west-1"},
	}
	r.write("a.txt", "alpha")
	r.write("sub/b.txt", "beta")
	r.write("junk.tmp", "not kept")
	conn, err := bus.Connect(t.Context(), bus.Options{InProcess: natstest.Start(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{region}}); err != nil {
		t.Fatal(err)
	}
	if r.Bus, err = bus.Bind(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	r.start()
	return r
}

// start runs a worker until the test ends.
func (r *rig) start() {
	r.Helper()
	handlers, err := New(Setup{
		Repositories: r, Settings: func() Settings { return r.settings }, Staging: r.staging, Region: region,
		Host: "host1", Version: "test", Clock: r.clock,
		Sessions: r.sessions, Replicas: r.replicas,
	})
	if err != nil {
		r.Fatal(err)
	}
	pool, err := worker.NewPool(worker.Options{
		Bus: r.Bus, Node: "node1", Region: region, Handlers: handlers, Slots: 2, Grace: -1,
		Retry: worker.RetryPolicy{First: 10 * time.Millisecond, Max: 10 * time.Millisecond},
		Log:   zerolog.New(zerolog.NewTestWriter(r)),
	})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
}

// Open implements Repositories.
func (r *rig) Open(ctx context.Context, _ string, create bool) (*repository.Repository, func() error, error) {
	be, err := storage.Open(ctx, "file://"+r.store)
	if err != nil {
		return nil, nil, err
	}
	if r.wrap != nil {
		be = r.wrap(be)
	}
	repo, err := repository.Open(ctx, be, r.ring, repository.OpenOptions{})
	if create && err != nil {
		repo, err = repository.Create(ctx, be, r.ring, repository.CreateOptions{Parity: repository.StandardParity()})
	}
	if err != nil && r.known {
		err = Away(err)
	}
	if err != nil {
		be.Close()
		return nil, nil, err
	}
	return repo, func() error {
		defer be.Close()
		return repo.Close()
	}, nil
}

// change does something to the repository, beside the worker.
func (r *rig) change(fn func(*repository.Repository) error) {
	r.Helper()
	repo, closeRepo, err := r.Open(r.Context(), region, false)
	if err != nil {
		r.Fatal(err)
	}
	if err := errors.Join(fn(repo), closeRepo()); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) write(name, content string) {
	r.Helper()
	path := filepath.Join(r.source, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

// do runs a job to its end and returns its record.
func (r *rig) do(spec messages.Spec, change ...func(*messages.Job)) messages.Record {
	r.Helper()
	job := messages.NewJob(region, spec, time.Now())
	job.MaxAttempts = 2
	for _, c := range change {
		c(&job)
	}
	s, err := r.Submit(r.Context(), job)
	if err != nil {
		r.Fatal(err)
	}
	return r.await(s.ID)
}

func (r *rig) await(id string) messages.Record {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		e, err := r.Records().Get(r.Context(), id)
		if err != nil {
			r.Fatal(err)
		}
		if e.State.Final() {
			return e.Record
		}
		if time.Now().After(end) {
			r.Fatalf("job %s is still %s: %s", id, e.State, e.Error)
		}
	}
}

// backupAt runs a backup job that was accepted at a time, which becomes its
// snapshot's, and returns the snapshot's id.
func (r *rig) backupAt(created time.Time, kind messages.BackupType) string {
	r.Helper()
	job := messages.NewJob(region, &messages.BackupSpec{Source: "home", Type: kind}, created)
	e, err := r.Records().Create(r.Context(), messages.NewRecord(job, created))
	if err != nil {
		r.Fatal(err)
	}
	if err := r.Wake(r.Context(), e); err != nil {
		r.Fatal(err)
	}
	var got BackupResult
	if err := json.Unmarshal(r.await(job.ID).Result, &got); err != nil {
		r.Fatal(err)
	}
	return got.Snapshot
}

// result runs a job that must end in the state, and decodes its result.
func result[T any](r *rig, spec messages.Spec, want messages.State, change ...func(*messages.Job)) T {
	r.Helper()
	rec := r.do(spec, change...)
	if rec.State != want {
		r.Fatalf("the %s job is %s (%s), want %s", rec.Job.Kind, rec.State, rec.Error, want)
	}
	var v T
	if err := json.Unmarshal(rec.Result, &v); err != nil {
		r.Fatalf("result %s: %v", rec.Result, err)
	}
	return v
}

// refused runs a job that must be refused, and returns the sentence of its dead
// letter, which follows the record.
func (r *rig) refused(spec messages.Spec) string {
	r.Helper()
	rec := r.do(spec)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		letters, err := r.Dead().List(r.Context(), bus.DeadFilter{Job: rec.Job.ID})
		if err != nil {
			r.Fatal(err)
		}
		if len(letters) == 1 && letters[0].Cause == messages.DeadRefused {
			return letters[0].Reason
		}
	}
	r.Fatalf("the job is %s (%s), not refused", rec.State, rec.Error)
	return ""
}

func (r *rig) backup() BackupResult {
	r.Helper()
	return result[BackupResult](r, &messages.BackupSpec{Source: "home"}, messages.StateSucceeded)
}

func (r *rig) snapshots() []repository.Snapshot {
	r.Helper()
	repo, closeRepo, err := r.Open(r.Context(), region, false)
	if err != nil {
		r.Fatal(err)
	}
	defer closeRepo()
	all, damaged, err := repo.Snapshots(r.Context(), "")
	if err != nil || len(damaged) > 0 {
		r.Fatal(damaged, err)
	}
	return all
}

// flip damages one byte in the middle of the largest pack.
func (r *rig) flip() {
	r.Helper()
	var largest string
	var size int64
	err := filepath.WalkDir(filepath.Join(r.store, "packs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	data, err := os.ReadFile(largest)
	if err != nil {
		r.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(largest, 0o600); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(largest, data, 0o600); err != nil {
		r.Fatal(err)
	}
}
