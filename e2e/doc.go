// Package e2e proves what the whole system promises, with the real binary in
// real processes: killed, interrupted, spoken to with the NATS command-line
// tool, and running over a cluster that loses its leader.
//
// It has tests only. Each makes its own directories and free ports on the
// loopback address, ends only processes it started, and leaves nothing behind.
package e2e
