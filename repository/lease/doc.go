// Package lease tells collectors of garbage who is at work in a repository, and
// decides between a writer that was held for dead and the one who held it so.
//
// Whoever works in a repository begins with a session object, durably, before it
// reads anything, and ends with a mark that it is done:
//
//	gc/sessions/<sid>       who it is; put first, if absent
//	gc/sessions/<sid>.beat  a number that grows while it lives
//	gc/sessions/<sid>.end   its ticket, put once: committed, or fenced
//	gc/sessions/<sid>.done  it ended by itself, and will put nothing more
//
// A writer puts its ticket "committed" before its snapshot, a collector that
// takes it for dead puts the ticket "fenced": of the two one wins, whatever any
// clock says. So a wrong verdict costs the writer a retry and never costs data.
// [Watcher] gives verdicts, by its own clock alone: a session is dead when its
// beat has not changed for twice its time to live while somebody watched. A
// [Keeper], the queue of a running system, may tell instead of beats.
//
// A program can stall at any point and go on much later. So it may put a
// snapshot that was rolled forward for it and forgotten since. [Claim] is how
// forgetting learns of that; see DESIGN.md beside package repository for the
// whole protocol and its proof.
package lease
