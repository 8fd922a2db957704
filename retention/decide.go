package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decision is what becomes of a snapshot.
type Decision struct {
	Snapshot Snapshot
	Keep     bool
	// Why is a sentence for people, without the snapshot's name.
	Why string
}

// Decide returns a decision for every snapshot: sources by name, and within a
// source the newest first.
func (p Policy) Decide(snapshots []Snapshot, now time.Time) []Decision {
	sorted := slices.Clone(snapshots)
	slices.SortFunc(sorted, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), b.Time.Compare(a.Time), cmp.Compare(b.ID, a.ID))
	})
	decisions := make([]Decision, 0, len(sorted))
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Source == sorted[0].Source {
			n++
		}
		decisions = append(decisions, p.source(sorted[:n], now)...)
		sorted = sorted[n:]
	}
	return decisions
}

// source decides about the snapshots of one source, newest first.
func (p Policy) source(snapshots []Snapshot, now time.Time) []Decision {
	newest := -1
	for i, s := range snapshots {
		if s.Damaged == "" && !s.Time.After(now) {
			newest = i
			break
		}
	}
	var reference time.Time // what ages are measured from; zero without a good snapshot
	if newest >= 0 {
		reference = snapshots[newest].Time.In(p.zone())
	}
	places := p.places()
	var decisions []Decision
	for i, s := range snapshots {
		reasons := p.reasons(s, i == newest, now, reference, places)
		d := Decision{Snapshot: s, Keep: len(reasons) > 0}
		if d.Keep {
			d.Why = "kept: " + strings.Join(reasons, "; ")
			if s.Damaged != "" {
				d.Why += "; it is damaged (" + s.Damaged + ") and fills no place of a rule that counts"
			}
		} else {
			d.Why = "forgotten: " + p.whyNot(s)
		}
		decisions = append(decisions, d)
	}
	return decisions
}

// reasons lists every rule that keeps a snapshot, in words.
func (p Policy) reasons(s Snapshot, newest bool, now, reference time.Time, places []*place) []string {
	var reasons []string
	if newest {
		reasons = append(reasons, "it is the newest good snapshot of its source")
	}
	if reference.IsZero() {
		reasons = append(reasons, "its source has no good snapshot, so even a damaged one may be all there is")
	}
	if s.Pinned != "" {
		reasons = append(reasons, "it is pinned ("+s.Pinned+")")
	}
	if s.Time.After(now) {
		return append(reasons, "its time lies in the future, so a clock was wrong; no rule judges it")
	}
	if reference.IsZero() {
		return reasons
	}
	span, tiered := p.Tiers[s.Type]
	switch {
	case tiered && !s.Time.Before(span.before(reference)):
		reasons = append(reasons, fmt.Sprintf("%s snapshots are kept for %s", s.Type, span))
	case !tiered && !p.counts():
		reasons = append(reasons, fmt.Sprintf("no rule speaks of %s snapshots", s.kind()))
	}
	if p.Within > 0 && !s.Time.Before(reference.Add(-p.Within)) {
		reasons = append(reasons, fmt.Sprintf("it is within %v of the newest", p.Within))
	}
	if s.Damaged == "" {
		for _, place := range places {
			if reason := place.take(s.Time.In(p.zone())); reason != "" {
				reasons = append(reasons, reason)
			}
		}
	}
	return reasons
}

func (p Policy) whyNot(s Snapshot) string {
	why := fmt.Sprintf("no rule keeps %s snapshots of its age", s.kind())
	if span, ok := p.Tiers[s.Type]; ok {
		why = fmt.Sprintf("%s snapshots are kept for %s, and no other rule keeps it", s.Type, span)
	}
	if s.Damaged != "" {
		why += "; it is damaged (" + s.Damaged + ") and fills no place of a rule that counts"
	}
	return why
}

func (s Snapshot) kind() string {
	if s.Type == "" {
		return "untyped"
	}
	return s.Type
}

func (p Policy) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

// place hands out the places of a rule that counts, newest snapshot first.
type place struct {
	left   int
	name   string
	period func(time.Time) string // empty: every snapshot is its own
	last   string
	taken  bool
}

// places returns the rules that count, in the order they are explained.
func (p Policy) places() []*place {
	all := []*place{
		{left: p.Last, name: "snapshots"},
		{left: p.Hourly, name: "hours", period: func(t time.Time) string { return t.UTC().Format("2006-01-02T15Z") }},
		{left: p.Daily, name: "days", period: func(t time.Time) string { return t.Format("2006-01-02") }},
		{left: p.Weekly, name: "weeks", period: func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprintf("%d-W%02d", year, week)
		}},
		{left: p.Monthly, name: "months", period: func(t time.Time) string { return t.Format("2006-01") }},
		{left: p.Yearly, name: "years", period: func(t time.Time) string { return t.Format("2006") }},
	}
	return slices.DeleteFunc(all, func(p *place) bool { return p.left <= 0 })
}

// take returns the reason to keep the snapshot of that time, or "".
func (p *place) take(t time.Time) string {
	if p.left == 0 {
		return ""
	}
	if p.period == nil {
		p.left--
		return "it is among the last " + p.name + " to keep"
	}
	period := p.period(t)
	if p.taken && period == p.last {
		return ""
	}
	p.last, p.taken = period, true
	p.left--
	return fmt.Sprintf("it is the newest of %s, among the last %s to keep", period, p.name)
}
