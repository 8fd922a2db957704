package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// queue is a connection to the queue that the configuration names.
type queue struct {
	*bus.Bus
	conn *bus.Conn
}

func (q *queue) Close() error { return q.conn.Close() }

// queue connects to the queue, or says how to do without it.
func (e *env) queue(ctx context.Context) (*queue, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	conn, b, err := app.Reach(ctx, cfg, clientName(cfg), 0)
	if err == nil {
		return &queue{b, conn}, nil
	}
	if cfg.NATS.Island.After > 0 && bus.Unanswered(err) {
		err = fault.WithHint(err, "while its region is cut off it has a queue of its own: mahavishnu status")
	}
	if conn != nil {
		err = errors.Join(err, conn.Close())
	}
	return nil, err
}

// clientName is what the server calls this command.
func clientName(cfg *config.Config) string { return "mahavishnu " + cfg.Node.Name }

// withQueue runs fn with a connection to the queue.
func (e *env) withQueue(ctx context.Context, fn func(*queue) error) (err error) {
	q, err := e.queue(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	return fn(q)
}

// job returns the record that id names: an id, or a part of one that no other
// job of the queue has.
func (q *queue) job(ctx context.Context, id string) (bus.Entry, error) {
	entry, err := q.Records().Get(ctx, id)
	if !errors.Is(err, bus.ErrNotFound) {
		return entry, err
	}
	all, listErr := q.Records().List(ctx, bus.Filter{})
	if listErr != nil {
		return bus.Entry{}, listErr
	}
	var fits []bus.Entry
	for _, candidate := range all {
		if strings.HasPrefix(candidate.Job.ID, id) || strings.HasSuffix(candidate.Job.ID, id) {
			fits = append(fits, candidate)
		}
	}
	switch len(fits) {
	case 1:
		return fits[0], nil
	case 0:
		return bus.Entry{}, fault.New("find job", id, bus.ErrNotFound, "mahavishnu jobs list")
	default:
		return bus.Entry{}, fault.New("find job", id, fmt.Errorf("%d jobs fit, the newest is %s", len(fits), fits[0].Job.ID), "give more of the id: mahavishnu jobs list")
	}
}

// pollEvery is how often a followed job's record is read. Progress comes by
// itself; the record only says when it is over.
const pollEvery = 300 * time.Millisecond

// idlePatience is how long a job may wait before a person is told that perhaps
// nobody is there to take it.
const idlePatience = 5 * time.Second

// follow shows a job's progress until it is final and returns its record.
func (e *env) follow(ctx context.Context, q *queue, id, verb string) (bus.Entry, error) {
	shown := e.term.Progress(verb)
	defer shown.Stop()
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Progress is a courtesy: when it cannot be had, the record still
		// tells how the job ends.
		_ = q.WatchProgress(watching, id, func(p messages.ProgressReport) {
			shown.Update(func(w *terminal.Work) { *w = workOf(p.Progress) })
		})
	}()
	defer func() { stop(); <-ended }()
	var last messages.State
	began, told := e.clock.Now(), false
	for {
		entry, err := q.Records().Get(ctx, id)
		if err != nil {
			return entry, err
		}
		if entry.State != last {
			e.term.Event("state", stateEvent{entry.Job.ID, entry.State, entry.Attempt, entry.Worker, entry.Error})
			e.sayState(entry, last)
			last = entry.State
		}
		if entry.State.Final() {
			return entry, nil
		}
		if waited := e.clock.Now().Sub(began); entry.State == messages.StateQueued && waited > idlePatience && !told {
			e.term.Warnf("no worker has taken the job for %s; if none runs for region %s, start one: mahavishnu worker --region %s (see: mahavishnu status)",
				terminal.Duration(waited), entry.Job.Region, entry.Job.Region)
			told = true
		}
		if err := e.clock.Sleep(ctx, pollEvery); err != nil {
			return entry, err
		}
	}
}

