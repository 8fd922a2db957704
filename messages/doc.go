// Package messages is Mahavishnu's protocol: the kinds of job, the subjects,
// streams and buckets they travel through, the JSON of every message, and the
// pure state machine of a job's record. docs/protocol.md is its specification.
//
// # Rules
//
//   - Nothing here talks to a server or reads a clock: every function is a pure
//     function of its arguments. Package bus carries the messages.
//   - A message on DR_JOBS is a wake-up; the [Record] in the dr_jobs bucket is
//     the truth, and changes only by compare-and-set on its revision.
//   - [Record.Attempt] is the fencing token: it grows with every claim, and a
//     transition that names another attempt is refused with [ErrFenced].
//   - What people wrote by hand is refused with a [RefusedError], a sentence
//     that tells what to change.
//
// # Units
//
// Sizes are bytes, times are UTC with RFC 3339 text, durations in JSON are
// milliseconds where the field's name ends in _ms, rates are bytes a second,
// percentages run from 0 to 100.
package messages
