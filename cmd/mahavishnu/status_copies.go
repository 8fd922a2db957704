package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/replication"
	"mahavishnu/terminal"
)

// ownCopies are the pairs that this node's region is part of, if copies are made at all.
func ownCopies(cfg *config.Config) []config.RegionPair {
	if !cfg.Backup.Replication.Enabled {
		return nil
	}
	var all []config.RegionPair
	for _, pair := range cfg.Backup.Replication.Regions {
		if own := cfg.Node.Region; pair.Primary == own || pair.Secondary == own {
			all = append(all, pair)
		}
	}
	return all
}

// lookAtCopyInTime is lookAtCopy for somebody who watches.
func lookAtCopyInTime(ctx context.Context, e *env, replicas app.Replicas, pair config.RegionPair, patience time.Duration) (copyStatus, error) {
	looking, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it could not be looked through within %s; mahavishnu replication status %s takes its time", patience, pair))
	defer cancel()
	replicas.Storage = replicas.Storage.Hasty(patience)
	return lookAtCopy(looking, replicas, pair, e.clock.Now())
}

// lookAtCopies tells how the copies are that this region makes or keeps.
func (r *statusReport) lookAtCopies(ctx context.Context, e *env, cfg *config.Config) {
	r.Copies = []copyStatus{}
	replicas, patience := e.replicas(cfg), statusPatience
	if r.CutOff != nil {
		patience = shortPatience // what is in other regions is not to be expected
	}
	for _, pair := range ownCopies(cfg) {
		s, err := lookAtCopyInTime(ctx, e, replicas, pair, patience)
		if ctx.Err() != nil {
			return
		}
		switch {
		case s.headless != "":
			r.Why = append(r.Why, strings.ReplaceAll(err.Error(), "\n", "; ")+"; "+s.Next)
		case err != nil:
			r.Unreachable = append(r.Unreachable, noCopies(pair, err).Error())
		}
		if err != nil {
			s.Error = err.Error()
		}
		r.Copies = append(r.Copies, s)
	}
}

func (r *statusReport) printCopies(e *env) {
	if len(r.Copies) == 0 {
		return
	}
	table := terminal.NewTable("copy", "state", "behind>", "objects>", "oldest waits>", "newest copied")
	for _, s := range r.Copies {
		if s.Lag == nil {
			table.Row(s.Copy, s.State, "", "", "", "")
			continue
		}
		newest := ""
		if !s.Lag.Newest.IsZero() {
			newest = terminal.Moment(s.Lag.Newest.Local())
		}
		table.Row(s.Copy, s.State, terminal.Bytes(s.Lag.Bytes), terminal.Count(s.Lag.Objects), waited(*s.Lag, e.clock.Now()), newest)
	}
	e.term.Printf("\n%s", table)
	if slices.ContainsFunc(r.Copies, func(s copyStatus) bool { return s.Lag != nil && s.Lag.Lost > 0 }) {
		e.term.Printf("  what was lost in a primary, and is kept in its copy: mahavishnu verify --repair")
	}
}

// errLate means that a copy is behind for longer than its runs allow.
var errLate = errors.New("it is behind for longer than the runs of replication explain")

// lateAfter is how many intervals of copying the oldest snapshot may wait.
const lateAfter = 3

// troubles says what is wrong with a copy, and what to do about each.
func troubles(ctx context.Context, e *env, cfg *config.Config, pair config.RegionPair, s copyStatus) (all []finding) {
	add := func(v verdict, fix, format string, args ...any) {
		all = append(all, finding{Verdict: v, Found: fmt.Sprintf(format, args...), Fix: fix})
	}
	switch lag := s.Lag; {
	case lag == nil:
	case s.State == "PROMOTED":
		add(note, "mahavishnu replication failback "+s.Copy+" goes back", "%s was promoted and is the primary, since epoch %d", s.Replica.Location, s.Replica.Epoch)
	case lag.Lost > 0:
		add(bad, "mahavishnu verify --repair in region "+pair.Primary, "%s gone from the primary though nobody deleted them; the copy keeps them", terminal.Plural(lag.Lost, "object"))
	case lag.Snapshots > 0 && lag.Age(e.clock.Now()) > lateAfter*cfg.Backup.Replication.Interval.Std():
		add(bad, "mahavishnu jobs list; by hand: mahavishnu replicate "+s.Copy, "%v: %s, %s; the oldest has waited for %s", errLate, terminal.Plural(lag.Snapshots, "snapshot"),
			terminal.Bytes(lag.Bytes), waited(*lag, e.clock.Now()))
	case lag.Objects > 0:
		add(note, "", "%s, %s not copied yet", terminal.Plural(lag.Objects, "object"), terminal.Bytes(lag.Bytes))
	default:
		add(good, "", "complete")
	}
	retention := app.CopyRetention(cfg, pair)
	if retention.For <= 0 || s.State == "PROMOTED" || s.Lag == nil || s.Lag.Newest.IsZero() {
		return all
	}
	replicas := e.replicas(cfg)
	primary, replica, err := replicas.Ends(ctx, pair)
	if err != nil {
		return all // told before
	}
	defer func() { _, _ = primary.Close(), replica.Close() }() // they were only looked at
	switch until, err := replication.KeptUntil(ctx, replica); {
	case err != nil:
		add(bad, "mahavishnu replicate "+s.Copy, "until when the copy is kept from being deleted is not known: %v", err)
	case until.Before(e.clock.Now()):
		add(bad, "mahavishnu replicate "+s.Copy+" says why", "the copy is to be kept from being deleted for %s, and is not", terminal.Duration(retention.For))
	default:
		add(good, "", "kept from being deleted until %s, as far as runs of replication noted", terminal.Moment(until.Local()))
	}
	return all
}
