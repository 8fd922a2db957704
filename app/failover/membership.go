package failover

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

const (
	// membershipEvery is how often the leading coordinator compares what is written of
	// the nodes with what it hears.
	membershipEvery = 5 * time.Second
	// seenEvery is how old the moment may be at which a node was last heard, while it is
	// heard: it is what is left to know when all coordinators are gone, too.
	seenEvery = 10 * time.Minute
	// membershipPatience is how long a new leader listens before it says of a node that
	// it is not heard.
	membershipPatience = time.Minute
	// forgetNodes is after how long a node that is gone is forgotten.
	forgetNodes = 30 * 24 * time.Hour
)

// nodeStore is where records of nodes are kept.
type nodeStore interface {
	Each(ctx context.Context, pattern string, fn func(bus.Value) error) error
	Put(ctx context.Context, key string, data []byte) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
}

// Membership writes down which nodes there are, for as long as the coordinator leads.
// Heartbeats tell who is there now; who should be, and is not, nobody could tell who has
// started since.
type Membership struct {
	store nodeStore
	by    string
	// known are the records as they are written, by key; nil while it does not lead.
	known map[string]messages.NodeRecord
	since time.Time // when it began to lead
	// heard are the nodes of the last look.
	heard map[string]bool
}

// NewMembership returns what a node writes into dr_nodes.
func NewMembership(store *bus.Store, node string) *Membership {
	return &Membership{store: store, by: node}
}

// Keep writes until ctx ends what status tells.
func (m *Membership) Keep(ctx context.Context, status func() messages.CoordinatorStatus, c clock.Clock, log zerolog.Logger) error {
	told := false
	for {
		if err := c.Sleep(ctx, membershipEvery); err != nil {
			return err
		}
		err := m.look(ctx, status(), c.Now().UTC())
		if err != nil && ctx.Err() == nil && !told {
			log.Warn().Err(err).Msg("which nodes there are cannot be written down")
		}
		told = err != nil
	}
}

// look compares what is heard with what is written, and writes what has changed.
func (m *Membership) look(ctx context.Context, s messages.CoordinatorStatus, now time.Time) error {
	if s.Epoch == 0 {
		m.known = nil
		return nil
	}
	if m.known == nil {
		if err := m.load(ctx); err != nil {
			return err
		}
		m.since, m.heard = now, map[string]bool{}
	}
	heard := map[string]bool{}
	var errs []error
	for _, n := range s.Nodes {
		if !messages.ValidName(n.Region) || !messages.ValidName(n.Node) {
			continue
		}
		key := messages.NodeKey(n.Region, n.Node)
		heard[key] = true
		next := m.seen(n, m.known[key], now)
		if !sameNode(next, m.known[key]) {
			errs = append(errs, m.write(ctx, key, next))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		if heard[key] {
			continue
		}
		record := m.known[key]
		switch {
		case now.Sub(record.Seen) > forgetNodes:
			errs = append(errs, m.forget(ctx, key))
		case record.State != messages.NodeUp:
		case m.heard[key]: // it said goodbye: one that falls silent stays in sight for an hour
			record.State, record.Seen = messages.NodeLeft, now
			errs = append(errs, m.write(ctx, key, record))
		case now.Sub(m.since) > membershipPatience:
			record.State = messages.NodeSilent
			errs = append(errs, m.write(ctx, key, record))
		}
	}
	m.heard = heard
	return errors.Join(errs...)
}

// seen is the record of a node that is in sight.
func (m *Membership) seen(n messages.NodeStatus, before messages.NodeRecord, now time.Time) messages.NodeRecord {
	next := messages.NodeRecord{
		Node: n.Node, Region: n.Region, Roles: n.Roles, Version: n.Version, Started: n.Started.UTC(),
		State: messages.NodeUp, First: before.First, Seen: before.Seen, By: m.by,
	}
	last := now.Add(-time.Duration(max(n.SilentMillis, 0)) * time.Millisecond)
	if next.First.IsZero() {
		next.First = last
	}
	if n.Verdict == "down" {
		next.State = messages.NodeSilent
	}
	if next.State != before.State || last.Sub(before.Seen) >= seenEvery {
		next.Seen = last
	}
	return next
}

// sameNode reports whether two records say the same, whoever wrote them.
func sameNode(a, b messages.NodeRecord) bool {
	return a.Node == b.Node && a.Region == b.Region && slices.Equal(a.Roles, b.Roles) && a.Version == b.Version &&
		a.State == b.State && a.Started.Equal(b.Started) && a.First.Equal(b.First) && a.Seen.Equal(b.Seen)
}

// load reads what is written. What cannot be read is not this version's, and written
// over when its node is heard.
func (m *Membership) load(ctx context.Context) error {
	known := map[string]messages.NodeRecord{}
	err := m.store.Each(ctx, "", func(v bus.Value) error {
		if record, err := messages.DecodeNodeRecord(v.Data); err == nil && messages.NodeKey(record.Region, record.Node) == v.Key {
			known[v.Key] = record
		}
		return nil
	})
	if err == nil {
		m.known = known
	}
	return err
}

func (m *Membership) write(ctx context.Context, key string, r messages.NodeRecord) error {
	r.By = m.by
	data, err := json.Marshal(r)
	if err != nil {
		return fault.New("write node", key, err, "")
	}
	if _, err := m.store.Put(ctx, key, data); err != nil {
		return err
	}
	m.known[key] = r
	return nil
}

func (m *Membership) forget(ctx context.Context, key string) error {
	if err := m.store.Delete(ctx, key, 0); err != nil {
		return err
	}
	delete(m.known, key)
	return nil
}
