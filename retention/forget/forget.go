package forget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/retention"
	"mahavishnu/snapshot"
)

// Options say what to forget. Policy and Now are required.
type Options struct {
	Policy retention.Policy
	Now    time.Time
	// Source limits the run to one source; "" is all of them.
	Source string
	// Only names the snapshots that may go, by whole ids; nil is any.
	Only []string
	// Damaged lets the snapshots that Only names go if they are damaged, whatever
	// the policy says. Whole ones stay as the policy says.
	Damaged bool
	// DryRun removes nothing.
	DryRun bool
	// Fence is asked before each removal of some; its error ends the run.
	Fence func(ctx context.Context) error
	// Forgotten hears of each snapshot that was removed.
	Forgotten func(id string)

	// together is how many are removed at once; 0 is removedTogether.
	together int
}

// removedTogether is how many snapshots are removed at once: the disk is waited for
// once for all of them.
const removedTogether = 32

// Decision is what became of a snapshot, and why.
type Decision struct {
	Snapshot string    `json:"snapshot"`
	Source   string    `json:"source"`
	Type     string    `json:"type,omitempty"`
	Time     time.Time `json:"time"`
	Keep     bool      `json:"keep"`
	// Why is a sentence that begins with "kept:" or "forgotten:".
	Why string `json:"why"`
}

// Report is what a run did, or would have done.
type Report struct {
	// Decisions about every snapshot of the sources: by source, the newest first.
	Decisions []Decision
	// Removed counts the snapshots that are gone; in a dry run there is none.
	Removed int
	// Held are the holds that kept something from being forgotten.
	Held []repository.Hold
	// Damaged tells of snapshots that could not be read, or only from their
	// second copy.
	Damaged []error
}

// Forgotten counts the snapshots that went, or would in a dry run.
func (r Report) Forgotten() int {
	n := 0
	for _, d := range r.Decisions {
		if !d.Keep {
			n++
		}
	}
	return n
}

