package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// ErrTwin is why the second of two processes that have one name stops: what is said of
// a node, its vote and its members' leases are told apart by that name alone.
var ErrTwin = errors.New("another process has the same name")

const (
	// againAfter is how often an older process must still be heard after a newer one of
	// its name: the last words of one that ended are heard once.
	againAfter = 2
	// forgetTwin is after how many heartbeats a process that is not heard is no twin any
	// more, and leastForget the least time for that.
	forgetTwin  = 20
	leastForget = 5 * time.Second
)

// names are the processes that were heard under one name.
type names struct {
	newest string // the one whose first word came last
	heard  map[string]*sighting
	told   bool
}

// sighting is one of them.
type sighting struct {
	started time.Time // by its own clock
	last    time.Time
	again   int // words since a newer one was heard
	region  string
}

func newNames() *names { return &names{heard: map[string]*sighting{}} }

// word notes a heartbeat. It reports whether it is the first of its process.
func (n *names) word(h messages.Heartbeat, now time.Time) (first bool) {
	s, known := n.heard[h.Instance]
	switch {
	case !known:
		s = &sighting{started: h.Started, region: h.Region}
		for _, older := range n.heard {
			older.again = 0
		}
		n.heard[h.Instance], n.newest = s, h.Instance
	case h.Instance != n.newest:
		s.again++
	}
	s.last = now
	return !known
}

// twins returns the process that came first and the one after it, by their own clocks,
// while two or more are heard.
func (n *names) twins(now time.Time, every time.Duration) (first, second string) {
	keep := max(forgetTwin*every, leastForget)
	var there []string
	for id, s := range n.heard {
		switch {
		case now.Sub(s.last) > keep:
			delete(n.heard, id)
		case id == n.newest || s.again >= againAfter:
			there = append(there, id)
		}
	}
	if len(there) < 2 {
		return "", ""
	}
	slices.SortFunc(there, func(a, b string) int {
		return cmp.Or(n.heard[a].started.Compare(n.heard[b].started), cmp.Compare(a, b))
	})
	return there[0], there[1]
}

// twin says in a sentence that two processes have a node's name; "" is one alone.
func (n *names) twin(node string, now time.Time, every time.Duration) string {
	first, second := n.twins(now, every)
	if first == "" {
		return ""
	}
	a, b := n.heard[first], n.heard[second]
	return fmt.Sprintf("two processes are called %s: one in region %s, started %s, and one in region %s, started %s; give each its own node.name",
		node, a.region, a.started.UTC().Format(time.RFC3339), b.region, b.started.UTC().Format(time.RFC3339))
}

// second returns an error while a process that started earlier has this one's name.
func (v *view) second(now time.Time) error {
	n := v.names[v.o.Node]
	if n == nil || v.o.Instance == "" {
		return nil
	}
	if own := n.heard[v.o.Instance]; own != nil {
		own.last = now // whoever asks itself is there
	}
	first, _ := n.twins(now, v.o.Heartbeat)
	if first == "" || first == v.o.Instance {
		return nil
	}
	other := n.heard[first]
	return fault.New("act as coordinator and keeper", v.o.Node,
		fmt.Errorf("%w: it is in region %s and started %s", ErrTwin, other.region, other.started.UTC().Format(time.RFC3339)),
		"stop one of the two, or give each its own node.name; a machine that was copied has the name of the one it was copied from")
}

// tellTwins tells once of every name that two processes have. It is called with the
// lock held.
func (c *Coordinator) tellTwins(now time.Time) {
	for node, n := range c.view.names {
		every := c.o.Heartbeat
		if seen := c.view.nodes[node]; seen != nil {
			every = seen.every
		}
		why := n.twin(node, now, every)
		if why != "" && !n.told {
			c.o.Log.Error().Str("node", node).Msg(why)
			if c.view.epoch != 0 && c.o.Events != nil {
				c.queue(messages.Event{
					ID:   fmt.Sprintf("twin.%s.%d.%d", node, c.view.epoch, c.view.sequence),
					Time: now.UTC(), Kind: messages.EventVerdict, Region: c.regionOf(NodeTarget(node)), Outcome: messages.OutcomeTwin,
					Source: NodeTarget(node), Worker: c.o.Node, Error: why,
				})
			}
		}
		n.told = why != ""
		if len(n.heard) == 0 {
			delete(c.view.names, node)
		}
	}
}

// Alone listens for so long whether another process that started earlier has this
// one's name, and returns an error when one has. Whoever keeps members of services asks
// before it touches one.
func (c *Coordinator) Alone(ctx context.Context, listen time.Duration) error {
	if err := c.o.Clock.Sleep(ctx, listen); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.second(c.o.Clock.Now())
}
