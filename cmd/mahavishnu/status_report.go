package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// heartbeatPatience is how long status listens for nodes: long enough to hear
// each of them once.
const heartbeatPatience = 1500 * time.Millisecond

// lookAtQueue asks the queue what it holds, and listens for who is alive.
func (r *statusReport) lookAtQueue(ctx context.Context, e *env) {
	err := e.withView(ctx, func(v *view) error {
		if r.CutOff = v.cut; v.queue == nil {
			return errors.New(v.cut.Why)
		}
		return r.askQueue(ctx, e, v)
	})
	if err != nil {
		r.Unreachable = append(r.Unreachable, err.Error())
	}
}

func (r *statusReport) askQueue(ctx context.Context, e *env, v *view) error {
	info, err := v.Info(ctx)
	if err != nil {
		return err
	}
	status := &queueStatus{Dead: info.Dead, Waiting: int64(info.Messages)}
	entries, err := v.Records().List(ctx, bus.Filter{Since: e.clock.Now().Add(-24 * time.Hour)})
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch entry.State {
		case messages.StateRunning:
			status.Running++
		case messages.StateRetrying:
			status.Retry++
		case messages.StateFailed, messages.StateDead:
			status.Failed++
		}
	}
	if err := r.lookAtPauses(ctx, e, v.queue); err != nil {
		return err
	}
	if status.Nodes = v.nodes; v.cut == nil {
		status.Nodes, err = e.nodes(ctx, v.queue)
	}
	if err != nil {
		return err
	}
	if status.Absent, err = absentNodes(ctx, v.queue, status.Nodes); err != nil {
		e.term.Warnf("which nodes are not there cannot be told: %v", err)
	}
	if status.Failover, err = e.coordinators(ctx, v, status.Nodes); err != nil {
		return err
	}
	r.Queue = status
	return nil
}

// lookAtPauses learns for which sources no jobs are made, because a plan paused their
// region.
func (r *statusReport) lookAtPauses(ctx context.Context, e *env, q *queue) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	changed, err := readRegions(ctx, q.Bus, cfg)
	if err != nil {
		return err
	}
	r.pause(cfg, changed)
	return nil
}

// pause marks the sources of regions that are paused.
func (r *statusReport) pause(cfg *config.Config, regions []messages.RegionRecord) {
	for _, region := range regions {
		for i, s := range r.Sources {
			if source, ok := cfg.Sources[s.Source]; ok && region.Paused != nil && source.Region == region.Region {
				r.Sources[i].Paused, r.Sources[i].Next = region.Paused.Execution, time.Time{}
			}
		}
	}
}

// nodes listens for heartbeats and returns the nodes that were heard, by name.
func (e *env) nodes(ctx context.Context, q *queue) ([]messages.Heartbeat, error) {
	listening, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	heard := map[string]messages.Heartbeat{}
	failed := make(chan error, 1)
	go func() {
		failed <- q.WatchHeartbeats(listening, func(h messages.Heartbeat) {
			mu.Lock()
			defer mu.Unlock()
			if key := h.Region + "/" + h.Node + "/" + h.Instance; h.Leaving {
				delete(heard, key)
			} else {
				heard[key] = h
			}
		})
	}()
	if err := e.clock.Sleep(ctx, heartbeatPatience); err != nil {
		return nil, err
	}
	stop()
	if err := <-failed; err != nil && ctx.Err() == nil && listening.Err() == nil {
		return nil, err
	}
	nodes := []messages.Heartbeat{}
	for _, name := range slices.Sorted(maps.Keys(heard)) {
		nodes = append(nodes, heard[name])
	}
	return nodes, nil
}

