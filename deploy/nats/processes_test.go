package deploynats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/repository/keyring"
)

// complaints is a log that keeps what was refused.
type complaints struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (c *complaints) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(strings.ToLower(string(line)), "permission") {
		c.all.Write(line)
	}
	return len(line), nil
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.String()
}

// load is the configuration of a process that logs in as a role.
func (s *site) load(role string) *config.Config {
	s.t.Helper()
	secret := filepath.Join(s.dir, role+".password")
	if err := os.WriteFile(secret, []byte(s.passwords[role]), 0o600); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, role+".yaml")
	text := fmt.Sprintf(`
backup:
  directory: repository
  encryption: {key_path: key}
regions: [%[1]s]
sources:
  home: {path: home, region: %[1]s}
node: {name: %[2]s, region: %[1]s, data_dir: data-%[2]s, listen: ""}
nats:
  url: %[3]q
  replicas: 1
  user: %[2]s
  password_file: %[4]q
  inbox_prefix: _INBOX.%[2]s
  tls: {ca_file: %[5]q}
  lease: {duration: 3s, renew_interval: 400ms, renew_deadline: 1800ms, stop_time: 800ms, margin: 200ms}
%[6]s
jobs: {ack_wait: 3s, retry_first: 1s}
`, region, role, s.where[0], secret, s.ca, s.island)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// run runs a process with a role's rights until the test ends.
func (s *site) run(role string, roles app.Roles, log *complaints) {
	s.t.Helper()
	a, err := app.New(app.Options{Config: s.load(role), Roles: roles, Log: zerolog.New(log)})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := a.Start(s.t.Context()); err != nil {
		s.t.Fatalf("as %s: %v", role, err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			s.t.Errorf("as %s: %v", role, err)
		}
	})
}

// furnish makes a source and a key.
func (s *site) furnish() {
	s.t.Helper()
	home := filepath.Join(s.dir, "home")
	err := os.MkdirAll(home, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(home, "letter"), []byte("dear reader"), 0o644)
	}
	if err == nil {
		_, err = keyring.Create(filepath.Join(s.dir, "key"), time.Now())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// succeeds waits for a job, which may not be there yet.
func (s *site) succeeds(ctx context.Context, b *bus.Bus, id string) {
	s.t.Helper()
	var e bus.Entry
	for !e.State.Final() {
		var err error
		if e, err = b.Records().Get(ctx, id); err != nil && !errors.Is(err, bus.ErrNotFound) {
			s.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if e.State != messages.StateSucceeded {
		s.t.Errorf("%s: %s %+v", id, e.State, e.Record)
	}
}

// TestARegionsOwnQueueWithTheirRights cuts a scheduler and a worker, each with its user,
// off from their queue. They go on with a second server of the same configuration, and
// hand over what they did, with those rights alone.
func TestARegionsOwnQueueWithTheirRights(t *testing.T) {
	s := newSite(t)
	ports := natstest.FreePorts(t, 2)
	common, own := s.server("n1", "one-node.conf", ports[0]), s.server("own", "one-node.conf", ports[1])
	natstest.StartConfigured(t, common, own)
	s.island = fmt.Sprintf("  island: {after: 1s, url: \"tls://%s\"}", at(ports[1]))
	s.furnish()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, cfg := range []*config.Config{s.load("provisioner"), app.IslandOf(s.load("provisioner"))} {
		c := s.connect("provisioner", func(o *bus.Options) { o.URL = cfg.NATS.URL })
		if err := app.Provision(ctx, c, cfg, false); err != nil {
			t.Fatal(err)
		}
	}
	s.where = s.where[:1]
	var log complaints
	s.run("scheduler", app.Roles{Scheduler: true}, &log)
	s.run("worker", app.Roles{Worker: true}, &log)
	job := func(id string) messages.Job {
		return messages.Job{Envelope: messages.Envelope{ID: id}, Kind: messages.KindBackup, Region: region, Spec: &messages.BackupSpec{Source: "home"}}
	}
	operator := s.bind("operator")
	if _, err := operator.Submit(ctx, job("first")); err != nil {
		t.Fatal(err)
	}
	s.succeeds(ctx, operator, "first")

	common.Kill()
	alone := s.bind("operator", func(o *bus.Options) { o.URL = "tls://" + at(ports[1]) })
	refused := job("refused")
	refused.Spec = &messages.BackupSpec{Source: "nowhere"}
	for _, j := range []messages.Job{job("alone"), refused} {
		if _, err := alone.Submit(ctx, j); err != nil {
			t.Fatal(err)
		}
	}
	s.succeeds(ctx, alone, "alone")

	common.Restart()
	s.succeeds(ctx, operator, "alone")
	letters := 0
	for letters == 0 {
		all, err := operator.Dead().List(ctx, bus.DeadFilter{Job: "refused"})
		if err != nil {
			t.Fatal(err)
		}
		letters = len(all)
		time.Sleep(20 * time.Millisecond)
	}
	if said := log.String(); said != "" {
		t.Errorf("what was refused:\n%s", said)
	}
}

// TestProcessesWithTheirRights runs a scheduler, a worker and a coordinator as they
// are, each with its user, makes a backup through them, and finds no refusal in any
// log.
func TestProcessesWithTheirRights(t *testing.T) {
	s := newSite(t)
	s.one()
	s.furnish()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := app.Provision(ctx, s.connect("provisioner"), s.load("provisioner"), false); err != nil {
		t.Fatal(err)
	}
	var log complaints
	s.run("scheduler", app.Roles{Scheduler: true}, &log)
	s.run("worker", app.Roles{Worker: true}, &log)
	s.run("coordinator", app.Roles{Coordinator: true}, &log)

	operator := s.bind("operator")
	for _, spec := range []messages.Spec{&messages.BackupSpec{Source: "home"}, &messages.VerifySpec{}} {
		j := messages.NewJob(region, spec, time.Now())
		if _, err := operator.Submit(ctx, j); err != nil {
			t.Fatal(err)
		}
		s.succeeds(ctx, operator, j.ID)
	}
	for _, lease := range []string{"scheduler", "reconciler", "catalog", messages.LeaseCoordinator} {
		for {
			if l, err := operator.Leases().Get(ctx, lease); err == nil && l.Holder != "" {
				break
			} else if ctx.Err() != nil {
				t.Fatalf("nobody holds %s: %v\n%s", lease, err, &log)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if said := log.String(); said != "" {
		t.Errorf("what was refused:\n%s", said)
	}
}
