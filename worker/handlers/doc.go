// Package handlers does the jobs of a directory backup: one file per kind of
// job. [New] makes them from a [Setup] that says where the repository is, what
// the sources are, and where restores may write.
//
// # Rules
//
//   - A handler's commit is idempotent by job id and preceded by the task's
//     fence: a snapshot is named after its job, a deletion may be repeated.
//   - Restores write below the staging directory and nowhere else. A job cannot
//     name a path, only a directory in staging.
//   - What can never work as it is written is refused with a sentence; what
//     failed is an error and tried again; what was done and found bad (damage,
//     differences) is discarded with its result, for trying again changes nothing.
//   - Lists in results are bounded, with a count beside them that is not.
//
// Sizes in results are bytes; the names of durations end in their unit.
package handlers
