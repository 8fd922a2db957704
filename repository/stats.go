package repository

import "sync/atomic"

// Stats counts what a session did. Raw bytes are before compression.
type Stats struct {
	NewBlobs     int64 // stored by this session
	NewBytes     int64 // raw
	StoredBytes  int64 // what the new blobs take in packs
	ReusedBlobs  int64 // found stored already, by any session
	ReusedBytes  int64 // raw
	AdoptedPacks int64 // left by a session that died, and taken over
	AdoptedBlobs int64
	AdoptedBytes int64 // raw bytes in adopted packs
	RefusedPacks int64 // found unfinished or damaged, and left alone
	// AdoptedStored is what the blobs of adopted packs take there.
	AdoptedStored int64
	Packs         int64 // written by this session
	PackBytes     int64 // their size
}

// counters are Stats that many goroutines add to.
type counters struct {
	newBlobs, newBytes, storedBytes          atomic.Int64
	reusedBlobs, reusedBytes                 atomic.Int64
	adoptedPacks, adoptedBlobs, adoptedBytes atomic.Int64
	adoptedStored                            atomic.Int64
	refusedPacks, packs, packBytes           atomic.Int64
}

// Stats returns the counts so far.
func (s *Session) Stats() Stats {
	c := &s.stats
	return Stats{
		NewBlobs: c.newBlobs.Load(), NewBytes: c.newBytes.Load(), StoredBytes: c.storedBytes.Load(),
		ReusedBlobs: c.reusedBlobs.Load(), ReusedBytes: c.reusedBytes.Load(),
		AdoptedPacks: c.adoptedPacks.Load(), AdoptedBlobs: c.adoptedBlobs.Load(), AdoptedBytes: c.adoptedBytes.Load(), AdoptedStored: c.adoptedStored.Load(),
		RefusedPacks: c.refusedPacks.Load(), Packs: c.packs.Load(), PackBytes: c.packBytes.Load(),
	}
}
