// Package failover carries out in a process what coordinators decide. It knows the
// configuration and the queue, and binds what the parts of coordinator leave open: who a
// plan's actions are done by, whom a keeper keeps, which routes lead clients, what is
// written down about regions and nodes.
//
// A process that coordinates makes a [Planner] when anything can be moved, and gives it to
// its coordinator, which tells it how things are ([Planner.React]) and for how long it
// leads ([Planner.Lead]). [Keepers] keep the members that live beside the node, whoever
// leads. [Membership] writes down which nodes there are.
//
// Everything that is done under a leadership carries its epoch, and whoever does it remembers
// the highest: a leader that was replaced and does not know it changes nothing. What lives as long as the process
// does is run by a [Host], which is the process.
package failover
