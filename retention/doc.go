// Package retention decides which snapshots are kept, and says why.
//
// It is a pure function of the snapshots, a [Policy] and the time: it deletes
// nothing, reads nothing and knows no clock.
//
// # Rules
//
//   - A snapshot is kept when any rule keeps it. More rules, larger numbers and
//     more pins never make one go.
//   - Rules look at one source at a time.
//   - Tiers keep by age: each type of backup (incremental, full, archival) for
//     its own number of days, weeks and months.
//   - KeepLast, KeepHourly ... KeepYearly keep by count: the newest snapshot of
//     each of the last n hours, days, ISO weeks, months or years that have one.
//   - Days, weeks, months and years are those of the policy's time zone, so a
//     day with a clock change is one day.
//   - Ages are measured from the source's newest good snapshot, not from now: a
//     source that is no longer backed up keeps its history, and a clock that runs
//     ahead expires nothing by itself.
//   - A damaged snapshot fills no place of a count: it cannot push out a good one.
//   - A snapshot from the future (a clock was wrong) is kept and fills no place.
//   - The newest good snapshot of a source is always kept, and while a source has
//     none, everything it has.
//   - A type that no rule speaks of is kept.
//
// Deciding is idempotent: of what was kept nothing goes until time passes or a
// snapshot is added.
package retention
