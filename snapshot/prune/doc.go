// Package prune removes from a repository what no snapshot needs.
//
// A run marks every blob that some snapshot can reach, and plans: packs without
// any go, packs of which too little is needed are copied to new ones first. What
// is to go is condemned: from then on no new session relies on it. When all
// sessions have ended that might rely on it from before, it is swept: whatever
// a snapshot needs after all is rescued, and the packs are deleted. Nobody is
// locked out at any time, and nothing rests on clocks; DESIGN.md beside package
// repository has the protocol and its proof.
//
// Damage stops a run before it deletes anything: as long as it is not known what
// a snapshot needs, everything might be.
package prune