// Run decides about every snapshot and removes what the policy lets go. After an
// error the report tells how far it came.
func Run(ctx context.Context, repo *repository.Repository, o Options) (Report, error) {
	r := &run{Options: o, repo: repo, byID: map[string]repository.Snapshot{}, gone: map[string]bool{}}
	if err := r.read(ctx); err != nil {
		return r.report, err
	}
	if err := r.decide(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.remove(ctx)
}

// run is one run.
type run struct {
	Options
	repo   *repository.Repository
	report Report
	facts  []retention.Snapshot
	byID   map[string]repository.Snapshot
	gone   map[string]bool              // ids of what was removed
	lost   []*repository.SnapshotError  // those of which only the name is known
	pins   map[string]repository.Keep   // by snapshot
	holds  map[string][]repository.Hold // by source
}

// read learns of snapshots, pins and holds.
func (r *run) read(ctx context.Context) error {
	snapshots, damaged, err := r.repo.Snapshots(ctx, r.Source)
	if err != nil {
		return err
	}
	if r.pins, err = r.repo.Pins(ctx, r.Source); err != nil {
		return err
	}
	if err := r.readHolds(ctx); err != nil {
		return err
	}
	for _, s := range snapshots {
		f := retention.Snapshot{ID: s.ID, Source: s.Source, Type: s.Type, Time: s.Time}
		if pin, ok := r.pins[s.ID]; ok {
			f.Pinned = pin.String()
		}
		r.facts = append(r.facts, f)
		r.byID[s.ID] = s
	}
	r.report.Damaged = damaged
	for _, err := range damaged {
		if lost := (*repository.SnapshotError)(nil); errors.As(err, &lost) {
			r.lost = append(r.lost, lost)
			r.byID[lost.ID] = lost.Snapshot()
		}
	}
	return nil
}

func (r *run) readHolds(ctx context.Context) error {
	all, err := r.repo.Holds(ctx)
	if err != nil {
		return err
	}
	r.holds = map[string][]repository.Hold{}
	for _, h := range all {
		r.holds[h.Source] = append(r.holds[h.Source], h)
	}
	return nil
}

// decide asks the policy, as often as it takes until every source that loses
// something keeps a snapshot that was seen to be whole.
func (r *run) decide(ctx context.Context) error {
	seen := map[string]bool{} // ids of snapshots that are whole
	for {
		r.report.Decisions = r.report.Decisions[:0]
		decisions := r.Policy.Decide(r.facts, r.Now)
		for _, d := range decisions {
			r.report.Decisions = append(r.report.Decisions, r.narrow(d))
		}
		again, err := r.lookAtNewest(ctx, seen)
		if err != nil {
			return err
		}
		if !again {
			break
		}
	}
	if err := r.damagedOnes(ctx); err != nil {
		return err
	}
	for _, lost := range r.lost {
		d := Decision{Snapshot: lost.ID, Source: lost.Source, Time: lost.Time, Keep: true}
		d.Why = "kept: it cannot be read, so no rule judges it (" + lost.Error() + ")"
		if r.Damaged && slices.Contains(r.Only, lost.ID) {
			r.condemn(&d, lost.Err)
		}
		r.report.Decisions = append(r.report.Decisions, d)
	}
	return nil
}

// condemn lets a damaged snapshot go that was named, unless something speaks
// against it.
func (r *run) condemn(d *Decision, err error) {
	pin, pinned := r.pins[d.Snapshot]
	switch {
	case errors.Is(err, repository.ErrUnreadable) || !isLoss(err):
		d.Why = "kept: it cannot be read now, which may pass (" + err.Error() + ")"
	case pinned:
		d.Why = "kept: it is damaged, and pinned (" + pin.String() + ")"
	case len(r.holds[d.Source]) > 0:
		d.Why = "kept: it is damaged, and " + r.held(d.Source)
	default:
		d.Keep, d.Why = false, "forgotten: it is damaged, and was named ("+err.Error()+")"
	}
}

// narrow keeps what the policy would let go where the run does not ask for it,
// or where the source is held.
func (r *run) narrow(d retention.Decision) Decision {
	out := Decision{Snapshot: d.Snapshot.ID, Source: d.Snapshot.Source, Type: d.Snapshot.Type, Time: d.Snapshot.Time, Keep: d.Keep, Why: d.Why}
	switch {
	case d.Keep:
	case r.Only != nil && !slices.Contains(r.Only, d.Snapshot.ID):
		out.Keep, out.Why = true, "kept: it was not named; the policy would let it go"
	case len(r.holds[d.Snapshot.Source]) > 0:
		out.Keep, out.Why = true, "kept: "+r.held(d.Snapshot.Source)
	}
	return out
}

// held says why nothing of a source may go, and notes that it mattered.
func (r *run) held(source string) string {
	text := "its source is held"
	for i, h := range r.holds[source] {
		text += map[bool]string{true: " by ", false: " and by "}[i == 0] + h.Name + " (" + h.String() + ")"
		if !slices.Contains(r.report.Held, h) {
			r.report.Held = append(r.report.Held, h)
		}
	}
	return text
}

// lookAtNewest checks, for every source that loses something, the snapshot that
// the policy takes for its newest good one. One that is not whole is noted as
// damaged, and the policy has to be asked again.
func (r *run) lookAtNewest(ctx context.Context, whole map[string]bool) (again bool, err error) {
	loses := map[string]bool{}
	for _, d := range r.report.Decisions {
		loses[d.Source] = loses[d.Source] || !d.Keep
	}
	newest := map[string]int{}
	for i, f := range r.facts {
		if f.Damaged != "" || f.Time.After(r.Now) || !loses[f.Source] {
			continue
		}
		if n, ok := newest[f.Source]; !ok || newer(f, r.facts[n]) {
			newest[f.Source] = i
		}
	}
	for _, i := range newest {
		f := &r.facts[i]
		if whole[f.ID] {
			continue
		}
		err := snapshot.Whole(ctx, r.repo, r.byID[f.ID])
		switch {
		case err == nil:
			whole[f.ID] = true
		case isLoss(err) || errors.Is(err, repository.ErrUnreadable):
			f.Damaged, again = err.Error(), true
		default:
			return false, err
		}
	}
	return again, nil
}

// newer orders as the policy does.
func newer(a, b retention.Snapshot) bool {
	return a.Time.After(b.Time) || a.Time.Equal(b.Time) && a.ID > b.ID
}

// isLoss tells data that is lost from data that cannot be read at the moment.
func isLoss(err error) bool {
	return errors.Is(err, repository.ErrDamaged) || errors.Is(err, repository.ErrBlobMissing) || errors.Is(err, repository.ErrMissing)
}

// damagedOnes lets the named snapshots go that are damaged, if that was asked for.
func (r *run) damagedOnes(ctx context.Context) error {
	if !r.Damaged {
		return nil
	}
	for i := range r.report.Decisions {
		d := &r.report.Decisions[i]
		if !d.Keep || !slices.Contains(r.Only, d.Snapshot) {
			continue
		}
		err := snapshot.Whole(ctx, r.repo, r.byID[d.Snapshot])
		switch {
		case err == nil:
			d.Why += "; it is not damaged"
		case isLoss(err), errors.Is(err, repository.ErrUnreadable):
			r.condemn(d, err)
		default:
			return err
		}
	}
	return nil
}

// remove deletes what was decided, the oldest of each source first, so that
// stopping half-way leaves the newer ones.
func (r *run) remove(ctx context.Context) error {
	if r.DryRun {
		return nil
	}
	var some []*Decision
	for i := range slices.Backward(r.report.Decisions) {
		if d := &r.report.Decisions[i]; !d.Keep {
			some = append(some, d)
		}
		if len(some) < cmp.Or(r.together, removedTogether) && (i > 0 || len(some) == 0) {
			continue
		}
		if err := r.removeSome(ctx, some); err != nil {
			for _, d := range some {
				r.undecided(d)
			}
			for j := range i {
				r.undecided(&r.report.Decisions[j])
			}
			return err
		}
		some = nil
	}
	return nil
}

// removeSome removes several snapshots. It fails when not all could be.
func (r *run) removeSome(ctx context.Context, some []*Decision) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if r.Fence != nil {
		if err := r.Fence(ctx); err != nil {
			return err
		}
	}
	// An alarm may have been raised since.
	if err := r.readHolds(ctx); err != nil {
		return err
	}
	var free []*Decision
	var snaps []repository.Snapshot
	for _, d := range some {
		if len(r.holds[d.Source]) > 0 {
			d.Keep, d.Why = true, "kept: "+r.held(d.Source)
			continue
		}
		free, snaps = append(free, d), append(snaps, r.byID[d.Snapshot])
	}
	var failed error
	for i, err := range r.repo.ForgetAll(ctx, snaps) {
		d := free[i]
		switch {
		case errors.Is(err, repository.ErrPinned):
			d.Keep, d.Why = true, "kept: it is pinned"
		case err != nil:
			if failed == nil {
				failed = fault.New("forget snapshot", d.Snapshot, err, "it is still there; the same command again goes on with the rest")
			}
		default:
			r.gone[d.Snapshot] = true
			r.report.Removed++
			if r.Forgotten != nil {
				r.Forgotten(d.Snapshot)
			}
		}
	}
	return failed
}

// undecided notes that what was to go is still there.
func (r *run) undecided(d *Decision) {
	if !d.Keep && !r.gone[d.Snapshot] {
		d.Keep, d.Why = true, fmt.Sprintf("kept: the run ended before its turn; it was to be %s", d.Why)
	}
}
