package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
	"mahavishnu/messages/natsserver/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is a real server and schedulers that share one clock.
type fleet struct {
	t      *testing.T
	server *natsserver.Server
	clock  *handClock
	admin  *bus.Bus
	plan   Plan
	lease  time.Duration
}

func newFleet(t *testing.T, start time.Time, plan Plan) *fleet {
	t.Helper()
	f := &fleet{t: t, server: natstest.Start(t), clock: newHandClock(start), plan: plan, lease: 10 * time.Second}
	conn := f.connect("admin")
	t.Cleanup(func() { f.close(conn) })
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu"}, EventReaders: []string{EventReader}}); err != nil {
		t.Fatal(err)
	}
	f.admin = f.bind(conn)
	return f
}

func (f *fleet) connect(name string) *bus.Conn {
	f.t.Helper()
	conn, err := bus.Connect(f.t.Context(), bus.Options{URL: f.server.ClientURL(), Name: name})
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func (f *fleet) bind(conn *bus.Conn) *bus.Bus {
	f.t.Helper()
	b, err := bus.Bind(f.t.Context(), conn)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *fleet) close(conn *bus.Conn) {
	if err := conn.Close(); err != nil {
		f.t.Error(err)
	}
}

// member is a running scheduler process.
type member struct {
	*Scheduler
	conn *bus.Conn
	end  context.CancelFunc
	stop func()
	dead atomic.Bool
}

// start runs a scheduler. hook, which may be nil, sees every submission after
// it was made and may end the process then.
func (f *fleet) start(name string, hook func(m *member)) *member {
	f.t.Helper()
	m := &member{conn: f.connect(name)}
	o := Options{Plan: f.plan, Holder: name, Settle: -1, Clock: f.clock, Report: func(err error) { f.t.Logf("%s: %v", name, err) }}
	if err := o.Connect(f.bind(m.conn), messages.TimingFor(f.lease)); err != nil {
		f.t.Fatal(err)
	}
	o.Queue = &hookedQueue{Queue: o.Queue, m: m, hook: hook}
	var err error
	if m.Scheduler, err = New(o); err != nil {
		f.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	m.end = end
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		end()
		if err := <-done; err != nil && !m.dead.Load() {
			f.t.Error(err)
		}
		if !m.dead.Load() {
			f.close(m.conn)
		}
	})
	f.t.Cleanup(m.stop)
	return m
}

// kill ends a process the hard way: its connection is gone from one moment to
// the next, and nothing is released.
func (m *member) kill() {
	m.dead.Store(true)
	m.conn.Close() // whatever it says: the process is gone
	m.end()
}

type hookedQueue struct {
	Queue
	m    *member
	hook func(*member)
}

func (q *hookedQueue) Submit(ctx context.Context, job messages.Job) (bool, error) {
	isNew, err := q.Queue.Submit(ctx, job)
	if q.hook != nil && err == nil {
		q.hook(q.m)
	}
	return isNew, err
}

// until waits for something that is bound to happen.
func (f *fleet) until(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("still waiting for %s", what)
		}
	}
}

// passing waits like until, and lets a little time pass meanwhile: a scheduler
// may be about to sleep when the clock is moved.
func (f *fleet) passing(what string, ok func() bool) {
	f.t.Helper()
	f.until(what, func() bool {
		if ok() {
			return true
		}
		f.clock.Advance(100 * time.Millisecond)
		return false
	})
}

// leader waits until a member leads and has decided all that is due by now.
func (f *fleet) leader(members ...*member) *member {
	f.t.Helper()
	var leader *member
	f.until("a leader that has decided everything", func() bool {
		now := f.clock.Now()
		leader = nil
		for _, m := range members {
			status := m.Status()
			if !status.Leading || m.dead.Load() {
				continue
			}
			leader = m
			for _, u := range status.Upcoming {
				if u.Slot.IsZero() || !u.Due.After(now) {
					leader = nil
				}
			}
		}
		if leader == nil {
			f.clock.Advance(time.Millisecond) // lets what sleeps on the clock go on
		}
		return leader != nil
	})
	return leader
}

