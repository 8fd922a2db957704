// Package detect suspects what has gone silent.
//
// A [Detector] is fed with the moments at which something was heard, and says how
// surprising the present silence is: phi, the negative decimal logarithm of the
// probability that the next sign of life comes still later than now (Hayashibara,
// Défago, Yared, Katayama: "The φ accrual failure detector", 2004). The
// probability is taken from a normal distribution fitted to the last intervals.
// phi 8 is a wrong suspicion once in a hundred million intervals, as long as
// intervals are distributed so.
//
// A [Health] is the observer's doubt in itself (Dadgar, Phillips, Currey:
// "Lifeguard: local health awareness for more accurate failure detection", 2018).
// Somebody whose own clock ticks come late, whose own probes fail all around, or
// whose own connection comes and goes hears others late through no fault of theirs.
// It lets silence pass up to eight times as slowly for all its detectors, and
// returns step by step.
//
// # Rules
//
//   - Nothing here reads a clock, starts a goroutine or allocates after New. Every
//     method takes the moment; moments must come from one clock with a monotonic
//     reading and not go back: one that does counts as no time passed.
//   - Hearing costs constant time, and a detector a few hundred bytes.
//   - Neither type is safe for concurrent use.
//
// # Units
//
// phi is a plain number, 0 for no surprise at all; it has no upper bound but
// [MaxPhi]. A stretch is a factor from 1 to 8.
package detect
