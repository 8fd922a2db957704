// Package forget carries out what a retention policy decides about a
// repository: it removes snapshots, never data.
//
// # Rules
//
//   - A policy is only as good as what it is told. Before anything of a source
//     goes, the snapshot that would be its newest good one is looked at: its tree
//     is walked and every blob of it must lie in a pack that is there. One that
//     would not restore counts as damaged, and the next one is looked at.
//   - Snapshots that cannot be read are neither counted nor removed by rule.
//     They go only when they are named and Options.Damaged says so.
//   - Nothing of a source goes while there is a hold on it, and no pinned
//     snapshot does; both are asked for again while snapshots go, before each few dozen.
//   - Stopping half-way is safe: what is removed is removed, the rest is there.
package forget
