package prune

import (
	"context"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository/lease"
)

// DefaultMaxUnused is the percentage of stored bytes that may stay unused, when
// nobody says otherwise: packs are not rewritten for less.
const DefaultMaxUnused = 5

// Options says how to prune. The zero value removes everything that no snapshot
// needs, and waits for nobody.
type Options struct {
	// DryRun tells what would be done, and writes nothing.
	DryRun bool
	// MaxUnused is how many percent of the bytes that stay may be unused,
	// because a pack is kept for the rest of it. 0 rewrites every such pack.
	MaxUnused float64
	// MaxRepack is how many bytes of packs may be rewritten at most in this run;
	// what is left is for the next. 0 sets no limit.
	MaxRepack int64
	// Reseal rewrites what is sealed with an older version of the key. A run that
	// finds that another one had begun this and died goes on with it.
	Reseal bool
	// DropReseal does not go on with what another run had begun, and forgets it.
	DropReseal bool
	// Wait is how long to wait, in all, for sessions that may still rely on what
	// is to go. Without it, the next run removes what had to wait.
	Wait time.Duration
	// TTL of this run's own session; default lease.DefaultTTL.
	TTL time.Duration
	// Keeper tells which sessions live that keep their lease in a queue, and
	// keeps this one's. It may be nil.
	Keeper lease.Keeper
	// Hold is asked before anything is deleted; its error keeps everything as it
	// is: packs stay condemned until a later run. It may be nil.
	Hold func(ctx context.Context) error
	// Progress hears what is going on, from one goroutine. It may be nil.
	Progress func(Progress)
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock

	part int // blobs; 0 is partBlobs
}

// Stage is what a run is doing.
type Stage string

// The stages, in the order in which a run goes through them; those after Mark
// may come again.
const (
	StageSessions Stage = "sessions" // who is at work
	StageMark     Stage = "mark"     // walk the snapshots; counts snapshots
	StageProve    Stage = "prove"    // read packs before other copies go; counts bytes
	StageRepack   Stage = "repack"   // counts bytes of blobs
	StageWait     Stage = "wait"     // for others; counts sessions
	StageSweep    Stage = "sweep"    // counts packs
	StageReseal   Stage = "reseal"   // counts objects
)

// Progress is how far a stage is. Total is 0 when it is not known.
type Progress struct {
	Stage Stage
	Done  int64
	Total int64
}
