package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// Errors of a run. They come wrapped, with what to do.
var (
	// ErrOtherRepository means that the replica belongs to another repository than the
	// primary.
	ErrOtherRepository = errors.New("the replica is of another repository than the primary")
	// ErrEmptied means that most of what the primary had is gone from it at once.
	// Nothing was deleted from the replica, or noted for it.
	ErrEmptied = errors.New("most of what the primary had is gone from it")
	// ErrDamaged means that the primary has objects that are not as they were
	// written. They were not copied; [Result.Damaged] names them.
	ErrDamaged = errors.New("the primary has damaged objects, which were not copied")
	// ErrRestless means that the primary was collecting garbage all the while. The
	// next run goes on from what this one copied.
	ErrRestless = errors.New("the primary kept changing while it was copied")
)

const (
	// maxRounds is how often a run looks again at a primary from which something
	// went while it was copied.
	maxRounds = 6
	// defaultParallel is how many objects are copied at once: with packs of 16 MiB
	// that is 128 MiB of memory.
	defaultParallel = 8
	// maxNamed bounds the lists in results.
	maxNamed = 100
	// maxObject is the most that is read of one object, in bytes; packs are the largest.
	maxObject = 300 << 20
)

// Options say what is copied, and how. From and To are required.
type Options struct {
	// From is the storage of the primary, or of another replica. It is only read,
	// save that one that was replaced by a promoted replica is told so, if it lets.
	From storage.Backend
	// To is the storage of the replica.
	To storage.Backend
	// Shard, from 0, is the share of this run of the packs and their parity; Shards
	// is into how many they are divided, 0 and 1 for all. Of runs that share a
	// repository, the one that finds all packs arrived does the rest.
	Shard, Shards int
	// DeleteAfter is how long an object that is gone from the primary stays in the
	// replica, from the run on that first missed it. 0 deletes it in the next run,
	// negative never.
	DeleteAfter time.Duration
	// Frozen tells why nothing may be deleted: an alarm, by its name. "" is none. An
	// error counts as an alarm. nil is none; holds in either storage always count.
	Frozen func(ctx context.Context) (why string, err error)
	// Force believes the primary although most of what it had is gone from it, and
	// takes what it lost for deleted.
	Force bool
	// ReadBack is the percentage of what the replica has already that is read and
	// checked, chosen by chance.
	ReadBack float64
	// Retention keeps what is copied from being deleted; the zero value does not.
	Retention Retention
	// Cold puts packs of data into the cold class of the replica's storage. Packs of
	// trees, the index and snapshots stay where they can be read at once.
	Cold bool
	// Know opens both ends with the key, where that is at hand: see [Knower]. It is asked
	// when the target has no room for everything; nil, or an error, does without.
	Know func(ctx context.Context) (Knower, error)
	// Parallel is how many objects are copied at once; 0 means 8. Memory is bounded
	// by that many packs.
	Parallel int
	// By says who copies, in notes for people.
	By string
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
	// Progress is told every step, one at a time; nil tells nobody.
	Progress func(Step)
}

// Step is what happened since the step before.
type Step struct {
	// Objects and Bytes arrived in the replica.
	Objects, Bytes int64
	// ExpectObjects and ExpectBytes were found to be missing there.
	ExpectObjects, ExpectBytes int64
	// Object is what was copied, or what is being done.
	Object string
}

// Problem is an object that is not as it was written.
type Problem struct {
	Object string `json:"object"`
	Error  string `json:"error"`
}