func (r *statusReport) print(e *env) {
	if r.CutOff != nil {
		e.term.Printf("%s", e.term.Mark(terminal.Bad, r.CutOff.String()))
	}
	switch {
	case r.Recoverable && len(r.Sources) == 0:
		e.term.Printf("nothing is backed up yet: mahavishnu backup PATH|SOURCE")
	case r.Recoverable:
		e.term.Printf("%s", e.term.Mark(terminal.Good, "everything is recoverable"))
	default:
		e.term.Printf("%s", e.term.Mark(terminal.Bad, "NOT everything is recoverable"))
	}
	for _, why := range r.Why {
		e.term.Printf("  %s", why)
	}
	for _, what := range r.Unreachable {
		e.term.Printf("  cannot be reached: %s", strings.ReplaceAll(what, "\n", "\n    "))
	}
	if len(r.Unreachable) > 0 {
		e.term.Printf("  find the cause: mahavishnu doctor")
	}
	e.term.Printf("\nrepository %s", r.Repository)
	r.printVerified(e)
	for _, h := range r.Holds {
		e.term.Printf("held: %s by %s (%s), so nothing of it is forgotten and nothing is pruned; end it: mahavishnu hold release %s",
			terminal.Name(h.Source), h.Name, terminal.Name(h.String()), releaseArguments(h))
	}
	r.printSources(e)
	r.printCopies(e)
	r.printQueue(e)
}

// printVerified tells how long stored bytes have gone unverified.
func (r *statusReport) printVerified(e *env) {
	c := r.Verified
	if c == nil || c.Packs == 0 {
		return
	}
	if late := overdue(*c); late != "" {
		e.term.Printf("  %s %s", e.term.Mark(terminal.Bad, "LATE"), late)
	} else {
		e.term.Printf("  %s", waiting(*c))
	}
	if r.Doubted > 0 {
		e.term.Printf("  %s with damaged blobs, which the next backup stores again; what that means: mahavishnu verify", terminal.Plural(r.Doubted, "pack"))
	}
}

func (r *statusReport) printSources(e *env) {
	if len(r.Sources) == 0 {
		return
	}
	now := e.clock.Now()
	table := terminal.NewTable("source", "state", "age>", "newest", "snapshots>", "size>", "stored>", "next backup")
	worst := time.Duration(0)
	for _, s := range r.Sources {
		age, next := "", ""
		if s.Snapshots > 0 {
			since := now.Sub(s.Time).Truncate(time.Second)
			age = terminal.Duration(since)
			if s.State != "unscheduled" {
				worst = max(worst, since)
			}
		}
		switch {
		case s.Paused != "":
			next = "paused by " + s.Paused
		case !s.Next.IsZero():
			next = terminal.Moment(s.Next.Local())
		}
		table.Row(s.Source, s.State, age, s.Newest, terminal.Count(s.Snapshots), terminal.Bytes(s.Size), terminal.Bytes(s.Stored), next)
	}
	e.term.Printf("\n%s", table)
	if target := time.Duration(r.RPOTarget * float64(time.Second)); worst > target && target > 0 {
		e.term.Printf("the recovery point now is %s, the target (rpo_target_minutes) %s: a schedule of its own can back up more often",
			terminal.Duration(worst), terminal.Duration(target))
	}
}

func (r *statusReport) printQueue(e *env) {
	q := r.Queue
	if q == nil {
		return
	}
	what := "queue"
	if r.CutOff != nil {
		what = "the region's own queue"
	}
	e.term.Printf("\n%s: %s waiting or running, %s retrying, %s failed within a day, %s", what, terminal.Plural(q.Waiting, "job"),
		terminal.Count(q.Retry), terminal.Count(q.Failed), terminal.Plural(q.Dead, "dead letter"))
	if q.Dead > 0 {
		e.term.Printf("  what could not be run, and why: mahavishnu jobs dead")
	}
	q.printFailover(e)
	if len(q.Nodes) == 0 {
		e.term.Printf("  no node is alive: mahavishnu up, or a scheduler and workers")
		printAbsent(e, q.Absent)
		return
	}
	table := terminal.NewTable("node", "region", "roles", "busy", "up for>", "jobs")
	for _, h := range q.Nodes {
		busy := ""
		if h.Slots > 0 {
			busy = fmt.Sprintf("%d of %d", h.Busy, h.Slots)
		}
		name := h.Node
		if slices.ContainsFunc(q.Nodes, func(o messages.Heartbeat) bool { return o.Node == h.Node && o.Instance != h.Instance }) {
			name += " (one of several of this name)"
		}
		if h.Island {
			name += " (its region is cut off)"
		}
		table.Row(name, h.Region, strings.Join(h.Roles, ", "), busy, terminal.Duration(e.clock.Now().Sub(h.Started).Truncate(time.Second)),
			strings.Join(h.Jobs, ", "))
	}
	e.term.Printf("\n%s", table)
	printAbsent(e, q.Absent)
}
