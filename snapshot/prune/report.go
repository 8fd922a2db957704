package prune

import (
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/lease"
)

// Action is what is done with packs.
type Action string

// The actions.
const (
	// Keep leaves a pack as it is.
	Keep Action = "keep"
	// Remove deletes a pack: nothing in it is needed.
	Remove Action = "remove"
	// Repack copies what is needed of a pack to a new one, then deletes it.
	Repack Action = "repack"
	// Later leaves to a later run what this one could have done.
	Later Action = "later"
)

// Line is a group of packs with which the same is done for the same reason.
type Line struct {
	Action Action `json:"action"`
	Reason string `json:"reason"`
	Packs  int    `json:"packs"`
	// Bytes of these packs, and how many of them some snapshot needs.
	Bytes int64 `json:"bytes"`
	Live  int64 `json:"live"`
	// Examples are some of the packs' objects.
	Examples []string `json:"examples,omitempty"`
}

// Waiting is packs that are to go and have to wait.
type Waiting struct {
	// List is the object that names them.
	List  string `json:"list"`
	Packs int    `json:"packs"`
	Bytes int64  `json:"bytes"`
	// For whom they wait. Nobody means that the next run removes them.
	For []lease.Session `json:"for,omitempty"`
	// Why, when it is not for somebody.
	Why string `json:"why,omitempty"`
}

// NoRoom is something that could not be done for want of room.
type NoRoom struct {
	// What could not be done.
	What string `json:"what"`
	// Bytes that must be free for it, or for the first part of it.
	Bytes int64 `json:"bytes"`
}

// Report is what a run found, did, and left. Sizes are stored bytes.
type Report struct {
	DryRun bool      `json:"dry_run"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`

	// Snapshots that were walked.
	Snapshots int `json:"snapshots"`
	// Packs in the storage when the run began.
	Packs     int   `json:"packs"`
	PackBytes int64 `json:"pack_bytes"`
	// UnusedBytes of packs are needed by no snapshot: UnusedPackBytes of them in
	// the UnusedPacks packs that hold nothing else, UnindexedBytes in the
	// UnindexedPacks that no index knows.
	UnusedBytes     int64 `json:"unused_bytes"`
	UnusedPacks     int   `json:"unused_packs"`
	UnusedPackBytes int64 `json:"unused_pack_bytes"`
	UnindexedPacks  int   `json:"unindexed_packs"`
	UnindexedBytes  int64 `json:"unindexed_bytes"`

	// Plan says what is done, or in a dry run would be, with all packs, and why.
	Plan []Line `json:"plan"`

	// Repacked is how many bytes of packs were copied from, and Written how many
	// were written to new ones; Rescued of these were needed by snapshots that
	// came while their packs waited to be removed.
	RepackedBytes int64 `json:"repacked_bytes"`
	WrittenBytes  int64 `json:"written_bytes"`
	RescuedBytes  int64 `json:"rescued_bytes"`
	// Removed from the storage.
	RemovedPacks     int   `json:"removed_packs"`
	RemovedBytes     int64 `json:"removed_bytes"`
	RemovedFragments int   `json:"removed_fragments"`
	// Retained are packs that nothing needs and that the storage does not delete
	// before their retention ends. That is no trouble: a later run does.
	RetainedPacks int   `json:"retained_packs,omitempty"`
	RetainedBytes int64 `json:"retained_bytes,omitempty"`
	// Retention says until when everything needed is kept; nil without retention.
	Retention *repository.Retained `json:"retention,omitempty"`
	// Unprotected is the earliest time at which something stored can be deleted by whoever
	// has the credentials, unless a prune keeps it for longer before; nil without retention.
	Unprotected      *time.Time `json:"unprotected_from,omitempty"`
	WrittenFragments int        `json:"written_fragments"`
	// Resealed index fragments and snapshots; resealed packs are in the plan.
	Resealed int `json:"resealed"`
	// Resumed is a sealing anew that another run had begun, which died or was
	// interrupted: this run goes on with it, unless Dropped is true.
	Resumed *repository.Resealing `json:"resumed,omitempty"`
	Dropped bool                  `json:"dropped,omitempty"`

	// Fenced sessions were taken for dead (in a dry run: would be), Published are the snapshots of those
	// that had died after they had committed, Cleared is how many ended sessions
	// were removed.
	Fenced    []lease.Session `json:"fenced,omitempty"`
	Published []string        `json:"published,omitempty"`
	Cleared   int             `json:"cleared"`
	// Waiting is what is to go and could not yet.
	Waiting []Waiting `json:"waiting,omitempty"`
	// NoRoom is what could not be done because the storage is full.
	NoRoom []NoRoom `json:"no_room,omitempty"`
	// Troubles were met and did not stop the run: a pack that cannot be read and
	// was left alone, a session whose ticket is damaged.
	Troubles []error `json:"-"`
}

// Clean tells whether nothing is left that a further run, with nobody else at
// work, would remove or rewrite: not while sessions have packs that are not judged.
func (r *Report) Clean() bool {
	if len(r.Waiting) > 0 || len(r.Troubles) > 0 || len(r.NoRoom) > 0 {
		return false
	}
	for _, l := range r.Plan {
		if l.Action == Later || l.Reason == reasonAtWork {
			return false
		}
	}
	return true
}