// Result is what a run did.
type Result struct {
	// Finished tells that all of the primary, as it was when the run looked, is in
	// the replica. When it is false and there is no error, other shards have not
	// arrived yet: the last of them finishes.
	Finished bool `json:"finished"`
	// Copied objects arrived for the first time, and took CopiedBytes.
	Copied      int64 `json:"copied"`
	CopiedBytes int64 `json:"copied_bytes"`
	// Snapshots became visible in the replica.
	Snapshots int `json:"snapshots"`
	// Refreshed objects were there and have changed in the primary: they were sealed
	// anew with a newer key.
	Refreshed int64 `json:"refreshed,omitempty"`
	// ReadBack objects of the replica were read and checked; Mended ones were damaged
	// there, or had lost one of their two objects, and were copied again.
	ReadBack int64 `json:"read_back,omitempty"`
	Mended   int64 `json:"mended,omitempty"`
	// Damaged objects of the primary were not copied.
	Damaged      []Problem `json:"damaged,omitempty"`
	DamagedTotal int       `json:"damaged_total,omitempty"`
	// Lost objects are in the replica, and gone from the primary though nobody
	// deleted them there. They stay.
	Lost      []string `json:"lost,omitempty"`
	LostTotal int      `json:"lost_total,omitempty"`
	// Pending objects are gone from the primary and wait for their deletion; Deleted
	// ones were deleted now. Retained ones were due, and the storage keeps them still.
	Pending      int   `json:"pending"`
	Deleted      int   `json:"deleted"`
	DeletedBytes int64 `json:"deleted_bytes,omitempty"`
	Retained     int   `json:"retained,omitempty"`
	// Kept says why nothing was deleted: an alarm or a hold.
	Kept string `json:"kept,omitempty"`
	// Extended objects are kept from being deleted for longer since this run; all that is
	// wanted is kept until RetainedUntil at least. Unretained says why nothing is kept
	// although that is configured.
	Extended      int       `json:"extended,omitempty"`
	RetainedUntil time.Time `json:"retained_until,omitzero"`
	Unretained    string    `json:"unretained,omitempty"`
	// Stuck objects of the replica are damaged or sealed with an older key, and its
	// storage keeps them as they are until their retention ends.
	Stuck int `json:"stuck,omitempty"`
	// Rounds is how often the primary was looked at.
	Rounds int `json:"rounds"`
}

// run is one run.
type run struct {
	Options
	repo  repository.Config
	notes *notes
	start time.Time
	// keeper keeps what is put; nil without retention.
	keeper storage.Retainer
	// unextended is why what is there could not be kept for longer.
	unextended error

	src, dst *inventory

	mu      sync.Mutex
	result  Result
	damaged map[string]bool
	// moved: an object that the primary had listed is gone from it.
	moved bool
	// blocked: a pack or a part of the index is neither copied nor can be. No
	// snapshot may be shown that might need it, and nothing may go.
	blocked bool
}

// Run copies what the replica lacks, shows the new snapshots there, and lets go of what
// has been gone from the primary for long enough. It may end at any moment, by an
// error or a kill, and be called again: the replica is a repository that restores all
// the while. An error that wraps a [storage.TemporaryError] may be gone the next time,
// and so may [storage.ErrFull]. The result tells what was done also beside an error.
func Run(ctx context.Context, o Options) (Result, error) {
	o.Clock = clock.Or(o.Clock)
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	r := &run{Options: o, start: o.Clock.Now(), damaged: map[string]bool{}}
	err := r.begin(ctx)
	if err == nil {
		err = r.rounds(ctx)
	}
	if r.result.Copied > 0 {
		storage.Commit(o.To) // a run that is cut off shows what arrived, too
	}
	r.result.DamagedTotal = len(r.damaged)
	if err == nil || ctx.Err() == nil {
		err = errors.Join(err, r.unextended)
	}
	if errors.Is(err, storage.ErrFull) {
		err = fault.New("copy to", o.To.Location(), err, "make room there; the next run goes on from what is there already. Snapshots show as soon as all that they need is there, by who has the key; else when everything is")
	}
	if errors.Is(err, storage.ErrArchived) {
		err = fault.New("copy from", o.From.Location(), err, "packs in an archive class cannot be copied: use a cold class that can be read at once, and thaw what is archived already")
	}
	return r.result, err
}

// begin finds out whether these two storages may be source and target.
func (r *run) begin(ctx context.Context) error {
	if r.From.Location() == r.To.Location() {
		return fault.New("copy to", r.To.Location(), errors.New("it would be copied to itself"), "name another place for the replica")
	}
	if r.Shard < 0 || r.Shard >= max(r.Shards, 1) {
		return fault.New("copy to", r.To.Location(), fmt.Errorf("there is no shard %d of %d", r.Shard, r.Shards), "shards count from 0")
	}
	var err error
	if r.repo, err = repository.Identify(ctx, r.From); err != nil {
		r.unextended = r.extendAlone(ctx)
		return fault.New("copy from", r.From.Location(), err, "nothing was changed in the replica; see whether the primary's disk is mounted, or promote the replica if the primary is lost")
	}
	if err := r.sameRepository(ctx); err != nil {
		if errors.Is(err, ErrOtherRepository) {
			r.unextended = r.extendAlone(ctx)
		}
		return err
	}
	if err := admit(ctx, r.From, r.To, r.start); err != nil {
		return err
	}
	if err := r.canRetain(ctx); err != nil {
		return err
	}
	if err := r.copyConfig(ctx); err != nil {
		return err
	}
	r.notes, err = readNotes(ctx, r.To, repoID(r.repo.ID))
	return err
}

