// Package plan keeps failover plans as data, and carries them out so that a leader
// that dies at any moment is replaced by one that goes on, repeating nothing.
//
// # Parts
//
//   - A [Plan] is read from YAML by [Load], which checks all of it against a
//     [Registry]: what may be called, with which parameters. [Shipped] holds those
//     that come with the program; [LoadDir] adds one's own.
//   - A [Registry] names actions and conditions. [Standard] has all names, for
//     reading and printing; whoever carries plans out binds each to an [Action] or
//     a [Condition] of its own.
//   - An [Executor] carries out one [Execution] at a time per protected thing.
//   - An [Evaluator] asks of every step, without changing anything, whether it could
//     be carried out now.
//   - A [Desk] is what a leading coordinator does with all of these: it continues
//     what a dead leader began, starts what it is asked for, evaluates every half
//     hour and when something changes, reads plans anew, and answers requests.
//   - [Runbook] prints a plan for people.
//
// # Wiring
//
//	registry := plan.Standard()
//	registry.BindAction("fence", fence{...})          // and so on, see Standard
//	plans, err := plan.All(registry, directory)       // shipped ones and one's own
//	store, err := b.Store(messages.BucketLeases)
//	executor, err := plan.NewExecutor(plan.Options{
//		Journal: plan.FromBus(store), Registry: registry, Node: node, Approvers: approvers, ...})
//	desk := plan.NewDesk(executor, plan.DeskOptions{Plans: plans, ...})
//
// For as long as the lease of the coordinators is held:
//
//	err := desk.Lead(lease.Context(), lease.Epoch())
//
// which returns when the lease ends. While it runs, desk.Start begins an execution
// (a verdict "down" does so with [Automatic]) and desk.Handle answers a [Request].
//
// # Who may act
//
// The epoch of the coordinator's lease is the fencing token of everything. A leader
// claims an execution by writing its epoch into the record, by compare-and-set; from
// then on every write of a leader with a lower epoch fails with [ErrFenced], and it
// writes and does nothing more. What it may still have under way reaches a resource
// with its old epoch, which the resource refuses as soon as it has seen the new one:
// that is what [Action.Done] is for, which the new leader calls for the one step that
// was begun and not finished, before anything else.
//
// # What is journaled
//
// The record of an execution holds the plan as it was at the start, so that editing
// the file changes nothing under way. Before anything is done, that it begins is
// written; afterwards, how it ended. A step that ended is never run again; one that
// began and did not end is asked whether it took effect, and only run when it did
// not. Undoing works the same way, in reverse order.
//
// Durations are measured on the clock that the executor is given. Times in the
// journal are for people, and for the window in which a plan may be rolled back.
package plan
