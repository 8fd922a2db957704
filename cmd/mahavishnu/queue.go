package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
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
	conn, err := app.Dial(ctx, cfg, "mahavishnu "+cfg.Node.Name, nil)
	if err != nil {
		return nil, err
	}
	b, err := bus.Bind(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &queue{Bus: b, conn: conn}, nil
}

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

// jobError is what a finished job's end means to whoever waited for it.
func jobError(entry bus.Entry) error {
	var result struct {
		Snapshot   string            `json:"snapshot"`
		Unreadable int64             `json:"unreadable"`
		Problems   []json.RawMessage `json:"problems"`
	}
	// A result of another shape says nothing about these fields.
	if len(entry.Result) > 0 {
		if err := json.Unmarshal(entry.Result, &result); err != nil {
			result.Unreadable, result.Problems = 0, nil
		}
	}
	reason := errors.New(entry.Error)
	if entry.Error == "" {
		reason = errors.New("no reason was given")
	}
	hint := "mahavishnu jobs show " + entry.Job.ID
	switch entry.State {
	case messages.StateSucceeded:
		switch {
		case len(result.Problems) > 0:
			return fault.New("job", entry.Job.ID, errIntegrity, hint)
		case result.Unreadable > 0:
			return fault.New("job", entry.Job.ID, fmt.Errorf("%s: %w", terminal.Count(result.Unreadable), errUnreadable),
				"mahavishnu snapshots show "+result.Snapshot)
		}
		return nil
	case messages.StateCancelled:
		return fault.New("job", entry.Job.ID, errors.New("cancelled"), hint)
	case messages.StateDead:
		return fault.New("job", entry.Job.ID, fmt.Errorf("dead after %d attempts: %w", entry.Spent, reason),
			hint+"\nonce the cause is mended: mahavishnu jobs redrive "+entry.Job.ID)
	default:
		if len(result.Problems) > 0 {
			reason = fmt.Errorf("%w: %w", errIntegrity, reason)
		}
		return fault.New("job", entry.Job.ID, fmt.Errorf("%s: %w", entry.State, reason), hint)
	}
}
