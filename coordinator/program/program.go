// Package program runs the programs by which people control services and lead clients:
// what one may answer, and how it ends.
package program

// Stale is the exit code by which a program says that it found a higher epoch than the
// one it was given, and changed nothing; this system's own commands end with it
// when their lease was lost.
const Stale = 5
