package plan

import (
	"errors"
	"fmt"
	"strings"
)

// Errors callers decide on.
var (
	// ErrFenced: a leader with a higher epoch has taken over. Nothing was written,
	// and nothing more may be done. Actions return it, wrapped, when a resource
	// refused the epoch.
	ErrFenced = errors.New("another leader has taken over")
	// ErrNotFound: there is no such plan, execution or key.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else changed the key since it was read.
	ErrConflict = errors.New("changed by somebody else")
	// ErrBusy: another execution holds what this one protects.
	ErrBusy = errors.New("another plan is being carried out")
	// ErrTooSoon: it would start by itself again before its limits allow.
	ErrTooSoon = errors.New("too many automatic executions")
	// ErrRefused: what is asked for does not fit the state of the execution.
	ErrRefused = errors.New("refused")
	// ErrNotApproved: an approval is not valid.
	ErrNotApproved = errors.New("the approval is not valid")
	// ErrDiffers: the leader has another plan of that name than who orders it has seen.
	ErrDiffers = errors.New("the plan differs from the one that was seen")
	// ErrNeedless: what the plan was begun for is no longer so. Actions and conditions
	// return it, wrapped: whatever the step says about failures, what was done is taken
	// back, and nothing waits for a person.
	ErrNeedless = errors.New("it is not needed any more")
	// ErrHopeless: what a step waits for will not come. Conditions return it, wrapped: it is
	// not waited for until the step's time is over, and the step is not tried again.
	ErrHopeless = errors.New("there is nothing to wait for")
	// ErrEarly: what the plan starts from has never been so. It is not broken.
	ErrEarly = errors.New("not yet")
	// ErrUnbound: this program knows the action by name only.
	ErrUnbound = errors.New("this node cannot do that")
	// ErrTimeout: a step took longer than it may.
	ErrTimeout = errors.New("took longer than its timeout")

	// errDecided ends a step because somebody decided on the execution meanwhile.
	errDecided = errors.New("somebody decided otherwise")
	// errNotYet: a condition does not hold.
	errNotYet = errors.New("does not hold")
)

// choiceError refuses a word that is not one of a few.
type choiceError struct {
	value, what string
	choices     []string
}

func (e *choiceError) Error() string {
	return fmt.Sprintf("%q is not %s: write one of %s", e.value, e.what, strings.Join(e.choices, ", "))
}
