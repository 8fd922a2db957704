package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// State is where an execution stands.
type State string

// The states. Ready, executing, failed-over and rolling-back go on by themselves;
// stopped waits for a person; the others are final.
const (
	// StateReady: written down, nothing done yet.
	StateReady State = "ready"
	// StateExecuting: steps are being done.
	StateExecuting State = "executing"
	// StateFailedOver: all steps are done; within its window it can be rolled back.
	StateFailedOver State = "failed-over"
	// StateStopped: a step failed and its policy is to stop.
	StateStopped State = "stopped"
	// StateRollingBack: what was done is being undone.
	StateRollingBack State = "rolling-back"
	// StateCommitted: done, for good.
	StateCommitted State = "committed"
	// StateRolledBack: undone, or ended before anything was done.
	StateRolledBack State = "rolled-back"
	// StateRefused: it never began.
	StateRefused State = "refused"
)

// Final reports whether nothing follows.
func (s State) Final() bool {
	return s == StateCommitted || s == StateRolledBack || s == StateRefused
}

// Outcome is how an attempt at a step ended.
type Outcome string

// The outcomes; an attempt that has none has not ended.
const (
	// OutcomeDone: it took effect, or holds.
	OutcomeDone Outcome = "done"
	// OutcomeRetry: it failed and is tried again.
	OutcomeRetry Outcome = "retry"
	// OutcomeFailed: it failed for good.
	OutcomeFailed Outcome = "failed"
	// OutcomeInterrupted: its leader was lost before it took effect, somebody decided
	// otherwise meanwhile, or what was left out has to be done after all. It counts
	// as no attempt.
	OutcomeInterrupted Outcome = "interrupted"
	// OutcomeSkipped: there was nothing to do.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeAgain is no attempt, but a person's word that the failed step is to be
	// tried again.
	OutcomeAgain Outcome = "again"
)

// Entry is one line of the journal.
type Entry struct {
	Step string `json:"step"`
	// Undo is set when the step is taken back.
	Undo bool `json:"undo,omitempty"`
	// Attempt counts from 1 and never repeats within a step.
	Attempt  int       `json:"attempt"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Actor is the node that did it, or who decided; Epoch is the leader's when it
	// began.
	Actor   string  `json:"actor"`
	Epoch   uint64  `json:"epoch"`
	Outcome Outcome `json:"outcome,omitempty"`
	// Closed is the epoch of the leader that wrote the outcome, when it is another.
	Closed uint64 `json:"closed_epoch,omitempty"`
	Output string `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
}

// open reports whether the entry was begun and not ended.
func (e Entry) open() bool { return e.Outcome == "" }

// Wish is what somebody wants to become of an execution under way.
type Wish struct {
	// Verb is commit, rollback or continue.
	Verb   Verb      `json:"verb"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Execution is a plan being carried out, or that was: the record in the journal.
type Execution struct {
	ID      string            `json:"id"`
	Plan    Plan              `json:"plan"`
	Digest  string            `json:"digest"`
	Variant Variant           `json:"variant"`
	Params  map[string]string `json:"params,omitempty"`
	Things  []string          `json:"things"`
	// Trigger, By and Reason say who started it and why.
	Trigger Trigger `json:"trigger"`
	By      string  `json:"by"`
	Reason  string  `json:"reason,omitempty"`
	// Returns is the execution that this one goes back from.
	Returns string `json:"returns,omitempty"`

	State State `json:"state"`
	// Resume is the state that a stopped execution goes back to.
	Resume State `json:"resume,omitempty"`
	// Epoch and Leader are of who claimed it last. No leader with a lower epoch
	// writes here.
	Epoch    uint64    `json:"epoch"`
	Leader   string    `json:"leader"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Finished time.Time `json:"finished,omitzero"`
	// CommitBy ends the window.
	CommitBy time.Time `json:"commit_by,omitzero"`
	// Error says why it stopped, was rolled back by itself, or refused.
	Error string `json:"error,omitempty"`
	// Overdue says why it is not taken back although its window has ended and its plan
	// says so: the rollback would stop halfway. It is tried again by itself.
	Overdue string `json:"overdue,omitempty"`
	Wish    *Wish  `json:"wish,omitempty"`

	Entries   []Entry    `json:"entries,omitempty"`
	Approvals []Accepted `json:"approvals,omitempty"`
	// Refusals are approvals that were refused, the last ones; Refused counts all.
	Refusals []Refusal `json:"refusals,omitempty"`
	Refused  int       `json:"refused,omitempty"`
}

// maxText bounds what a step may leave in the journal, in bytes.
const maxText = 1 << 10

// maxRefusals is how many refused approvals the journal tells of.
const maxRefusals = 20

// cut shortens a text to what the journal keeps.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	text = text[:maxText]
	for len(text) > 0 && !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + " ..."
}

// decodeExecution reads a record.
func decodeExecution(data []byte) (Execution, error) {
	var e Execution
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("decode execution: %w", err)
	}
	return e, nil
}

// clone returns a copy that shares nothing that is changed.
func (e Execution) clone() Execution {
	e.Entries = slices.Clone(e.Entries)
	e.Approvals = slices.Clone(e.Approvals)
	e.Refusals = slices.Clone(e.Refusals)
	if e.Wish != nil {
		wish := *e.Wish
		e.Wish = &wish
	}
	return e
}

