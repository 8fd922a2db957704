// Package faults proves what failover promises whatever happens to the machines, by doing
// random things to a whole system and judging what was seen.
//
// # The system
//
// A world is a NATS server and three machines in three regions. Each machine is a
// process of the real program with the coordinator role, which watches, votes, leads
// and carries out plans, and keeps one member of a service; a watchdog, which is a
// process of its own; and the member, a process too, controlled through HTTP. Machines
// reach the server over wires that can be cut both ways or one way.
//
// Machines, watchdogs and members are killed with SIGKILL, stopped with SIGSTOP and
// woken again, made to stutter; wires are cut and the server's are cut together; members take
// long to become primaries; coordinators that lead no more give orders. One to three such
// faults at a time make a run. Then all of it heals, and clients must be able to write
// again and another member must stand by, without anybody's help.
//
// # The judge
//
// Clients write to every member all the time. What members accepted, what the lease
// of the service said, which epochs members, routes and the journal of plans took and
// refused is a history, which porcupine (github.com/anishathalye/porcupine) compares with
// the simplest model there is: a register that holds the highest tenure, in which nothing
// of a lower one, and nothing of another member under the same one, ever happens again.
//
// FAULTS_RUNS sets how many runs are made, FAULTS_SEED plays the faults of a run of
// before again, FAULTS_WORLDS says how many worlds there are at a time. It has tests
// only, and those run on Linux.
package faults
