package plan

import (
	"encoding/json"
	"errors"
	"fmt"

	"mahavishnu/fault"
)

// Ask is what a request wants.
type Ask string

// What can be asked of the leading coordinator.
const (
	// AskExecute begins an execution, AskTry only evaluates the plan.
	AskExecute Ask = "execute"
	AskTry     Ask = "try"
	// AskFailback begins the failback of an execution.
	AskFailback Ask = "failback"
	AskApprove  Ask = "approve"
	AskCommit   Ask = "commit"
	AskRollback Ask = "rollback"
	AskContinue Ask = "continue"
	// AskConfirmStopped says that a person has stopped a member of a service that its keeper
	// could not stop.
	AskConfirmStopped Ask = "confirm-stopped"
)

// Request is a wish of a person, as it travels to the leader.
type Request struct {
	Ask  Ask    `json:"ask"`
	Plan string `json:"plan,omitempty"`
	// Variant "" is the plan's own choice.
	Variant Variant           `json:"variant,omitempty"`
	Params  map[string]string `json:"params,omitempty"`
	// Digest is what the one who asks has seen, or enough of it: [Plan.Digest] of the
	// plan that is to be carried out, and for a decision that of the execution. What
	// differs is refused; "" is nothing seen.
	Digest string `json:"digest,omitempty"`
	// Execution is an id, or a part of one that no other has; "" for a failback of
	// the only one there is.
	Execution string    `json:"execution,omitempty"`
	Approval  *Approval `json:"approval,omitempty"`
	// Service and Member are what [AskConfirmStopped] is about.
	Service string `json:"service,omitempty"`
	Member  string `json:"member,omitempty"`
	By      string `json:"by,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Force has a rollback begin that would stop halfway as things are.
	Force bool `json:"force,omitempty"`
}

// Reply is the leader's answer.
type Reply struct {
	// Error is empty when it was done. Code names errors that callers decide on.
	Error string   `json:"error,omitempty"`
	Code  string   `json:"code,omitempty"`
	Hints []string `json:"hints,omitempty"`
	// Warning is what the one who asks should know either way: the leader's plan files
	// cannot be read, for one.
	Warning string `json:"warning,omitempty"`
	// Done is what was done where there is no execution, in a sentence.
	Done string `json:"done,omitempty"`
	// Execution is as it is now.
	Execution  *Execution  `json:"execution,omitempty"`
	Evaluation *Evaluation `json:"evaluation,omitempty"`
}

// codes are the errors that survive the journey.
var codes = map[string]error{
	"busy": ErrBusy, "too-soon": ErrTooSoon, "refused": ErrRefused, "not-approved": ErrNotApproved,
	"not-found": ErrNotFound, "differs": ErrDiffers, "not-leading": ErrNotLeading, "fenced": ErrFenced,
}

// failed makes a reply of an error.
func failed(err error) Reply {
	r := Reply{Error: err.Error(), Hints: fault.Hints(err)}
	for _, code := range sorted(codes) {
		if errors.Is(err, codes[code]) {
			r.Code = code
		}
	}
	return r
}

// replied is an error that came with a reply.
type replied struct {
	text string
	code error
}

func (r *replied) Error() string { return r.text }
func (r *replied) Unwrap() error { return r.code }

// Err returns what the leader could not do, nil when it did it. Errors callers
// decide on are found in it with errors.Is.
func (r Reply) Err() error {
	if r.Error == "" {
		return nil
	}
	err := error(&replied{text: r.Error, code: codes[r.Code]})
	for _, hint := range r.Hints {
		err = fault.WithHint(err, hint)
	}
	return err
}

// DecodeRequest reads a request.
func DecodeRequest(data []byte) (Request, error) {
	var r Request
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

// DecodeReply reads a reply.
func DecodeReply(data []byte) (Reply, error) {
	var r Reply
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("decode reply: %w", err)
	}
	return r, nil
}
