package app

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/repository"
	"mahavishnu/scheduler"
)

// shifted is a clock that is ahead of the machine's.
type shifted struct {
	clock.Clock
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Clock.Now().Add(s.by) }

// mainland is a queue elsewhere that a test cuts off by stopping it.
type mainland struct {
	t      *testing.T
	dir    string
	port   int
	server *natsserver.Server
}

func newMainland(t *testing.T) *mainland {
	t.Helper()
	m := &mainland{t: t, dir: t.TempDir(), port: natstest.FreePorts(t, 1)[0]}
	m.start()
	t.Cleanup(m.stop)
	return m
}

func (m *mainland) start() {
	m.t.Helper()
	server, err := natsserver.Start(natsserver.Options{StoreDir: m.dir, Name: "mainland", Host: "127.0.0.1", Port: m.port})
	if err != nil {
		m.t.Fatal(err)
	}
	m.server = server
}

func (m *mainland) stop() {
	if m.server != nil {
		if err := m.server.Shutdown(); err != nil {
			m.t.Error(err)
		}
		m.server = nil
	}
}

// islander is the configuration of a process whose queue is the mainland.
func (m *mainland) islander(more string) *config.Config {
	m.t.Helper()
	cfg := testConfig(m.t, more)
	cfg.NATS.URL, cfg.NATS.Listen = "nats://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)), ""
	cfg.NATS.Island.After = config.Duration(time.Second)
	cfg.NATS.Lease = cfg.Failover.Lease // who leads is soon known again
	return cfg
}

// minutely backs up every minute, and nothing else does.
const minutely = `
  schedules:
    daily_incremental: {enabled: false}
    weekly_full: {enabled: false}
    monthly_archival: {enabled: false}
    minutely: {cron: "* * * * *", type: incremental}
`

func snapshotsOf(t *testing.T, cfg *config.Config) []repository.Snapshot {
	t.Helper()
	repo, err := AccessTo(cfg).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close() //nolint:errcheck // it was only read
	all, damaged, err := repo.Snapshots(t.Context(), "")
	if err = errors.Join(append(damaged, err)...); err != nil {
		t.Fatal(err)
	}
	return all
}

// backedUp backs the source up through the queue; it makes the repository.
func backedUp(t *testing.T, a *App) {
	t.Helper()
	sent, err := a.Bus().Submit(t.Context(), messages.NewJob("eu", &messages.BackupSpec{Source: "home"}, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if state := ended(t, a, sent.ID); state != messages.StateSucceeded {
		t.Fatalf("the backup ended %s", state)
	}
}

// ownQueue connects to the queue that the region has for itself.
func ownQueue(t *testing.T, cfg *config.Config) *bus.Bus {
	t.Helper()
	var text []byte
	comes(t, "the region has a queue of its own", func() bool {
		var err error
		text, err = os.ReadFile(filepath.Join(cfg.Node.DataDir, urlFile))
		return err == nil
	})
	c, err := bus.Connect(t.Context(), bus.Options{URL: strings.TrimSpace(string(text)), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() }) //nolint:errcheck // its server is gone by then
	var b *bus.Bus
	comes(t, "it is provisioned", func() bool { b, err = bus.Bind(t.Context(), c); return err == nil })
	return b
}

// A region that is cut off keeps to its schedules and takes jobs by hand; what it did,
// and what it has still to do, is in the common queue afterwards, and nothing of its own
// queue is left.
func TestARegionGoesOnWhileItIsCutOff(t *testing.T) {
	t.Parallel()
	m := newMainland(t)
	cfg := m.islander("")
	cfg = withSchedule(t, cfg)
	real := clock.Or(nil)
	// A slot comes due some seconds after the cut.
	const untilSlot = 10 * time.Second
	now := real.Now()
	by := now.Truncate(time.Minute).Add(time.Minute).Sub(now) - untilSlot
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true, Coordinator: true}, Clock: shifted{real, by}})
	backedUp(t, a)
	m.stop()
	own := ownQueue(t, cfg)
	comes(t, "it goes on by itself", a.isIsland)
	waits := messages.NewJob("eu", &messages.VerifySpec{Source: "home"}, time.Now())
	waits.ID, waits.NotBefore = "waits", time.Now().Add(time.Hour)
	for _, j := range []messages.Job{waits, {Envelope: messages.Envelope{ID: "by-hand"}, Kind: messages.KindBackup, Region: "eu", Spec: &messages.BackupSpec{Source: "home"}}} {
		if _, err := own.Submit(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	slot := func() (job string) {
		for _, s := range snapshotsOf(t, cfg) {
			if strings.HasPrefix(s.Job, "minutely/") {
				job = s.Job
			}
		}
		return job
	}
	comes(t, "its schedule makes a backup", func() bool { return slot() != "" })
	comes(t, "so does a job by hand", func() bool {
		return slices.ContainsFunc(snapshotsOf(t, cfg), func(s repository.Snapshot) bool { return s.Job == "by-hand" })
	})

	m.start()
	comes(t, "the region is no longer alone", func() bool { return !a.isIsland() })
	for _, id := range []string{"by-hand", slot()} {
		comes(t, "the common queue has "+id, func() bool { e, err := a.Bus().Records().Get(t.Context(), id); return err == nil && e.State.Final() })
		if state := ended(t, a, id); state != messages.StateSucceeded {
			t.Errorf("%s ended %s", id, state)
		}
		comes(t, "an event tells that "+id+" succeeded", func() bool {
			told := 0
			err := a.Bus().ReadEvents(t.Context(), bus.EventFilter{Job: id, Outcome: messages.OutcomeSucceeded}, func(bus.EventMessage) error { told++; return nil })
			return err == nil && told > 0
		})
	}
	comes(t, "the waiting job waits there", func() bool {
		e, err := a.Bus().Records().Get(t.Context(), "waits")
		return err == nil && !e.State.Final()
	})
	comes(t, "the catalog has every snapshot", func() bool {
		c, err := OpenCatalog(t.Context(), a.Bus())
		return err == nil && c.Len() == len(snapshotsOf(t, cfg))
	})
	comes(t, "nothing of its own queue is left", func() bool {
		_, store := os.Stat(cfg.IslandStore())
		_, address := os.Stat(filepath.Join(cfg.Node.DataDir, urlFile))
		return errors.Is(store, os.ErrNotExist) && errors.Is(address, os.ErrNotExist)
	})
	jobs := map[string]int{}
	for _, s := range snapshotsOf(t, cfg) {
		if jobs[s.Job]++; jobs[s.Job] > 1 {
			t.Errorf("job %s was committed %d times", s.Job, jobs[s.Job])
		}
	}
}

// withSchedule loads the configuration again with a schedule.
func withSchedule(t *testing.T, cfg *config.Config) *config.Config {
	t.Helper()
	path := cfg.File()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), "  encryption:", strings.TrimPrefix(minutely, "\n")+"  encryption:", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh.NATS = cfg.NATS
	return fresh
}