// next moves the clock to the next slot of the leader.
func (f *fleet) next(leader *member) {
	now := f.clock.Now()
	first := now.Add(time.Hour)
	for _, u := range leader.Status().Upcoming {
		if u.Due.Before(first) {
			first = u.Due
		}
	}
	f.clock.Advance(first.Sub(now))
}

// jobs are the ids of all records, sorted.
func (f *fleet) jobs() []string {
	f.t.Helper()
	records, err := f.admin.Records().List(f.t.Context(), bus.Filter{})
	if err != nil {
		f.t.Fatal(err)
	}
	var ids []string
	for _, r := range records {
		ids = append(ids, r.Job.ID)
	}
	return sorted(ids)
}

// messages are the ids of all messages in the queue, sorted.
func (f *fleet) messages() []string {
	f.t.Helper()
	var ids []string
	err := f.admin.Queued(f.t.Context(), func(m bus.QueuedMessage) error {
		ids = append(ids, m.Job)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return sorted(ids)
}

// expected are the ids of every slot of the plan in (from, to].
func expected(plan Plan, from, to time.Time) []string {
	var ids []string
	for _, s := range plan.Schedules {
		for _, target := range s.Targets {
			for slot := range s.Slots(from, to) {
				ids = append(ids, SlotID(s.Name, target.Source, slot))
			}
		}
	}
	return sorted(ids)
}

// wantEach checks that there is one record and one message of each id.
func (f *fleet) wantEach(want []string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.jobs()); diff != "" {
		f.t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, f.messages()); diff != "" {
		f.t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// worldwide are schedules in several zones that run whatever is running.
func worldwide(t *testing.T) Plan {
	var plan Plan
	for _, s := range []struct{ name, cron, zone string }{
		{"berlin", "30 2 * * *", "Europe/Berlin"},
		{"newyork", "30 1,2 * * *", "America/New_York"},
		{"lordhowe", "45 1,2 * * *", "Australia/Lord_Howe"},
		{"often", "*/30 1-3 * * *", "Europe/Berlin"},
	} {
		schedule := backups(t, s.name, s.cron, "home", "db.main")
		schedule.Zone, schedule.Overlap = zone(t, s.zone), OverlapAllow
		plan.Schedules = append(plan.Schedules, schedule)
	}
	return plan
}

// Two schedulers on a real server, and a clock that crosses the clock changes
// of three zones in both directions. Now and then the leader stops, or dies.
func TestTwoSchedulersRunEachSlotOnce(t *testing.T) {
	for name, start := range map[string]time.Time{
		"northern spring": time.Date(2025, 3, 29, 20, 0, 0, 0, time.UTC), // Berlin
		"spring":          time.Date(2025, 3, 8, 20, 0, 0, 0, time.UTC),  // New York
		"autumn":          time.Date(2025, 10, 25, 20, 0, 0, 0, time.UTC),
		"late autumn":     time.Date(2025, 11, 1, 20, 0, 0, 0, time.UTC),
		"southern autumn": time.Date(2025, 4, 5, 8, 0, 0, 0, time.UTC), // Lord Howe
		"southern spring": time.Date(2025, 10, 4, 8, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, start, worldwide(t))
			f.lease = time.Second
			members := []*member{f.start("a", nil), f.start("b", nil)}
			end := start.Add(36 * time.Hour)
			for step := 0; f.clock.Now().Before(end); step++ {
				leader := f.leader(members...)
				switch step {
				case 5: // stops in good order; the other takes over
					leader.stop()
					i := slices.Index(members, leader)
					members[i] = f.start(fmt.Sprint("c", step), nil)
					leader = f.leader(members[1-i], members[i])
				case 10: // dies, in half of the runs
					if !strings.HasPrefix(name, "southern") && name != "spring" {
						break
					}
					leader.kill()
					i := slices.Index(members, leader)
					members[i] = f.start(fmt.Sprint("d", step), nil)
					leader = f.leader(members...)
				}
				f.next(leader)
			}
			f.leader(members...)
			want := expected(f.plan, start, f.clock.Now())
			f.wantEach(want)
		})
	}
}

// The leader dies right after it submitted the first of several due jobs; the
// other one submits the rest, and none twice.
func TestLeaderKilledMidTick(t *testing.T) {
	plan := schedules(backups(t, "daily", "0 2 * * *", "a", "b", "c", "d", "e", "f", "g", "h"))
	f := newFleet(t, monday, plan)
	f.lease = time.Second
	var once sync.Once
	first := f.start("first", func(m *member) { once.Do(m.kill) })
	f.leader(first)
	second := f.start("second", nil)
	f.clock.Advance(2 * time.Hour)
	f.until("the death of the leader", first.dead.Load)
	f.leader(second)
	f.wantEach(expected(plan, monday, f.clock.Now()))
	first.stop()
}

// A clock that jumps two days while the process sleeps is noticed at the next
// look, and a reload while running changes the slots to come.
func TestRunFollowsClockAndPlan(t *testing.T) {
	f := newFleet(t, monday, schedules(backups(t, "daily", "0 2 * * *", "home")))
	f.plan.Schedules[0].Overlap = OverlapAllow
	m := f.start("only", nil)
	f.leader(m)
	f.clock.Step(50 * time.Hour)
	f.clock.Advance(pollEvery)
	f.passing("the jump to be noticed", func() bool { return m.Status().Upcoming[0].Slot.Equal(monday.Add(74 * time.Hour)) })
	f.clock.Step(-50 * time.Hour)
	f.clock.Advance(pollEvery)
	f.passing("the step back to be noticed", func() bool { return m.Status().Upcoming[0].Slot.Equal(monday.Add(2 * time.Hour)) })
	f.clock.Advance(2 * time.Hour)
	f.passing("the slot that the clock had run ahead of", func() bool { return len(f.jobs()) == 2 })

	if err := m.Update(Plan{Schedules: []Schedule{{Name: "bad"}}}); err == nil {
		t.Error("a plan that cannot work was accepted")
	}
	if err := m.Update(schedules(backups(t, "hourly", "0 * * * *", "home"))); err != nil {
		t.Fatal(err)
	}
	f.passing("the new plan", func() bool { return m.Status().Upcoming[0].Schedule == "hourly" })
	f.clock.Advance(time.Hour)
	f.passing("a slot of the new plan", func() bool { return len(f.jobs()) == 3 })
	if diff := cmp.Diff([]string{
		"daily/home/20250602T020000Z", "daily/home/20250604T020000Z", "hourly/home/20250602T030000Z",
	}, f.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestFollowUpsOverTheBus(t *testing.T) {
	plan := schedules(backups(t, "daily", "0 2 * * *", "home"))
	plan.FollowUps = FollowUps{Verify: true, Forget: true}
	f := newFleet(t, monday, plan)
	m := f.start("only", nil)
	f.leader(m)
	tell := func(e messages.Event) {
		t.Helper()
		e.Time, e.Region, e.Outcome = monday, "eu", messages.OutcomeSucceeded
		for _, id := range []string{e.ID, e.ID + "-again"} { // told twice
			e.ID = id
			if err := f.admin.PublishEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	result, err := json.Marshal(map[string]any{"snapshot": "00000000000000aa", "type": "full"})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z"}
	tell(messages.Event{ID: "1", Kind: messages.KindBackup, Job: "daily/home/20250602T020000Z", Source: "home", Result: result, Labels: labels})
	f.until("the verify job", func() bool { return len(f.messages()) == 1 })
	e, err := f.admin.Records().Get(t.Context(), "daily/home/20250602T020000Z/verify")
	if err != nil {
		t.Fatal(err)
	}
	tell(messages.Event{ID: "2", Kind: messages.KindVerify, Job: e.Job.ID, Source: "home", Labels: e.Job.Labels})
	f.until("the forget job", func() bool { return len(f.messages()) == 2 })
	if diff := cmp.Diff([]string{"daily/home/20250602T020000Z/forget", "daily/home/20250602T020000Z/verify"}, f.messages()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