// stateEvent is the JSON of the event "state".
type stateEvent struct {
	Job     string         `json:"job"`
	State   messages.State `json:"state"`
	Attempt uint64         `json:"attempt"`
	Worker  string         `json:"worker,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// sayState tells of the turns a person waits for.
func (e *env) sayState(entry bus.Entry, before messages.State) {
	switch entry.State {
	case messages.StateRunning:
		e.term.Sayf("attempt %d on %s", entry.Attempt, entry.Worker)
	case messages.StateRetrying:
		e.term.Warnf("attempt %d failed: %s; the next one is %s", entry.Attempt, entry.Error, terminal.Ago(entry.RetryAt, e.clock.Now()))
	case messages.StateQueued:
		if before != "" {
			e.term.Sayf("handed back; waiting for a worker")
		}
	}
}

func workOf(p messages.Progress) terminal.Work {
	return terminal.Work{
		Files: p.Files, Bytes: p.Bytes, Stored: p.Stored, Errors: p.Problems,
		TotalFiles: p.TotalFiles, TotalBytes: p.TotalBytes, Path: p.Current,
	}
}

// jobFacts are the parts of a job's result that decide how it came out,
// whatever its kind: the names are the same in all of them.
type jobFacts struct {
	Snapshot   string `json:"snapshot"`
	Unreadable int64  `json:"unreadable_total"`
	Problems   int64  `json:"problems_total"`
	Harmless   int64  `json:"harmless_total"`
	Damaged    int64  `json:"damaged"`
	Failed     int64  `json:"failed"`
	Skipped    int64  `json:"skipped"`
	Lost       int64  `json:"metadata_lost"`
}

// factsOf reads a result. Fields of another shape, which some kinds have, say
// nothing here.
func factsOf(result json.RawMessage) (f jobFacts) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(result, &fields); err != nil {
		return jobFacts{}
	}
	for name, value := range map[string]any{
		"snapshot": &f.Snapshot, "unreadable_total": &f.Unreadable, "problems_total": &f.Problems, "harmless_total": &f.Harmless,
		"damaged": &f.Damaged, "failed": &f.Failed, "skipped": &f.Skipped, "metadata_lost": &f.Lost,
	} {
		if raw, ok := fields[name]; ok {
			_ = json.Unmarshal(raw, value) // stays zero
		}
	}
	return f
}

// jobError is what a finished job's end means to whoever waited for it.
func jobError(entry bus.Entry) error {
	facts := factsOf(entry.Result)
	id := entry.Job.ID
	hint := "mahavishnu jobs show " + id
	reason := errors.New("no reason was given")
	if entry.Error != "" {
		reason = errors.New(entry.Error)
	}
	integrity := facts.Problems > facts.Harmless || facts.Damaged > 0
	switch {
	case integrity && entry.Error != "":
		return fault.New("job", id, fmt.Errorf("%w: %w", errIntegrity, reason), hint)
	case integrity:
		return fault.New("job", id, errIntegrity, hint)
	case entry.State == messages.StateSucceeded && facts.Unreadable > 0:
		return fault.New("job", id, fmt.Errorf("%w: %s, each is named in the snapshot", errUnreadable, terminal.Count(facts.Unreadable)),
			"mahavishnu snapshots show "+facts.Snapshot)
	case entry.State == messages.StateSucceeded && facts.Failed+facts.Skipped+facts.Lost > 0:
		return fault.New("job", id, snapshot.ErrIncomplete, hint)
	case entry.State == messages.StateSucceeded:
		return nil
	case entry.State == messages.StateCancelled:
		return fault.New("job", id, errors.New("it was cancelled"), hint)
	case entry.State == messages.StateDead:
		return fault.New("job", id, fmt.Errorf("dead after %s: %w", terminal.Plural(entry.Attempt, "attempt"), reason),
			hint+"\nonce the cause is mended: mahavishnu jobs redrive "+id)
	default:
		return fault.New("job", id, reason, hint)
	}
}