// A process that ends while its region is cut off leaves its own queue on disk; the next
// one that reaches the common queue hands it over. One that is started during the cut
// goes on by itself from there.
func TestWhatAnIslandLeftIsHandedOver(t *testing.T) {
	t.Parallel()
	m := newMainland(t)
	cfg := m.islander("")
	roles := Roles{Scheduler: true, Worker: true}
	first := started(t, Options{Config: cfg, Roles: roles})
	backedUp(t, first)
	m.stop()
	own := ownQueue(t, cfg)
	sent, err := own.Submit(t.Context(), messages.Job{Envelope: messages.Envelope{ID: "before"}, Kind: messages.KindBackup, Region: "eu", Spec: &messages.BackupSpec{Source: "home"}})
	if err != nil {
		t.Fatal(err)
	}
	comes(t, "it is done", func() bool { e, err := own.Records().Get(t.Context(), sent.ID); return err == nil && e.State.Final() })
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.IslandStore()); err != nil {
		t.Fatalf("the region's own queue is gone: %v", err)
	}

	second, err := New(Options{Config: cfg, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { begun <- second.Start(ctx) }()
	own = ownQueue(t, cfg)
	if _, err := own.Submit(t.Context(), messages.Job{Envelope: messages.Envelope{ID: "after"}, Kind: messages.KindBackup, Region: "eu", Spec: &messages.BackupSpec{Source: "home"}}); err != nil {
		t.Fatal(err)
	}
	comes(t, "a process that was started during the cut does it", func() bool {
		e, err := own.Records().Get(t.Context(), "after")
		return err == nil && e.State.Final()
	})
	m.start()
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	for _, id := range []string{"before", "after"} {
		comes(t, "the common queue has "+id, func() bool {
			e, err := second.Bus().Records().Get(t.Context(), id)
			return err == nil && e.State == messages.StateSucceeded
		})
	}
}

// A region that goes on by itself takes up what a reload brings: schedules, sources, and
// with a bad file nothing. Where its queue is stays as it was, and who listens there hears
// since when the region is alone.
func TestAnIslandFollowsReloads(t *testing.T) {
	t.Parallel()
	m := newMainland(t)
	cfg := m.islander("")
	began := time.Now()
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true}})
	backedUp(t, a)
	m.stop()
	own := ownQueue(t, cfg)
	comes(t, "it goes on by itself", a.isIsland)
	scheduled := func(alone *solitude, name string) bool {
		return slices.ContainsFunc(alone.app.scheduler.Plan().Schedules, func(s scheduler.Schedule) bool { return s.Name == name })
	}
	change := func(old, fresh string) {
		t.Helper()
		text, err := os.ReadFile(cfg.File())
		if err == nil {
			err = os.WriteFile(cfg.File(), []byte(strings.Replace(string(text), old, fresh, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		a.Reload()
	}
	try := func(id string) messages.State {
		t.Helper()
		sent, err := own.Submit(t.Context(), messages.Job{Envelope: messages.Envelope{ID: id}, Kind: messages.KindBackup, Region: "eu", Spec: &messages.BackupSpec{Source: "added"}})
		if err != nil {
			t.Fatal(err)
		}
		var state messages.State
		comes(t, id+" ends", func() bool {
			e, err := own.Records().Get(t.Context(), sent.ID)
			state = e.State
			return err == nil && state.Final()
		})
		return state
	}
	if state := try("before"); state == messages.StateSucceeded {
		t.Error("a source that is not there was backed up")
	}
	change("  home: {path: home}", "  home: {path: home}\n  added: {path: home}\n  bad: {pth: home}")
	if state := try("bad"); state == messages.StateSucceeded {
		t.Error("a bad file is used")
	}
	change("\n  bad: {pth: home}", "")
	change("data_dir: data", "data_dir: elsewhere") // for the next start
	change("  encryption:", strings.TrimPrefix(minutely, "\n")+"  encryption:")
	if state := try("after"); state != messages.StateSucceeded {
		t.Errorf("a source that a reload brought: %s", state)
	}
	alone := a.solitude()
	if alone == nil {
		t.Fatal("the region is not alone")
	}
	if !scheduled(alone, "minutely") || scheduled(alone, "weekly_full") {
		t.Errorf("its schedules are %+v", alone.app.scheduler.Plan().Schedules)
	}
	if alone.app.config().Node.DataDir != cfg.Node.DataDir {
		t.Errorf("it moved to %s", alone.app.config().Node.DataDir)
	}
	listening, stop := context.WithCancel(t.Context())
	defer stop()
	heard := make(chan messages.Heartbeat, 1)
	go func() {
		_ = own.WatchHeartbeats(listening, func(h messages.Heartbeat) { // the test waits for what it hears
			select {
			case heard <- h:
			default:
			}
		})
	}()
	if h := <-heard; !h.Island || h.IslandSince.Before(began) || h.IslandSince.After(time.Now()) {
		t.Errorf("%+v", h)
	}

	m.start()
	comes(t, "the region is no longer alone", func() bool { return !a.isIsland() })
	comes(t, "nothing of its own queue is left", func() bool {
		_, store := os.Stat(cfg.IslandStore())
		return errors.Is(store, os.ErrNotExist)
	})
}

func TestAnIslandDoesOnlyWhatARegionMay(t *testing.T) {
	t.Parallel()
	timing, err := scheduler.Cron("* * * * *")
	if err != nil {
		t.Fatal(err)
	}
	recurrence := scheduler.Recurrence{Timing: timing}
	whole := scheduler.Plan{
		Schedules: []scheduler.Schedule{
			{Name: "both", Kind: messages.KindBackup, Recurrence: recurrence, Targets: []scheduler.Target{{Source: "a", Region: "eu"}, {Source: "b", Region: "us"}, {Source: "c", Region: "any"}}},
			{Name: "theirs", Kind: messages.KindBackup, Recurrence: recurrence, Targets: []scheduler.Target{{Source: "b", Region: "us"}}},
			{Name: "copies", Kind: messages.KindReplicate, Recurrence: recurrence, Targets: []scheduler.Target{{Source: "eu-us", Region: "eu"}}},
		},
		FollowUps: scheduler.FollowUps{Verify: true, Oldest: 7, OlderThan: time.Hour, Forget: true, Prune: time.Hour, Replicate: []scheduler.Copy{{}}},
	}
	local := localPlan(whole, "eu")
	if len(local.Schedules) != 1 || len(local.Schedules[0].Targets) != 1 || local.Schedules[0].Targets[0].Source != "a" {
		t.Errorf("the schedules are %+v", local.Schedules)
	}
	if f := local.FollowUps; !f.Verify || f.Oldest != 7 || f.OlderThan != time.Hour || f.Forget || f.Prune != 0 || f.Replicate != nil {
		t.Errorf("the follow-ups are %+v", f)
	}
	if len(whole.Schedules[0].Targets) != 3 {
		t.Error("the whole plan was changed")
	}
}
