package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

var monday = time.Date(2025, 6, 2, 0, 0, 0, 0, time.UTC)

// stage is a leading scheduler whose ticks a test calls.
type stage struct {
	t testing.TB
	*world
	node  *node
	s     *Scheduler
	term  *term
	count *count
	// busy workers finish no job by themselves.
	busy bool
}

func newStage(t testing.TB, plan Plan) *stage {
	t.Helper()
	st := &stage{t: t, world: newWorld(monday), count: &count{}}
	st.restart(plan)
	return st
}

// restart is a new process that takes over.
func (st *stage) restart(plan Plan) {
	st.t.Helper()
	st.node = &node{world: st.world}
	var err error
	if st.s, st.term, err = st.node.lead(st.t, plan, st.count); err != nil {
		st.t.Fatal(err)
	}
	st.tick()
}

func (st *stage) tick() time.Time {
	st.t.Helper()
	wake, err := st.s.tick(context.Background(), st.term)
	if err != nil {
		st.t.Fatal(err)
	}
	return wake
}

// pass lets time pass and ticks as often as the scheduler asks for.
func (st *stage) pass(d time.Duration) {
	st.t.Helper()
	end := st.clock.Now().Add(d)
	for {
		if !st.busy {
			st.finish()
		}
		wake := st.tick()
		if now := st.clock.Now(); wake.Before(end) {
			st.clock.Advance(wake.Sub(now))
			continue
		}
		break
	}
	if now := st.clock.Now(); now.Before(end) {
		st.clock.Advance(end.Sub(now))
	}
	st.tick()
}

