// Package process builds and starts the programs that tests and measurements kill and freeze, keeps
// what they print, and sees to it that nothing of them is left.
//
// A process of this system that keeps a member of a service starts a watchdog, which outlives
// it: a second process that stops the member when the first is killed, and tries for ever if the
// member resists. In a test the member may be gone by then, together with the program that would
// stop it. So whoever started the process waits for its watchdogs, and ends those that do not end
// ([Process.End]):
//
//	p, err := process.Start(exec.Command(program, "up"), nil)
//	defer p.End()
//	p.Kill()
//
// Watchdogs are found by a variable that they inherit, not by their parent, which may be dead
// already. That works on Linux, by /proc; elsewhere none is found.
package process
