// Package worker does the jobs: a [Pool] pulls them, claims them, keeps them
// alive, and writes down what became of them. What a job means is a [Handler]'s
// business, one per kind; package handlers has the real ones.
//
// # A job's life
//
// A slot is taken before a message is pulled, so a message never waits in this
// process. The message is only a wake-up: the job's record is the truth, and
// every change of it is a compare-and-set. Claiming it gives the attempt
// number, which is the fencing token of everything that follows.
//
// While the handler runs, the pool renews the claim every third of the
// consumer's AckWait: the message is extended by a request and the record's
// lease by a compare-and-set. When no extension of the record was acknowledged
// for five sixths of AckWait (two missed beats), or somebody else holds it, the
// handler's context ends with [ErrLeaseLost]. A worker that lost its claim
// publishes nothing and acknowledges nothing. A handler calls [Task.Fence] right
// before its one commit: the fence renews the claim then and there, or fails.
//
// # Outcomes
//
//   - nil: succeeded.
//   - an error: tried again with exponential delay and jitter, dead when the
//     job's attempts are used up.
//   - [Snooze]: tried again later; costs no attempt.
//   - [Discard]: failed for good, result kept.
//   - a messages.RefusedError: the job can never run as written; a dead letter.
//   - a panic: an error, with the stack in the record.
//   - the context ended first: cancelled, interrupted (the worker stops; costs no
//     attempt), past its deadline (dead), or lease lost.
//
// The outcome is committed to the record first, then told as an event, then the
// message is acknowledged. A crash in between repeats the later steps, whose
// effects carry deterministic ids: a job takes effect once.
//
// # Waiting
//
// A job that is not due is handed back with a delay when the wait is short. A
// message handed back still counts against the consumer's MaxAckPending, so
// long waits are parked instead: the record says when, the message is
// acknowledged, and the [Reconciler] publishes a new one in time.
//
// # Rules
//
//   - No message stops a worker: what cannot be read becomes a dead letter.
//   - Nothing here trusts that a handler honours its context: one that does not
//     return in time is abandoned, and its fence refuses it for ever.
//   - Times come from a clock.Clock; sizes are bytes.
package worker
