package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mahavishnu/coordinator"
	"mahavishnu/coordinator/plan"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

const (
	// awaited is how long a failover is waited for: one that takes longer has failed.
	awaited = 60 * time.Second
	// settled is how many acknowledged writes of each client make it certain that it is
	// served.
	settled = 5
)

// Run is one failover. Moments are counted from the fault; 0 is one that never came.
type Run struct {
	Number int       `json:"number"` // from 1
	Fault  Fault     `json:"fault"`
	When   time.Time `json:"when"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	// Leader is the coordinator that led, LeaderLost whether it was on the machine that
	// the fault happened to, and NewLeader which one carried the plan out.
	Leader     string `json:"leader"`
	LeaderLost bool   `json:"leader_lost"`
	NewLeader  string `json:"new_leader"`

	// Suspected is when a coordinator on another machine first told that it doubts the
	// primary, Verdict since when the one that carries the plan out has known that most
	// regions hold it down, and Leads since when that one leads, 0 if it did before.
	Suspected time.Duration `json:"suspected_ns"`
	Verdict   time.Duration `json:"verdict_ns"`
	Leads     time.Duration `json:"leads_ns"`
	// Began is when the plan was written down, Free when it was certain that the old
	// primary has stopped, Promoted when the new one first acknowledged a write: the
	// recovery time of the control plane. Routed is when the plan had led clients there.
	Began    time.Duration `json:"began_ns"`
	Free     time.Duration `json:"free_ns"`
	Promoted time.Duration `json:"promoted_ns"`
	Routed   time.Duration `json:"routed_ns"`
	// Away is how long a client had no write acknowledged, by the way that it finds the
	// primary.
	Away map[Way]time.Duration `json:"away_ns"`

	// Acked rows were acknowledged around the fault, Lost are those of them that the new
	// primary does not have, and Late how many the old one acknowledged after the new one
	// took writes.
	Acked int     `json:"acked"`
	Lost  []int64 `json:"lost,omitempty"`
	Late  int     `json:"late"`
	// Healed is how long it took afterwards until the next fault could happen, and
	// Disturbed the longest time meanwhile in which a client had no write acknowledged,
	// because of the machine that came back.
	Healed    time.Duration `json:"healed_ns"`
	Disturbed time.Duration `json:"disturbed_ns"`
	// Steps are those of the plan, in order.
	Steps []Step `json:"steps,omitempty"`
	// Error says why it is no measurement.
	Error string `json:"error,omitempty"`
}

// Step is one of the plan's.
type Step struct {
	Name    string        `json:"name"`
	Outcome string        `json:"outcome"`
	Began   time.Duration `json:"began_ns"`
	Ended   time.Duration `json:"ended_ns"`
}

// trial is a run under way.
type trial struct {
	*system
	run           Run
	clients       *clients
	primary, heir *machine
	start         time.Time
}

// since is a moment as it is counted.
func (t *trial) since(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(t.start), 0)
}

// once lets one fault happen, to the machine of the leading coordinator if it should, and
// notes what follows. The system is healed afterwards,
// or the error says why it is not.
func (s *system) once(ctx context.Context, f Fault, withLeader bool, c *clients) (Run, error) {
	t := &trial{system: s, clients: c, run: Run{Fault: f, Away: map[Way]time.Duration{}}}
	if err := t.prepare(ctx, withLeader); err != nil {
		return t.run, err
	}
	if err := t.measure(ctx); err != nil {
		if ctx.Err() != nil {
			return t.run, err
		}
		t.run.Error = err.Error()
	}
	healing := s.clock.Now()
	if err := t.restore(ctx); err != nil {
		return t.run, err
	}
	now := s.clock.Now()
	t.run.Healed, t.run.Disturbed = now.Sub(healing), c.gap(healing, now)
	return t.run, nil
}

// prepare waits until all is well, keeps the leaders of streams off the primary's machine
// as coordinators do within 15 seconds, and begins at no special moment.
func (t *trial) prepare(ctx context.Context, withLeader bool) (err error) {
	if t.primary, t.heir, err = t.ready(ctx); err != nil {
		return err
	}
	if withLeader {
		if err := t.crown(ctx); err != nil {
			return err
		}
	}
	if _, err := bus.Repin(ctx, t.conn, bus.RepinOptions{Away: t.primary.region}); err != nil {
		return err
	}
	t.clients.begin() // first: whoever is served then was told something by the old primary
	began := t.clock.Now()
	err = t.until(ctx, "clients are served", patience, func() (bool, error) { return t.clients.served(t.o.Ways, began, settled), nil })
	if err != nil {
		return err
	}
	if err := t.clock.Sleep(ctx, 100*time.Millisecond+rand.N(500*time.Millisecond)); err != nil {
		return err
	}
	v, err := t.view(ctx)
	if err != nil {
		return err
	}
	t.run.From, t.run.To = t.primary.member, t.heir.member
	t.run.Leader, t.run.LeaderLost = v.leader, v.leader == t.primary.node && t.run.Fault.takesLeader()
	return nil
}

// crownings is how often it is tried to have the coordinator lead that should.
const crownings = 6

// crown has the coordinator beside the primary lead: the one that leads is restarted, and
// of the others one wins. After some times it is left as it is.
func (t *trial) crown(ctx context.Context) error {
	for range crownings {
		v, err := t.view(ctx)
		if err != nil || v.leader == t.primary.node {
			return err
		}
		for _, m := range t.machines {
			if m.node == v.leader {
				if err := t.restart(m); err != nil {
					return err
				}
			}
		}
		if _, _, err := t.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// measure lets the fault happen and waits until clients are served again.
func (t *trial) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, awaited, fmt.Errorf("no failover within %v", awaited))
	defer cancel()
	var watching sync.WaitGroup
	watched, stop := context.WithCancel(ctx)
	defer watching.Wait()
	defer stop()
	var doubts doubts
	watching.Go(func() { t.watchDoubts(watched, &doubts) })
	promoted := make(chan time.Time, 1)
	watching.Go(func() {
		if at, err := t.observer(t.heir).AwaitWritable(watched); err == nil {
			promoted <- at
		}
	})

	t.start = t.clock.Now()
	t.run.When = t.start.UTC()
	if err := t.hurt(t.primary, t.run.Fault); err != nil {
		return err
	}
	select {
	case at := <-promoted:
		t.run.Promoted = t.since(at)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	explained := make(chan error, 1)
	watching.Go(func() { explained <- t.explain(watched) })
	began := t.clock.Now()
	err := t.until(ctx, "clients are served again", awaited, func() (bool, error) { return t.clients.served(t.o.Ways, began, settled), nil })
	if err != nil {
		return err
	}
	for _, way := range t.o.Ways {
		if last, first, ok := t.clients.around(way, t.run.From, t.run.To); ok {
			t.run.Away[way] = first.Sub(last)
		}
	}
	t.run.Suspected = t.since(doubts.first(t.start))
	return <-explained
}

// doubts are the moments at which it was told that somebody doubts the primary.
type doubts struct {
	mu  sync.Mutex
	all []time.Time
}

func (d *doubts) add(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, at)
}

// first is the first after a moment; the zero time when there is none.
func (d *doubts) first(after time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.all {
		if at.After(after) {
			return at
		}
	}
	return time.Time{}
}

// watchDoubts hears what coordinators on other machines hold of the primary.
func (t *trial) watchDoubts(ctx context.Context, d *doubts) {
	target := coordinator.MemberTarget(service, t.primary.member)
	// It ends with the measurement.
	_ = t.bus.WatchOpinions(ctx, func(r messages.OpinionReport) {
		at := t.clock.Now()
		for _, o := range r.Opinions {
			if r.Node != t.primary.node && o.Target == target && vote.State(o.State) != vote.Up {
				d.add(at)
			}
		}
	})
}

// explain reads what coordinators and the journal know of the failover.
func (t *trial) explain(ctx context.Context) error {
	x, err := t.journal()
	if err != nil {
		return err
	}
	var e plan.Execution
	err = t.until(ctx, "the plan has led clients", awaited, func() (bool, error) {
		var err error
		if e.ID == "" { // it holds the service until it is over
			e, err = t.execution(ctx)
		} else {
			e, err = x.Find(ctx, e.ID)
		}
		i := slices.IndexFunc(e.Entries, func(x plan.Entry) bool { return x.Step == "lead-clients" && x.Outcome == plan.OutcomeDone })
		return i >= 0, err
	})
	if err != nil {
		return err
	}
	t.run.NewLeader, t.run.Began = e.Leader, t.since(e.Created)
	for _, x := range e.Entries {
		t.run.Steps = append(t.run.Steps, Step{Name: x.Step, Outcome: string(x.Outcome), Began: t.since(x.Started), Ended: t.since(x.Finished)})
		switch {
		case x.Outcome != plan.OutcomeDone:
		case x.Step == "old-has-stopped":
			t.run.Free = t.since(x.Finished)
		case x.Step == "lead-clients":
			t.run.Routed = t.since(x.Finished)
		}
	}
	v, err := t.view(ctx)
	if err != nil {
		return err
	}
	for _, c := range v.all {
		if c.Node == t.run.NewLeader {
			t.verdict(c, v.at)
		}
	}
	return nil
}

// verdict takes the moments from the status of who carried the plan out.
func (t *trial) verdict(c messages.CoordinatorStatus, at time.Time) {
	if c.Epoch > 0 && t.run.NewLeader != t.run.Leader {
		t.run.Leads = t.since(at.Add(-time.Duration(c.LeadingMillis) * time.Millisecond))
	}
	for _, svc := range c.Services {
		for _, m := range svc.Members {
			if svc.Service == service && m.Member == t.run.From && m.Verdict == "down" {
				t.run.Verdict = t.since(at.Add(-time.Duration(m.VerdictMillis) * time.Millisecond))
			}
		}
	}
}

// restore ends the fault, looks for what was acknowledged, and makes the old primary a
// standby.
func (t *trial) restore(ctx context.Context) error {
	if err := t.heal(ctx, t.primary, t.run.Fault); err != nil {
		return err
	}
	// A primary that wakes up may believe for a moment that it is one.
	if err := t.clock.Sleep(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	if t.run.Error != "" {
		return errors.New(t.run.Error)
	}
	t.run.Late = t.clients.late(t.run.From, t.start.Add(t.run.Promoted))
	rows := t.clients.rows()
	t.run.Acked = len(rows)
	var err error
	if t.run.Lost, err = t.observer(t.heir).Missing(ctx, rows); err != nil {
		return err
	}
	if err := t.command(ctx, messages.VerbRejoin, t.primary, t.heir); err != nil {
		return err
	}
	_, _, err = t.ready(ctx)
	return err
}