func (st *stage) want(what string, got []string, want ...string) {
	st.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		st.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (st *stage) wantCounts(want map[string]int) {
	st.t.Helper()
	if diff := cmp.Diff(want, st.count.slots); diff != "" {
		st.t.Errorf("slots counted (-want +got):\n%s", diff)
	}
}

func TestSlotsBecomeJobs(t *testing.T) {
	st := newStage(t, schedules(backups(t, "daily", "0 2 * * *", "home", "db.main")))
	st.pass(25 * time.Hour)
	st.pass(24 * time.Hour)
	st.want("jobs", sorted(st.ids()),
		"daily/db=2emain/20250602T020000Z", "daily/db=2emain/20250603T020000Z",
		"daily/home/20250602T020000Z", "daily/home/20250603T020000Z")
	st.wantCounts(map[string]int{"submitted": 4})
	if diff := cmp.Diff(messages.Job{
		Kind: messages.KindBackup, Region: "eu",
		Envelope: messages.Envelope{
			ID:     "daily/db=2emain/20250602T020000Z",
			Labels: map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z"},
		},
		Spec: &messages.BackupSpec{Source: "db.main", Type: messages.BackupIncremental, Tags: []string{"daily"}},
	}, firstJob(st.world, "daily/db=2emain/20250602T020000Z")); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	up := st.s.Status().Upcoming
	if len(up) != 2 || !up[0].Slot.Equal(monday.Add(50*time.Hour)) || up[0].LastJob != "daily/db=2emain/20250603T020000Z" {
		t.Errorf("status = %+v", up)
	}
}

func TestAnOutageIsCaughtUpOnce(t *testing.T) {
	plan := schedules(backups(t, "hourly", "0 * * * *", "home"))
	st := newStage(t, plan)
	st.pass(90 * time.Minute)       // 01:00
	st.clock.Advance(5 * time.Hour) // out until 06:30
	st.restart(plan)
	st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T060000Z")
	st.want("events", st.tales(), "missed hourly/home/20250602T050000Z.missed: 4 slots of schedule hourly, "+
		"from 2025-06-02 02:00:00 UTC to 2025-06-02 05:00:00 UTC: no scheduler was there in time")
	st.wantCounts(map[string]int{"submitted": 2, "missed": 4})
}

func TestAnOutageLongerThanTheWindow(t *testing.T) {
	plan := schedules(backups(t, "weekly", "0 3 * * SUN", "home"))
	st := newStage(t, plan)
	st.clock.Advance(8 * 24 * time.Hour) // to Tuesday, 45 hours after the slot
	st.restart(plan)
	st.want("jobs", st.ids())
	st.wantCounts(map[string]int{"missed": 1})

	plan.Schedules[0].CatchUp = 7 * 24 * time.Hour
	st = newStage(t, plan)
	st.clock.Advance(8 * 24 * time.Hour)
	st.restart(plan)
	st.want("jobs", st.ids(), "weekly/home/20250608T030000Z")
	st.wantCounts(map[string]int{"submitted": 1})
}

func TestNeverLateStillForgivesAChangeOfLeader(t *testing.T) {
	schedule := backups(t, "daily", "0 2 * * *", "home")
	schedule.CatchUp = 0
	plan := schedules(schedule)
	st := newStage(t, plan)
	st.clock.Advance(2*time.Hour + punctual)
	st.restart(plan)
	st.clock.Advance(24*time.Hour + time.Second)
	st.restart(plan)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z")
	st.wantCounts(map[string]int{"submitted": 1, "missed": 1})
}

func TestOverlap(t *testing.T) {
	plan := func(o Overlap) Plan {
		s := backups(t, "hourly", "0 * * * *", "home")
		s.Overlap = o
		return schedules(s)
	}
	t.Run("skip", func(t *testing.T) {
		st := newStage(t, plan(OverlapSkip))
		st.busy = true
		st.pass(150 * time.Minute)
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z")
		st.want("events", st.tales(), "skipped hourly/home/20250602T020000Z.overlapped: slot 2025-06-02 02:00:00 UTC "+
			"of schedule hourly: the previous run hourly/home/20250602T010000Z is not finished")
		st.finish()
		st.pass(time.Hour)
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T030000Z")
		st.wantCounts(map[string]int{"submitted": 2, "overlapped": 1})
	})
	t.Run("queue", func(t *testing.T) {
		st := newStage(t, plan(OverlapQueue))
		st.busy = true
		st.pass(210 * time.Minute) // 02:00 waits, 03:00 takes its place
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z")
		st.finish()
		st.pass(time.Minute)
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T030000Z")
		st.wantCounts(map[string]int{"submitted": 2, "overlapped": 1})
	})
	t.Run("queue survives a restart", func(t *testing.T) {
		st := newStage(t, plan(OverlapQueue))
		st.busy = true
		st.pass(130 * time.Minute)
		st.finish()
		st.restart(plan(OverlapQueue))
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T020000Z")
	})
	t.Run("allow", func(t *testing.T) {
		st := newStage(t, plan(OverlapAllow))
		st.busy = true
		st.pass(150 * time.Minute)
		st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T020000Z")
	})
}

func TestPause(t *testing.T) {
	schedule := backups(t, "hourly", "0 * * * *", "home")
	running, paused := schedules(schedule), schedule
	paused.Paused = true
	st := newStage(t, running)
	st.pass(90 * time.Minute)
	st.update(schedules(paused))
	st.pass(3 * time.Hour)
	st.update(running)
	st.pass(time.Hour)
	st.want("jobs", st.ids(), "hourly/home/20250602T010000Z", "hourly/home/20250602T050000Z")
	st.wantCounts(map[string]int{"submitted": 2, "paused": 3})
}

// update changes the plan as the running loop would.
func (st *stage) update(plan Plan) {
	st.t.Helper()
	if err := st.s.Update(plan); err != nil {
		st.t.Fatal(err)
	}
	<-st.s.changed
	if err := st.s.reenter(context.Background(), st.term); err != nil {
		st.t.Fatal(err)
	}
	st.tick()
}

func TestReload(t *testing.T) {
	daily := backups(t, "daily", "0 2 * * *", "home")
	st := newStage(t, schedules(daily))
	st.pass(3 * time.Hour)

	st.update(schedules(daily)) // nothing changed: nothing runs
	moved := daily
	moved.Timing = cronTiming(t, "30 2 * * *")
	st.update(schedules(moved)) // the new time has passed today: nothing runs
	added := backups(t, "often", "*/30 * * * *", "home")
	st.update(schedules(moved, added))
	st.pass(time.Hour + time.Minute)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z", "often/home/20250602T033000Z", "often/home/20250602T040000Z")
	st.update(schedules(moved, renamed(moved, "second", "home", "mail")))
	st.want("schedules left in the store", st.keys(), "schedules.seen", "schedules.target.daily.home", "schedules.target.second.home", "schedules.target.second.mail")
	st.pass(24 * time.Hour)
	st.want("jobs of the day after", sorted(st.ids()[3:]),
		"daily/home/20250603T023000Z", "second/home/20250603T023000Z", "second/mail/20250603T023000Z")
	st.wantCounts(map[string]int{"submitted": 6})
}

func renamed(s Schedule, name string, sources ...string) Schedule {
	s.Name, s.Targets = name, nil
	for _, source := range sources {
		s.Targets = append(s.Targets, Target{Source: source, Region: "eu"})
	}
	return s
}

// A schedule that was edited while the scheduler restarted starts nothing for
// the part of the day that the old one had covered.
func TestEditAndRestart(t *testing.T) {
	st := newStage(t, schedules(backups(t, "daily", "0 2 * * *", "home")))
	st.pass(9 * time.Hour)
	edited := schedules(backups(t, "daily", "0 8 * * *", "home"))
	st.restart(edited)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z")
	st.pass(24 * time.Hour)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z", "daily/home/20250603T080000Z")
	st.wantCounts(map[string]int{"submitted": 2})
}

func TestClockJumps(t *testing.T) {
	daily := schedules(backups(t, "daily", "0 2 * * *", "home"))
	t.Run("forwards", func(t *testing.T) {
		st := newStage(t, daily)
		st.pass(3 * time.Hour)
		st.clock.Step(48 * time.Hour)
		st.pass(time.Minute)
		st.want("jobs", st.ids(), "daily/home/20250602T020000Z", "daily/home/20250604T020000Z")
		st.wantCounts(map[string]int{"submitted": 2, "missed": 1})
	})
	t.Run("backwards", func(t *testing.T) {
		st := newStage(t, daily)
		st.pass(51 * time.Hour)
		st.want("jobs", st.ids(), "daily/home/20250602T020000Z", "daily/home/20250603T020000Z", "daily/home/20250604T020000Z")
		st.clock.Step(-48 * time.Hour)
		st.pass(72 * time.Hour)
		st.pass(time.Hour)
		st.want("jobs", st.ids(), "daily/home/20250602T020000Z", "daily/home/20250603T020000Z", "daily/home/20250604T020000Z", "daily/home/20250605T020000Z")
		st.wantCounts(map[string]int{"submitted": 4, "repeated": 2})
		if st.count.back != 1 {
			t.Errorf("the clock went back %d times, want 1", st.count.back)
		}
	})
	t.Run("forwards and back again leaves no gap", func(t *testing.T) {
		st := newStage(t, daily)
		st.pass(time.Hour)
		st.clock.Step(72 * time.Hour) // Thursday 01:00: only the slot of Wednesday runs
		st.pass(time.Minute)
		st.clock.Step(-72 * time.Hour)
		st.pass(2 * time.Hour) // Monday's own slot runs all the same
		st.want("jobs", st.ids(), "daily/home/20250604T020000Z", "daily/home/20250602T020000Z")
	})
}

func TestErrorsAreTriedAgain(t *testing.T) {
	st := newStage(t, schedules(backups(t, "daily", "0 2 * * *", "home")))
	st.pass(time.Hour)
	st.node.fail = errors.New("no responders")
	st.clock.Advance(time.Hour)
	wake := st.tick()
	if got := wake.Sub(st.clock.Now()); got != retryAfter {
		t.Errorf("comes again after %v, want %v", got, retryAfter)
	}
	if st.count.errors != 1 {
		t.Errorf("%d errors counted, want 1", st.count.errors)
	}
	st.node.fail = nil
	st.pass(retryAfter)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z")
}

func TestARefusedJobIsToldAndLeft(t *testing.T) {
	st := newStage(t, schedules(backups(t, "daily", "0 2 * * *", "home", "gone")))
	st.refuse = "gone"
	st.pass(3 * time.Hour)
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z")
	st.wantCounts(map[string]int{"submitted": 1, "refused": 1})
	if tales := st.tales(); len(tales) != 1 || !strings.Contains(tales[0], "no such source") {
		t.Errorf("events = %q", tales)
	}
}

func TestAnotherLeaderEndsTheTerm(t *testing.T) {
	plan := schedules(backups(t, "daily", "0 2 * * *", "home"))
	st := newStage(t, plan)
	st.pass(time.Hour)
	old, oldTerm := st.s, st.term
	st.restart(plan)
	st.pass(2 * time.Hour)
	if _, err := old.tick(context.Background(), oldTerm); !errors.Is(err, ErrStale) {
		t.Errorf("tick of a deposed leader = %v, want ErrStale", err)
	}
	st.want("jobs", st.ids(), "daily/home/20250602T020000Z")
}

func TestADamagedNoteDoesNotStopTheOthers(t *testing.T) {
	plan := schedules(backups(t, "daily", "0 2 * * *", "home", "mail"))
	st := newStage(t, plan)
	key := targetKey("daily", "home")
	st.values[key] = storedValue{[]byte("{"), st.values[key].revision}
	st.restart(plan)
	st.pass(3 * time.Hour)
	st.want("jobs", sorted(st.ids()), "daily/home/20250602T020000Z", "daily/mail/20250602T020000Z")
	if st.count.errors != 1 {
		t.Errorf("%d errors counted, want 1", st.count.errors)
	}
}

func TestJitter(t *testing.T) {
	schedule := backups(t, "daily", "0 2 * * *", "a", "b", "c", "d")
	schedule.Jitter = 30 * time.Minute
	slot := monday.Add(2 * time.Hour)
	dues := map[time.Time]bool{}
	for _, target := range schedule.Targets {
		due := schedule.due(target, slot)
		if due != schedule.due(target, slot) || due.Before(slot) || !due.Before(slot.Add(30*time.Minute)) {
			t.Errorf("%s is due at %v", target.Source, due)
		}
		dues[due] = true
	}
	if len(dues) != 4 {
		t.Errorf("four sources are due at %d times", len(dues))
	}
	st := newStage(t, schedules(schedule))
	st.pass(2 * time.Hour)
	before := len(st.ids())
	st.pass(30 * time.Minute)
	if before == 4 || len(st.ids()) != 4 {
		t.Errorf("%d jobs at the slot, %d half an hour later", before, len(st.ids()))
	}
	st.wantCounts(map[string]int{"submitted": 4})
}

// BenchmarkTick is a look at the clock with ten thousand sources: when nothing
// is due, and when each of them is.
func BenchmarkTick(b *testing.B) {
	var sources []string
	for i := range 10_000 {
		sources = append(sources, fmt.Sprint("source", i))
	}
	for name, step := range map[string]time.Duration{"idle": time.Second, "all due": 24 * time.Hour} {
		b.Run(name, func(b *testing.B) {
			schedule := backups(b, "daily", "0 2 * * *", sources...)
			schedule.Overlap = OverlapAllow
			st := newStage(b, schedules(schedule))
			b.ReportAllocs()
			for b.Loop() {
				st.clock.Advance(step)
				st.tick()
			}
		})
	}
}
