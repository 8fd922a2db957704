package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// changed tells people and programs of a verdict. It is called with the lock held
// and must not wait.
func (c *Coordinator) changed(v vote.Verdict, now time.Time) {
	why := v.Why(now)
	level := zerolog.InfoLevel
	if v.State == vote.Down {
		level = zerolog.WarnLevel
	}
	c.o.Log.WithLevel(level).Str("target", v.Target).Str("before", string(v.Before)).Str("why", why).Msg("verdict: " + string(v.State))
	if c.o.Metrics != nil {
		kind, _ := splitTarget(v.Target)
		c.o.Metrics.VerdictChanged(kind, string(v.State))
	}
	if c.view.epoch == 0 || c.o.Events == nil || v.State == vote.Suspect || v.Before == vote.Suspect && v.State == vote.Up {
		return // a passing doubt is for the log
	}
	c.publish(v, why, now)
}

// publish tells of a verdict by an event.
func (c *Coordinator) publish(v vote.Verdict, why string, now time.Time) {
	c.queue(messages.Event{
		ID:   fmt.Sprintf("verdict.%s.%d.%d.%s", v.Target, c.view.epoch, c.view.sequence, v.State),
		Time: now.UTC(), Kind: messages.EventVerdict, Region: c.regionOf(v.Target), Outcome: outcomeOf(v.State),
		Source: v.Target, Worker: c.o.Node, Error: why,
	})
}

// queue hands an event to whoever sends it, without waiting.
func (c *Coordinator) queue(event messages.Event) {
	select {
	case c.events <- event:
	default:
		c.o.Log.Error().Str("target", event.Source).Msg("too many verdicts wait to be told; this one shows in the status only")
	}
}

// outcomeOf is the outcome that tells of a verdict.
func outcomeOf(s vote.State) messages.Outcome { return messages.Outcome(s) }

// regionOf is where a target is; the coordinator's own region when that is not
// known.
func (c *Coordinator) regionOf(target string) string {
	for _, m := range c.view.members {
		if m.target == target && m.Region != "" {
			return m.Region
		}
	}
	if _, name := splitTarget(target); c.view.nodes[name] != nil {
		return c.view.nodes[name].last.Region
	}
	return c.o.Region
}

// tell sends events, one after the other.
func (c *Coordinator) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-c.events:
			sending, cancel := context.WithTimeout(ctx, eventTime)
			err := c.o.Events.Publish(sending, e)
			cancel()
			if err != nil && ctx.Err() == nil {
				c.o.Log.Warn().Err(err).Str("target", e.Source).Msg("the event of a verdict could not be stored")
			}
		}
	}
}

// measure keeps the gauges. It is called with the lock held.
func (c *Coordinator) measure() {
	if c.o.Metrics == nil {
		return
	}
	states := map[vote.State]int{}
	for _, n := range c.view.nodes {
		states[n.state]++
	}
	c.o.Metrics.SetNodeStates(states[vote.Up], states[vote.Suspect], states[vote.Down])
	c.measureGroups()
	for _, m := range c.view.members {
		c.o.Metrics.SetMemberState(m.service, m.Name, string(m.state))
	}
	q := c.view.board.Quorum(c.view.ticked)
	c.o.Metrics.SetQuorum(q.Have, q.Reached, q.Needed)
	c.o.Metrics.SetStretch(c.view.health.Stretch())
}

// group is the nodes of a region that have a role.
type group struct{ region, role string }

// measureGroups tells how many nodes of each group are heard of; one that is gone is
// told to have none.
func (c *Coordinator) measureGroups() {
	heard := map[group]int{}
	for g := range c.groups {
		heard[g] = 0
	}
	for _, n := range c.view.nodes {
		if n.state == vote.Down {
			continue
		}
		for _, role := range n.last.Roles {
			heard[group{n.last.Region, role}]++
		}
	}
	c.groups = heard
	for g, n := range heard {
		c.o.Metrics.SetNodes(g.region, g.role, n)
	}
}
