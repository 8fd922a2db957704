// Package replication copies a repository to a second place, object by object, as
// the bytes are: it needs no key and opens nothing.
//
//	result, err := replication.Run(ctx, replication.Options{From: primary, To: replica})
//
// # Promises
//
//   - The replica is a repository that restores at every moment: a snapshot shows
//     there only when everything it needs is there, durably, and goes before
//     anything it needs.
//   - What arrives was checked on the way by the checksum that is stored in it.
//     What is damaged in the primary is named and not copied, and a good one in
//     the replica stays.
//   - A run may end at any step, by a kill, a cut link, a full disk. The next one
//     lists both sides and goes on: what arrived is whole, and not copied again.
//   - What is gone from the primary goes from the replica after a delay, never
//     while an alarm or a hold keeps it, and never because the primary looks empty.
//   - Where the replica's storage keeps what it is asked to keep, what is copied is
//     kept from being deleted, and for longer as long as the primary has it; also when
//     the primary cannot be asked.
//   - A promoted replica is not overwritten: [Promote] counts up an epoch, by which
//     the old primary is known when it comes back. [CheckPrimary] is what backups,
//     prunes and the like ask before they store.
//
// DESIGN.md beside this file has the reasons, docs/replication.md what the
// replica's own objects look like and what to do when a region is lost.
//
// # Units
//
// Sizes are bytes, shares are percentages. Times that decide are the run's own
// observation of a clock, see [Options.DeleteAfter].
package replication
