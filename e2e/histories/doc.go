// Package histories proves what a repository promises whatever happens to the
// programs that work on it, by playing very many histories and comparing each with
// a model that is too simple to be wrong: a list of what every snapshot must hold.
//
// A history is a sequence of steps, chosen by pgregory.net/rapid, which shrinks
// one that breaks a promise to the shortest it finds: backups, forgetting,
// collections and repairs that run beside each other, one storage operation at a
// time in an order that is part of the history; kills, power cuts, damage, answers
// that get lost, clocks that jump. The storage is in memory, time passes only when
// the history says so, and randomness comes from a seed, so that a history plays the
// same way again.
//
// It has tests only. HISTORIES_STEPS sets how many steps are played; `make soak`
// plays 100,000.
package histories
