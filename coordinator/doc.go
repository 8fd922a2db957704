// Package coordinator knows who is alive, agrees on it with its peers in other
// regions, and lets one of them act.
//
// Each coordinator watches every node by its heartbeats and every member of a
// watched service by probes of its own (packages detect and probe), says with each
// heartbeat what it holds of them, and hears what the others hold (package vote).
// What a majority of regions says is the verdict. The coordinator that holds the
// lease "coordinator" leads: it hands verdicts to a [Reactor], which decides what is
// done, under the lease's epoch.
//
// # Rules
//
//   - Nobody acts without a majority: a coordinator that loses it ends its
//     leadership at once, before its lease lapses, and says so.
//   - An opinion needs every path to agree. A service that answers no probe, but
//     whose keeper beside it finds it healthy, is suspected and not down: a line is
//     cut, and somebody else may see both.
//   - An opinion is no verdict, a verdict no command: what follows from it is the
//     reactor's to decide, and only while the context it is given lasts.
//   - Moments never travel: what others say is told as durations and dated on
//     arrival by the own monotonic clock.
//   - Telling (events, metrics, log) never holds up watching.
//
// The judgement is a pure state machine (the type view), driven by [Coordinator.Run]
// from real lines and by the tests from simulated ones.
package coordinator
