package plan

import (
	"context"
	"encoding/json"
	"time"

	"mahavishnu/fault"
)

// EventKind is what an event tells of.
type EventKind string

// The events.
const (
	EventStarted     EventKind = "started"
	EventState       EventKind = "state"
	EventStepStarted EventKind = "step-started"
	EventStepEnded   EventKind = "step-ended"
	EventAsked       EventKind = "approval-asked"
	EventApproved    EventKind = "approved"
	EventNotApproved EventKind = "approval-refused"
	// EventOverdue tells that an execution is not taken back although its window has
	// ended and its plan says so, once for each execution; Text has the reason and what
	// to do.
	EventOverdue EventKind = "rollback-overdue"
	// EventBroken and EventMended tell of evaluations: a plan could not be carried
	// out today, or can again.
	EventBroken EventKind = "plan-broken"
	EventMended EventKind = "plan-mended"
	// EventEvaluated tells of every evaluation of a plan; Text is empty when nothing
	// is in its way.
	EventEvaluated EventKind = "plan-evaluated"
	// EventUnreadable and EventReadable tell of plan files: they cannot be used, so what
	// was read before is, or they can again.
	EventUnreadable EventKind = "plan-files-unreadable"
	EventReadable   EventKind = "plan-files-readable"
)

// Event is something that happened.
type Event struct {
	Kind      EventKind
	At        time.Time
	Execution string
	Plan      string
	Step      string
	Undo      bool
	State     State
	Outcome   Outcome
	// Took is how long a step, or an execution up to here, took.
	Took time.Duration
	Text string
}

// AuditEntry is what must not be lost of who decided what.
type AuditEntry struct {
	Action    string    `json:"action"`
	Execution string    `json:"execution"`
	Plan      string    `json:"plan"`
	Digest    string    `json:"digest"`
	Step      string    `json:"step,omitempty"`
	By        string    `json:"by"`
	Reason    string    `json:"reason,omitempty"`
	Epoch     uint64    `json:"epoch"`
	At        time.Time `json:"at"`
	// Record is the whole of an execution that the journal forgets.
	Record json.RawMessage `json:"record,omitempty"`
}

func (x *Executor) tell(e Event) {
	if x.o.Tell == nil {
		return
	}
	e.At = x.now()
	x.o.Tell(e)
}

func (x *Executor) audit(ctx context.Context, e AuditEntry) error {
	if x.o.Audit == nil {
		return nil
	}
	if err := x.o.Audit(ctx, e); err != nil {
		return fault.New(e.Action, e.Execution, err, "what cannot be written to the audit log is not done")
	}
	return nil
}

// tellChange tells what a write changed. It comes after the write was acknowledged,
// so that nobody hears of what did not happen.
func (x *Executor) tellChange(before, after Execution) {
	if x.o.Tell == nil {
		return
	}
	for i := range after.Entries {
		entry := after.Entries[i]
		e := Event{Execution: after.ID, Plan: after.Plan.Name, Step: entry.Step, Undo: entry.Undo, State: after.State, Outcome: entry.Outcome}
		known := i < len(before.Entries)
		if !known && entry.Outcome != OutcomeAgain {
			started := e
			started.Kind, started.Outcome = EventStepStarted, ""
			x.tell(started)
		}
		if !entry.open() && (!known || before.Entries[i].open()) {
			e.Kind, e.Took, e.Text = EventStepEnded, entry.Finished.Sub(entry.Started), entry.Error
			if e.Text == "" {
				e.Text = entry.Output
			}
			x.tell(e)
		}
	}
	for _, a := range after.Approvals[min(len(before.Approvals), len(after.Approvals)):] {
		x.tell(Event{Kind: EventApproved, Execution: after.ID, Plan: after.Plan.Name, Step: a.Step, State: after.State, Text: a.Approver})
	}
	if before.Overdue == "" && after.Overdue != "" {
		x.tell(Event{
			Kind: EventOverdue, Execution: after.ID, Plan: after.Plan.Name, State: after.State,
			Took: after.Updated.Sub(after.Created), Text: after.Overdue + "; " + after.OverdueHint(),
		})
	}
	if before.State != after.State {
		x.tell(Event{
			Kind: EventState, Execution: after.ID, Plan: after.Plan.Name, State: after.State,
			Took: after.Updated.Sub(after.Created), Text: after.Error,
		})
	}
}