// Steps are those of its variant.
func (e *Execution) Steps() []Step { return e.Plan.In(e.Variant) }

// unfinished returns the index of the entry that was begun and not ended, or -1.
func (e *Execution) unfinished() int {
	return slices.IndexFunc(e.Entries, Entry.open)
}

// last returns the newest entry of a step, nil when there is none.
func (e *Execution) last(step string, undo bool) *Entry {
	for i := len(e.Entries) - 1; i >= 0; i-- {
		if e.Entries[i].Step == step && e.Entries[i].Undo == undo {
			return &e.Entries[i]
		}
	}
	return nil
}

// settled reports whether a step is over, one way or the other.
func (e *Execution) settled(step string, undo bool) bool {
	last := e.last(step, undo)
	return last != nil && (last.Outcome == OutcomeDone || last.Outcome == OutcomeFailed || last.Outcome == OutcomeSkipped)
}

// outcome returns how doing a step ended, "" while it has not.
func (e *Execution) outcome(step string) Outcome {
	if last := e.last(step, false); last != nil {
		return last.Outcome
	}
	return ""
}

// failures counts the failed attempts since the last word of a person.
func (e *Execution) failures(step string, undo bool) int {
	n := 0
	for _, entry := range e.Entries {
		if entry.Step != step || entry.Undo != undo {
			continue
		}
		switch entry.Outcome {
		case OutcomeRetry:
			n++
		case OutcomeAgain:
			n = 0
		}
	}
	return n
}

// attempts counts the entries of a step.
func (e *Execution) attempts(step string, undo bool) int {
	n := 0
	for _, entry := range e.Entries {
		if entry.Step == step && entry.Undo == undo {
			n++
		}
	}
	return n
}

// touched reports whether the step may have changed something.
func (e *Execution) touched(s Step) bool {
	if s.Kind != KindAction {
		return false
	}
	return slices.ContainsFunc(e.Entries, func(entry Entry) bool {
		return entry.Step == s.Name && !entry.Undo && entry.Outcome != OutcomeSkipped && entry.Outcome != OutcomeAgain
	})
}

// changed reports whether any step may have changed something.
func (e *Execution) changed() bool { return slices.ContainsFunc(e.Steps(), e.touched) }

// inPlace reports whether nothing moved: the primary that was gone began again itself.
func (e *Execution) inPlace() bool {
	from, to := e.Plan.Parameters["from"], e.Plan.Parameters["to"]
	return from.Type == TypeMember && to.Type == TypeMember && e.Params["from"] == e.Params["to"]
}

// Current returns the step that is next or under way, or at which the execution
// stopped: what people ask for first. ok is false when none is left.
func (e *Execution) Current() (step Step, undo, ok bool) {
	steps := e.Steps()
	switch e.State {
	case StateReady, StateExecuting:
		for _, s := range steps {
			if !e.settled(s.Name, false) {
				return s, false, true
			}
		}
	case StateRollingBack:
		for _, s := range slices.Backward(steps) {
			if e.touched(s) && !e.settled(s.Name, true) {
				return s, true, true
			}
		}
	case StateStopped:
		if len(e.Entries) == 0 {
			break
		}
		last := e.Entries[len(e.Entries)-1]
		for _, s := range steps {
			if s.Name == last.Step {
				return s, last.Undo, true
			}
		}
	}
	return Step{}, false, false
}

// TakenBack lists the steps that were taken back, and standing those that may still be
// as the plan made them.
func (e *Execution) TakenBack() (back, standing []string) {
	for _, s := range e.Steps() {
		last := e.last(s.Name, true)
		switch {
		case last != nil && last.Outcome == OutcomeDone:
			back = append(back, s.Name)
		case s.Undo.Uses != "" && e.touched(s) && (last == nil || last.Output != notEffective):
			standing = append(standing, s.Name)
		}
	}
	return back, standing
}

// Told is what the plan had to tell people, as far as it has come. Of what was taken back
// in part it tells that instead: what was told before is no longer so.
func (e *Execution) Told() []string {
	var told []string
	if e.State != StateRolledBack {
		if back, standing := e.TakenBack(); len(back) > 0 {
			told = append(told, "taken back: "+strings.Join(back, ", "))
			if len(standing) > 0 {
				told = append(told, "not taken back: "+strings.Join(standing, ", "))
			}
			return told
		}
	}
	for _, s := range e.Steps() {
		if last := e.last(s.Name, false); s.Uses == actionNotify && last != nil && last.Outcome == OutcomeDone {
			told = append(told, last.Output)
		}
	}
	return told
}

// Question is what an execution waits to be approved; ok is false when it waits
// for no approval.
func (e *Execution) Question() (q Question, ok bool) {
	i := e.unfinished()
	if i < 0 || e.State != StateExecuting || e.Entries[i].Undo {
		return Question{}, false
	}
	for _, s := range e.Steps() {
		if s.Name == e.Entries[i].Step && s.Kind == KindApprove {
			return Question{
				Execution: e.ID, Plan: e.Plan.Name, Digest: e.Digest, Step: s.Name, Epoch: e.Entries[i].Epoch,
			}, true
		}
	}
	return Question{}, false
}
