package scheduler

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/messages"
)

// TestEverySlotIsAccountedFor runs schedulers that crash at any call, before
// or after it took effect, are replaced after any outage, overlap with a
// leader that does not know it is deposed, lose the queue for a while, are
// reloaded, and have their region paused. No slot ever has two jobs, and every slot has a job or was told to
// be missed or skipped; exactly one of the two when no leader died.
func TestEverySlotIsAccountedFor(t *testing.T) {
	zones := []*time.Location{zone(t, "UTC"), zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "America/New_York")}
	crons := []Timing{cronTiming(t, "30 2 * * *"), cronTiming(t, "*/30 * * * *"), cronTiming(t, "15 1-3 * * *")}
	starts := []time.Time{
		time.Date(2025, 3, 29, 12, 0, 0, 0, time.UTC), time.Date(2025, 10, 25, 12, 0, 0, 0, time.UTC),
		time.Date(2025, 3, 8, 20, 0, 0, 0, time.UTC), time.Date(2025, 11, 1, 20, 0, 0, 0, time.UTC),
		time.Date(2025, 4, 5, 3, 0, 0, 0, time.UTC), time.Date(2025, 10, 4, 3, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(rt *rapid.T) {
		schedule := backups(t, "s", "0 0 * * *", "a", "b")
		schedule.Timing = rapid.SampledFrom(crons).Draw(rt, "cron")
		schedule.Zone = rapid.SampledFrom(zones).Draw(rt, "zone")
		schedule.CatchUp = time.Duration(rapid.IntRange(0, 8).Draw(rt, "catch up")) * time.Hour
		schedule.Overlap = rapid.SampledFrom([]Overlap{OverlapSkip, OverlapQueue, OverlapAllow}).Draw(rt, "overlap")
		schedule.Jitter = time.Duration(rapid.IntRange(0, 600).Draw(rt, "jitter")) * time.Second
		start := rapid.SampledFrom(starts).Draw(rt, "start")
		c := &chaos{t: t, rt: rt, world: newWorld(start), plan: schedules(schedule), count: &count{}}
		c.replace()
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			c.step()
		}
		c.settle()
		c.check(schedule, start)
	})
}

// chaos is a world with a leader, perhaps a deposed one, and much bad luck.
type chaos struct {
	t  *testing.T
	rt *rapid.T
	*world
	plan        Plan
	count       *count
	leader, old *process
	// rests is set while the region is paused.
	rests bool
	// unclean is set when a leader crashed or was deposed without knowing.
	unclean bool
}

type process struct {
	node *node
	s    *Scheduler
	term *term
}

// replace starts a process that takes the lead; it may crash while it starts.
func (c *chaos) replace() {
	n := &node{world: c.world}
	s, term, err := n.lead(c.t, c.plan, c.count)
	if err != nil {
		c.rt.Fatal(err)
	}
	c.leader = &process{n, s, term}
	c.tell()
	c.tick(c.leader)
}

// tell has the leader know whether the region is paused.
func (c *chaos) tell() {
	eu := messages.RegionRecord{Region: "eu"}
	if c.rests {
		eu.Paused = &messages.RegionChange{Execution: "x"}
	}
	c.leader.s.moved.Store(&messages.Regions{"eu": eu})
}

func (c *chaos) tick(p *process) {
	_, err := p.s.tick(context.Background(), p.term)
	if errors.Is(err, ErrStale) && p == c.leader {
		c.replace() // as Run does: stand down, campaign again
	}
}

func (c *chaos) step() {
	switch rapid.IntRange(0, 10).Draw(c.rt, "what") {
	case 0, 1, 2, 3: // time passes
		for range rapid.IntRange(1, 40).Draw(c.rt, "ticks") {
			c.clock.Advance(time.Duration(rapid.IntRange(1, 1800).Draw(c.rt, "seconds")) * time.Second)
			c.tick(c.leader)
		}
	case 4: // workers finish everything
		c.finish()
	case 5, 6: // the leader crashes at some call
		c.unclean = true
		n := c.leader.node
		n.crash = n.calls + rapid.IntRange(1, 6).Draw(c.rt, "crash")
		n.crashAfter = rapid.Bool().Draw(c.rt, "after")
		for range 30 {
			if n.gone {
				break
			}
			c.clock.Advance(10 * time.Minute)
			c.tick(c.leader)
		}
		n.gone = true
		c.clock.Advance(time.Duration(rapid.IntRange(0, 10_000).Draw(c.rt, "outage")) * time.Second)
		c.replace()
	case 7: // a second leader: the first does not know yet
		c.unclean = true
		c.old = c.leader
		c.replace()
	case 8: // the deposed leader acts
		if c.old != nil {
			c.tick(c.old)
		}
	case 9: // the queue is away, then the configuration is reloaded
		c.leader.node.fail = errors.New("no responders")
		c.clock.Advance(time.Duration(rapid.IntRange(1, 3000).Draw(c.rt, "away")) * time.Second)
		c.tick(c.leader)
		c.leader.node.fail = nil
		if err := c.leader.s.reenter(context.Background(), c.leader.term); err != nil && !errors.Is(err, ErrStale) {
			c.rt.Fatal(err)
		}
	case 10: // a plan pauses the region, or takes that back
		c.rests = !c.rests
		c.tell()
	}
}

// settle lets all that was begun come to an end.
func (c *chaos) settle() {
	c.rests = false
	c.tell()
	for range 3 {
		c.finish()
		c.clock.Advance(15 * time.Minute)
		c.tick(c.leader)
	}
}

func (c *chaos) check(schedule Schedule, start time.Time) {
	jobs := map[string]bool{}
	for _, id := range c.ids() {
		if jobs[id] {
			c.rt.Errorf("job %s was made twice", id)
		}
		jobs[id] = true
	}
	told := 0
	for _, e := range c.events {
		n, err := strconv.Atoi(e.Labels[LabelSlots])
		if err != nil {
			c.rt.Fatal(err)
		}
		told += n
	}
	slots, now := 0, c.clock.Now()
	for _, target := range schedule.Targets {
		for slot := range schedule.Slots(start, now) {
			if schedule.due(target, slot).After(now) {
				break
			}
			slots++
			if id := SlotID(schedule.Name, target.Source, slot); !jobs[id] && !c.toldOf(target.Source, slot) {
				c.rt.Errorf("slot %s has no job and nobody was told", id)
			}
		}
	}
	// A leader that died between telling and noting so, or that did not know of
	// its successor, may have told of a slot that the next one decides again.
	if !c.unclean && len(jobs)+told != slots {
		c.rt.Errorf("%d slots passed; %d have jobs and %d were told", slots, len(jobs), told)
	}
}

func (c *chaos) toldOf(source string, slot time.Time) bool {
	at := slot.UTC().Format(time.RFC3339)
	for _, e := range c.events {
		if e.Source == source && e.Labels[LabelFirst] <= at && at <= e.Labels[LabelSlot] {
			return true
		}
	}
	return false
}