// sameRepository refuses a replica of another repository, before anything is written.
func (r *run) sameRepository(ctx context.Context) error {
	there, err := repository.Identify(ctx, r.To)
	switch {
	case errors.Is(err, repository.ErrNotRepository):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case repository.Damaged(err):
		return nil // copyConfig puts the primary's
	case err != nil:
		return err
	case there.ID != r.repo.ID:
		return fault.New("copy to", r.To.Location(), fmt.Errorf("%w: %s, and the primary is %s", ErrOtherRepository, there.ID, r.repo.ID),
			"nothing was changed; see whether both storages are the right ones")
	}
	return nil
}

// rounds looks at the primary and copies, until nothing went from it meanwhile.
func (r *run) rounds(ctx context.Context) error {
	for r.result.Rounds < maxRounds {
		r.result.Rounds++
		r.moved, r.blocked = false, false
		settled, err := r.round(ctx)
		if err != nil || settled {
			return err
		}
	}
	return fault.New("copy from", r.From.Location(), &storage.TemporaryError{Err: ErrRestless}, "what was copied stays; the next run goes on from it")
}

// round is one look and what follows from it. settled is false when the primary
// changed in a way that asks for another one.
func (r *run) round(ctx context.Context) (settled bool, err error) {
	// The replica first: what it has and the primary has not is gone from there.
	if r.dst, err = takeAll(ctx, r.To); err != nil {
		return false, err
	}
	if r.src, err = take(ctx, r.From); err != nil {
		r.src = nil
	}
	if r.result.Rounds == 1 {
		r.unextended = r.extend(ctx)
	}
	if err != nil {
		return false, err
	}
	if err := r.copyItems(ctx, r.share); err != nil {
		if errors.Is(err, storage.ErrFull) {
			err = errors.Join(err, r.showEarly(ctx))
		}
		return false, err
	}
	if r.Shards > 1 {
		if complete, err := r.stragglers(ctx); err != nil || !complete {
			return true, err
		}
	}
	if err := stillReplica(ctx, r.To); err != nil {
		return false, err
	}
	// No part of the index comes before the packs it names.
	if !r.moved && !r.blocked {
		if err := r.copyPairs(ctx, r.src.index, r.dst.index); err != nil {
			return false, err
		}
	}
	calm, err := r.calm(ctx)
	if err != nil || !calm {
		return false, err
	}
	return true, r.finish(ctx)
}

// calm tells whether what was copied is a whole: while it was listed and copied,
// nothing went from the primary. Then everything that the snapshots need which were
// listed first is among the packs and fragments that were listed after them.
func (r *run) calm(ctx context.Context) (bool, error) {
	if r.moved {
		return false, nil
	}
	index, err := listPairs(ctx, r.From, indexPrefix)
	if err != nil {
		return false, err
	}
	turn, err := lastTurn(ctx, r.From)
	return turn == r.src.turn && unchanged(r.src.index, index), err
}

// finish makes what was copied visible, and lets go of what is to go.
func (r *run) finish(ctx context.Context) error {
	if err := r.copyPairs(ctx, r.src.keeps, r.dst.keeps); err != nil {
		return err
	}
	if !r.blocked {
		if err := r.copyPairs(ctx, r.src.snapshots, r.dst.snapshots); err != nil {
			return err
		}
		if err := r.unmark(ctx); err != nil {
			return err
		}
	}
	if err := r.readBack(ctx); err != nil {
		return err
	}
	emptied := r.emptied()
	if !emptied && !r.blocked {
		if err := r.letGo(ctx); err != nil {
			return err
		}
		r.notes.turn, r.notes.turnSeen = r.src.turn, true
	}
	if err := r.unretain(ctx); err != nil {
		return err
	}
	r.forgetSeen()
	if err := r.notes.store(ctx, r.To); err != nil {
		return err
	}
	switch {
	case emptied:
		return fault.New("copy from", r.From.Location(), ErrEmptied,
			"nothing was deleted from the replica; restore the primary from it, or repeat with --force if all that was deleted on purpose")
	case len(r.damaged) > 0:
		return r.damage()
	case r.blocked: // by what the replica's storage does not let go: see Result.Stuck
		return nil
	}
	r.result.Finished = true
	return nil
}

// damage is the error of a run that met damaged objects.
func (r *run) damage() error {
	what, hint := "all snapshots that are whole were copied", "mend the primary with `mahavishnu verify --repair`"
	if r.blocked {
		what = "no new snapshot is shown in the replica before they are mended, since it might need them"
	}
	return fault.New("copy from", r.From.Location(), fmt.Errorf("%w: %d objects, such as %s; %s", ErrDamaged, len(r.damaged), r.result.Damaged[0].Object, what), hint)
}

func (r *run) tell(s Step) {
	if r.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Progress(s)
}
