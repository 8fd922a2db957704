package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

const (
	// relisten is the pause before listening again on a line that failed.
	relisten = 250 * time.Millisecond
	// unreached is after how many ticks a voter that is not heard is told of.
	unreached = 20
	// eventsKept is how many changed verdicts wait to be told while the queue does
	// not answer; older ones show in the status all the same.
	eventsKept = 256
	eventTime  = 10 * time.Second
)

// Coordinator watches, votes and perhaps leads. Make one with New.
type Coordinator struct {
	o      Options
	gate   *gate
	turned chan struct{} // a verdict changed, or what a keeper says of who serves
	events chan messages.Event

	lastSaid error                   // how sending the last report went; of the goroutine that looks
	refuse   context.CancelCauseFunc // ends Run with a reason

	mu       sync.Mutex
	view     *view
	led      time.Time // when the leadership began
	reacting string
	quorum   bool            // as it was told last
	told     bool            // whether anything was told of the quorum yet
	missed   map[string]bool // voters of whom it was told that they are not reached
	groups   map[group]int   // of which it was told how many nodes they have
}

// Run watches until ctx ends. It waits for everything it started.
func (c *Coordinator) Run(ctx context.Context) error {
	var all sync.WaitGroup
	stop, err := c.o.Lines.ServeCoordinator(c.o.Node, c.answer)
	if err != nil {
		return err
	}
	defer stop()
	defer c.gate.set(false)
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	c.refuse = refuse
	for _, part := range []func(context.Context){
		c.listening("heartbeats", func(ctx context.Context) error { return c.o.Lines.WatchHeartbeats(ctx, c.heartbeat) }),
		c.listening("opinions", func(ctx context.Context) error { return c.o.Lines.WatchOpinions(ctx, c.opinions) }),
		c.look, c.lead, c.tell,
	} {
		all.Go(func() { part(ctx) })
	}
	for _, m := range c.view.members {
		all.Go(func() { c.probe(ctx, m) })
	}
	all.Wait()
	return context.Cause(ctx)
}

// listening listens again when a line fails.
func (c *Coordinator) listening(what string, listen func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		for {
			err := listen(ctx)
			if ctx.Err() != nil {
				return
			}
			c.o.Log.Warn().Err(err).Str("to", what).Msg("the coordinator's line failed; listening again")
			if c.o.Clock.Sleep(ctx, relisten) != nil {
				return
			}
		}
	}
}

func (c *Coordinator) heartbeat(h messages.Heartbeat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.view.heard(h, c.o.Clock.Now()) {
		c.wake()
	}
}

func (c *Coordinator) opinions(r messages.OpinionReport) {
	c.mu.Lock()
	now := c.o.Clock.Now()
	changed := c.view.reported(r, now)
	c.settle(changed, now)
	c.mu.Unlock()
}

// Reconnected tells the coordinator that its line to everybody was away and is
// back: what it did not hear meanwhile is nobody's silence.
func (c *Coordinator) Reconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view.reconnected(c.o.Clock.Now())
}

// look forms opinions at every tick and tells the others.
func (c *Coordinator) look(ctx context.Context) {
	next := c.o.Clock.Now()
	for {
		c.mu.Lock()
		now := c.o.Clock.Now()
		report, changed := c.view.look(now)
		c.settle(changed, now)
		c.missing(now)
		c.tellTwins(now)
		c.measure()
		second := c.view.second(now)
		c.mu.Unlock()
		if second != nil {
			c.refuse(second)
			return
		}
		// What cannot be sent is not heard; whoever misses it draws the conclusion.
		c.said(c.o.Lines.PublishOpinions(report))
		// Ticks keep to their grid; those that were missed are not made up for.
		for next = next.Add(c.o.Heartbeat); next.Before(now); next = next.Add(c.o.Heartbeat) {
		}
		if c.o.Clock.Sleep(ctx, next.Sub(c.o.Clock.Now())) != nil {
			return
		}
	}
}

// said logs the first of a row of reports that could not be sent, and the end of
// the row.
func (c *Coordinator) said(err error) {
	switch {
	case err != nil && c.lastSaid == nil:
		c.o.Log.Warn().Err(err).Msg("the coordinator cannot be heard")
	case err == nil && c.lastSaid != nil:
		c.o.Log.Info().Msg("the coordinator can be heard again")
	}
	c.lastSaid = err
}

// settle takes in what changed: it wakes who waits for it and says what people
// should know. It is called with the lock held.
func (c *Coordinator) settle(changed []vote.Verdict, now time.Time) {
	q := c.view.board.Quorum(now)
	if q.Have != c.quorum || !c.told && now.Sub(c.view.started) > 20*c.o.Heartbeat {
		c.quorum, c.told = q.Have, true
		c.gate.set(q.Have)
		if q.Have {
			c.o.Log.Info().Str("why", q.Why(now)).Msg("this coordinator is with the majority")
		} else {
			c.o.Log.Warn().Str("why", q.Why(now)).Msg("this coordinator is in the minority: it decides nothing and does not lead")
		}
	}
	for _, v := range changed {
		c.changed(v, now)
	}
	if len(changed) > 0 {
		c.wake()
	}
}

// wake has whoever reacts look at how things are now.
func (c *Coordinator) wake() {
	select {
	case c.turned <- struct{}{}:
	default: // whoever reacts will see this change, too
	}
}

// missing says once which voters have not been reached for a while: each is one less
// that may be lost before nobody can decide. It is called with the lock held.
func (c *Coordinator) missing(now time.Time) {
	away := map[string]bool{}
	for _, m := range c.view.board.Quorum(now).Missing() {
		since := m.Last
		if since.IsZero() {
			since = c.view.started
		}
		if !m.Self && (now.Sub(since) > unreached*c.o.Heartbeat || c.missed[m.Name]) {
			away[m.Name] = true
		}
		if away[m.Name] && !c.missed[m.Name] {
			c.o.Log.Warn().Str("coordinator", m.Name).Bool("heard", m.Heard).Bool("ever", !m.Last.IsZero()).
				Msg("a coordinator that votes cannot be reached; see that it runs: mahavishnu coordinator")
		}
	}
	for name := range c.missed {
		if !away[name] {
			c.o.Log.Info().Str("coordinator", name).Msg("a coordinator that votes is reached again")
		}
	}
	c.missed = away
}

// Verdict is what a majority holds of a target now; see NodeTarget and
// MemberTarget.
func (c *Coordinator) Verdict(target string) vote.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.board.Verdict(target, c.o.Clock.Now())
}

// Quorum tells whether this coordinator may decide now.
func (c *Coordinator) Quorum() vote.Quorum {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.board.Quorum(c.o.Clock.Now())
}

// probe looks at one member again and again. A look that takes longer than the
// interval delays the next one.
func (c *Coordinator) probe(ctx context.Context, m *member) {
	for {
		began := c.o.Clock.Now()
		looking, cancel := context.WithTimeoutCause(ctx, m.Timeout, errors.New("no answer in time"))
		err := m.Probe.Probe(looking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		now := c.o.Clock.Now()
		c.mu.Lock()
		c.view.probed(m, err, now)
		c.mu.Unlock()
		if c.o.Metrics != nil {
			c.o.Metrics.Probed(m.service, m.Name, err == nil, now.Sub(began))
		}
		if c.o.Clock.Sleep(ctx, began.Add(m.Every).Sub(now)) != nil {
			return
		}
	}
}
