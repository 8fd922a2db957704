// Package vote turns the opinions of many observers into one verdict, and tells
// an observer whether it may act at all.
//
// A [Board] belongs to one voter. It hears the reports of all voters, its own
// among them, and answers two questions: what is to be held of a target, and is
// this voter on the side that may decide.
//
// # Rules
//
//   - Regions vote, not processes. A region says what more than half of its
//     configured voters say; a target is down when more than half of the
//     configured regions say so. A region whose voters stand on both sides of a cut
//     therefore counts on one side at most, and two sides that do not hear each
//     other never both have a majority.
//   - Only voters that are heard and hear us count: over a line that works in one
//     direction nobody can be asked to stop.
//   - A report counts for Options.Window. What was said before is not known.
//   - A verdict of down needs its majority for Options.Confirm without a break, and
//     is taken back only when a majority of regions has said otherwise for
//     Options.Recovery without a break.
//   - Without a majority there is no verdict: everything is unknown, and so this
//     voter must not act.
//   - Two regions cannot vote: either would need the other. One region can; its
//     voters must then not be two, for the same reason.
//
// The package is a pure state machine: nothing reads a clock, and nothing is safe
// for concurrent use. Moments come from the owner's clock; what others say is dated
// by the owner when it hears it.
package vote
