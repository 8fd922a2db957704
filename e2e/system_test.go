package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/lab/process"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
)

const (
	region  = "eu-1"
	source  = "home"
	ackWait = 3 * time.Second
	// limit is when a test gives up waiting. Nothing is judged by time.
	limit = 2 * time.Minute
)

// system is a directory with a key, a repository's place and a configuration,
// and the processes that use them.
type system struct {
	t      *testing.T
	dir    string
	source string
	queue  string // nats.url; "" until the embedded server runs
	access app.Access
}

// newSystem makes a key. Processes whose configuration has no url run the queue
// themselves.
func newSystem(t *testing.T, tree, url string) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), source: tree, queue: url}
	s.access = app.Access{Location: filepath.Join(s.dir, "repository"), KeyPath: filepath.Join(s.dir, "key")}
	s.must("key", "create", "--key", s.access.KeyPath)
	return s
}

// config writes a node's configuration and returns its path.
func (s *system) config(node, url string) string {
	s.t.Helper()
	queue := "listen: 127.0.0.1:0"
	if url != "" {
		queue = fmt.Sprintf("url: %q, replicas: %d", url, 1+2*min(strings.Count(url, ","), 1))
	}
	text := fmt.Sprintf(`
backup:
  storage: {local: {path: %q}}
  encryption: {key_path: %q}
  validation: {verify_on_create: false}
regions: [%s, us-1]
sources:
  %s: {path: %q, region: %s}
node: {name: %s, region: %s, data_dir: %q, listen: "", slots: 2, log_format: json}
nats: {%s}
jobs: {ack_wait: %s, retry_first: 1s}
`, s.access.Location, s.access.KeyPath, region, source, s.source, region, node, region, filepath.Join(s.dir, node), queue, ackWait)
	path := filepath.Join(s.dir, node+".yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// run runs a command of the binary to its end and returns its exit code.
func (s *system) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	cmd := exec.Command(mahavishnu, args...)
	cmd.Dir = s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs a command that has to succeed and returns what it printed.
func (s *system) must(args ...string) string {
	s.t.Helper()
	code, out, errs := s.run(args...)
	if code != 0 {
		s.t.Fatalf("mahavishnu %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// running is a mahavishnu that was started.
type running struct {
	*process.Process
	t    *testing.T
	name string
	log  process.Output
}

// start runs a command that stays; it is killed at the end of the test, and no watchdog of it
// is left then.
func (s *system) start(name string, args ...string) *running {
	s.t.Helper()
	p := &running{t: s.t, name: name}
	cmd := exec.Command(mahavishnu, args...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	var err error
	if p.Process, err = process.Start(cmd, nil); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if lost := p.End(); lost > 0 {
			s.t.Logf("%d watchdogs of %s found no member to stop", lost, name)
		}
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	return p
}

// signal sends a signal.
func (p *running) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
}

// wait returns the exit code.
func (p *running) wait() int {
	p.t.Helper()
	select {
	case <-p.Exited():
		return p.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("%s does not end\n%s", p.name, p.log.String())
		return -1
	}
}

// alive fails the test when the process has ended.
func (p *running) alive() {
	p.t.Helper()
	if p.Gone() {
		p.t.Fatalf("%s ended\n%s", p.name, p.log.String())
	}
}

// lead starts a process that decides, and connects to its queue.
func (s *system) lead(command string) (*running, *bus.Bus) {
	s.t.Helper()
	path := s.config("leader", s.queue)
	p := s.start("leader", command, "--config", path)
	if s.queue == "" {
		s.until("the queue's address", func() bool {
			p.alive()
			text, err := os.ReadFile(filepath.Join(s.dir, "leader", "nats.url"))
			s.queue = strings.TrimSpace(string(text))
			return err == nil && s.queue != ""
		})
	}
	return p, s.bind(p)
}

// worker starts a worker process.
func (s *system) worker(name string) *running {
	s.t.Helper()
	return s.start(name, "worker", "--config", s.config(name, s.queue))
}

// bind connects the test to the queue once it is provisioned.
func (s *system) bind(leader *running) *bus.Bus {
	s.t.Helper()
	cfg, err := config.Load(s.config("test", s.queue))
	if err != nil {
		s.t.Fatal(err)
	}
	var b *bus.Bus
	s.until("the queue", func() bool {
		leader.alive()
		conn, err := app.Dial(s.t.Context(), cfg, "test", nil)
		if err != nil {
			return false
		}
		if b, err = bus.Bind(s.t.Context(), conn); err != nil {
			conn.Close() //nolint:errcheck // tried again
			return false
		}
		s.t.Cleanup(func() { conn.Close() }) //nolint:errcheck // the server is gone by then
		return true
	})
	return b
}

// until waits for a condition.
func (s *system) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ended waits for a job's end.
func (s *system) ended(b *bus.Bus, id string) bus.Entry {
	s.t.Helper()
	var entry bus.Entry
	s.until("the end of job "+id, func() bool {
		var err error
		entry, err = b.Records().Get(s.t.Context(), id)
		return err == nil && entry.State.Final()
	})
	return entry
}

// succeeded waits for a job's end and fails the test unless it is a good one.
func (s *system) succeeded(b *bus.Bus, id string) bus.Entry {
	s.t.Helper()
	entry := s.ended(b, id)
	if entry.State != messages.StateSucceeded {
		s.t.Fatalf("job %s ended %s: %s", id, entry.State, entry.Error)
	}
	return entry
}

// submit puts a backup job into the queue.
func (s *system) submit(b *bus.Bus) string {
	s.t.Helper()
	sent, err := b.Submit(s.t.Context(), messages.NewJob(region, &messages.BackupSpec{Source: source}, time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	return sent.ID
}

// open opens the repository for the test's own look at it.
func (s *system) open() *app.Opened {
	s.t.Helper()
	repo, err := s.access.Open(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { repo.Close() }) //nolint:errcheck // only read
	return repo
}

// snapshotOf returns the one snapshot of a job.
func (s *system) snapshotOf(job string) repository.Snapshot {
	s.t.Helper()
	all, damaged, err := s.open().Snapshots(s.t.Context(), "")
	if err = errors.Join(append(damaged, err)...); err != nil {
		s.t.Fatal(err)
	}
	var found []repository.Snapshot
	for _, snap := range all {
		if snap.Job == job {
			found = append(found, snap)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("job %s has %d snapshots, want exactly one", job, len(found))
	}
	return found[0]
}

// restores restores a snapshot without a queue and compares every byte.
func (s *system) restores(snapshot string) {
	s.t.Helper()
	target := filepath.Join(s.t.TempDir(), "restored")
	s.must("restore", snapshot, "--target", target, "--repository", s.access.Location, "--key", s.access.KeyPath, "--direct", "--quiet")
	_, differ, err := corpus.Compare(s.t.Context(), s.source, target)
	if err != nil || len(differ) > 0 {
		s.t.Fatalf("the restored tree differs: %q, %v", differ, err)
	}
	if err := os.RemoveAll(target); err != nil {
		s.t.Fatal(err)
	}
}

// packs lists the packs that are in storage, by name.
func (s *system) packs() map[string]int64 {
	s.t.Helper()
	found := map[string]int64{}
	root := filepath.Join(s.access.Location, "packs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing yet, or renamed away meanwhile
		}
		if err != nil || d.IsDir() || strings.Contains(d.Name(), "tmp") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			found[d.Name()] = info.Size()
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// storedOnce fails the test when any blob is stored twice, or a pack that was
// there before is not used.
func (s *system) storedOnce(before map[string]int64) {
	s.t.Helper()
	repo := s.open()
	seen := map[repository.ID]bool{}
	repo.EachBlob(func(id repository.ID, _ repository.Location) bool {
		if seen[id] {
			s.t.Errorf("blob %s is stored twice", id)
		}
		seen[id] = true
		return true
	})
	err := repo.Packs(s.t.Context(), func(p repository.PackInfo) error {
		if _, old := before[p.ID.String()]; old && !p.Indexed {
			s.t.Errorf("pack %s, stored before the kill, was not reused", p.ID)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// tree writes a corpus shared by the trials of a test.
func tree(t *testing.T, spec corpus.Spec) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if _, err := corpus.Write(context.Background(), dir, spec); err != nil {
		t.Fatal(err)
	}
	return dir
}

// decode reads a JSON document.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return v
}

// interrupt is what Ctrl-C sends.
const interrupt = syscall.SIGINT

// freeAddress returns a loopback address nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
