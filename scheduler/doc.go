// Package scheduler decides when work is due and makes jobs of it.
//
// Any number of schedulers may run. One leads at a time, by a lease; it looks
// at the clock, computes the slots that came due, and submits a job for each
// schedule, source and slot. It knows nothing of backups: what a job means is a
// worker's business.
//
// # Slots
//
// A [Schedule] is a crontab expression in an IANA time zone. Its slots are
// instants, computed by the pure functions [Recurrence.Next] and
// [Recurrence.Slots] alone. Where the zone's clocks change:
//
//   - A time that the clocks jump over runs once, when the jump ends: 02:30 on
//     the spring Sunday runs at 03:00. All times of one jump, and a time at its
//     end, are one slot. A whole day that a country skipped is such a jump.
//   - A time that is shown twice runs once, the first time.
//   - A schedule that is due in every hour of the day ("*/5 * * * *") counts
//     hours, not numbers on the clock: it runs in both passes of a doubled hour.
//     Otherwise a five-minute recovery point would turn into an hour once a year.
//
// # Exactly once
//
// The job of a slot has the id "schedule/source/20250330T010000Z" ([SlotID]) and
// is created by compare-and-set. Two leaders, a leader that died before it could
// note what it did, or an event that comes twice lead to one job. What the
// leader remembers between ticks (the last slot it decided for each schedule
// and source) is written by compare-and-set too: a leader that does not know
// it is deposed finds out with its first write.
//
// # Rules
//
//   - Outage: of the slots that passed, the newest runs if it is not older than
//     the schedule's catch-up window; the others are missed.
//   - Overlap: a slot whose previous run is not finished is skipped, queued
//     behind it, or run beside it ([Overlap]).
//   - Jitter delays a job by a part of it that depends on its id only.
//   - Paused schedules skip their slots and catch nothing up.
//   - Regions are paused by plans ([Regions]). A slot belongs to the region whose workers
//     would do its job. The newest slot that came due meanwhile runs when the pause ends,
//     if it is not older than the catch-up window; the others are told as paused. Copies
//     to a place that was promoted rest in the same way.
//   - Every slot becomes a job, or is told as missed or skipped by an event and a
//     counter. After a crash between telling and noting so, it may be told twice.
//   - Changed schedules ([Scheduler.Update], or a restart) replace the old ones and
//     never add to them; a new definition has no say about time already decided.
//   - A clock that goes back makes slots count from there again; those that have
//     a job keep it. A clock that goes forward is an outage.
//   - Follow-ups ([FollowUps]) are jobs too: verify after a backup, forget after
//     a scheduled backup that verified, prune after the first forget of a day.
//
// See DESIGN.md for why.
package scheduler
