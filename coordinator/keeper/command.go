package keeper

import (
	"context"
	"fmt"

	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// Verb is what a command asks for.
type Verb string

// Verbs.
const (
	// Promote makes the member the primary as soon as it has won the lease, which is when the old
	// primary's has lapsed.
	Promote Verb = "promote"
	// Fence stops the member at once, and keeps it down until it is told otherwise.
	Fence Verb = "fence"
	// Demote stops a primary in an orderly way, and gives the lease back.
	Demote Verb = "demote"
	// Rejoin makes the member a standby of a primary.
	Rejoin Verb = "rejoin"
	// Confirm says that a person has stopped the member that could not be stopped: by killing
	// its process, or switching its machine off. It is fenced then, and the lease given back.
	Confirm Verb = "confirm-stopped"
	// Heed changes nothing: the keeper obeys nobody with a lower epoch from then on.
	Heed Verb = "heed"
)

// Command is an order of the coordinator that leads. Each may be repeated: what is done
// already is answered as if it were done now.
type Command struct {
	Verb Verb `json:"verb"`
	// Epoch is that of the coordinator's own lease. One below the highest seen is refused.
	Epoch uint64 `json:"epoch"`
	// Tenure, when set, is the last tenure that is meant by Fence and Demote: a later one is
	// left alone.
	Tenure uint64 `json:"tenure,omitempty"`
	// Primary is whom to follow.
	Primary standby.Peer `json:"primary,omitzero"`
	// Floor, when set, is a position that a member must have reached to be promoted, as far
	// as its driver can compare: up to there the old primary is known to have acknowledged.
	Floor string `json:"floor,omitempty"`
	// Force promotes a member that may lack what was acknowledged. A person decides that.
	Force bool `json:"force,omitempty"`
	// By and Why are who confirms, and what the person did.
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
}

// Answer is what became of a command.
type Answer struct {
	State State `json:"state"`
	// Epoch is that of the member's tenure, or of its last one.
	Epoch uint64 `json:"epoch"`
	// Position and Timeline are the member's, as far as they are known.
	Position string `json:"position,omitempty"`
	Timeline uint64 `json:"timeline,omitempty"`
	// Detail is a sentence for people.
	Detail string `json:"detail,omitempty"`
}

// request is a command under way.
type request struct {
	ctx     context.Context
	command Command
	answer  chan outcome // has room for one
}

type outcome struct {
	answer Answer
	err    error
}

func (q *request) reply(a Answer, err error) {
	if q == nil {
		return // the keeper's own idea
	}
	select {
	case q.answer <- outcome{a, err}:
	default: // answered already
	}
}

// Do carries a command out and returns when it is done. One that comes while something is
// done to the member waits for the end of that; it fails with [ErrBusy] when another
// takes its place meanwhile. When ctx ends first, a command that waits, and a promotion that
// has not won the lease, are given up; everything else goes on, and is found done
// when the command is repeated.
func (k *Keeper) Do(ctx context.Context, c Command) (Answer, error) {
	q := &request{ctx: ctx, command: c, answer: make(chan outcome, 1)}
	fail := func(err error) (Answer, error) {
		return Answer{}, fault.New(string(c.Verb), k.o.Service+" on "+k.o.Member, err, "")
	}
	switch c.Verb {
	case Promote, Fence, Demote, Rejoin, Confirm, Heed:
	default:
		return fail(fmt.Errorf("%q is nothing that a keeper can do", c.Verb))
	}
	select {
	case k.requests <- q:
	case <-k.stopped:
		return fail(ErrStopped)
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
	select {
	case o := <-q.answer:
		if o.err != nil {
			return fail(o.err)
		}
		return o.answer, nil
	case <-k.stopped:
		return fail(ErrStopped)
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
}
