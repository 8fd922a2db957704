package replication

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// Retention says how long the replica's storage keeps from being deleted what is
// copied there: packs, snapshots and the configuration.
type Retention struct {
	// For is how long, from when an object arrives, and again from when a run finds half
	// of it over; 0 is not at all. Storage that cannot do it gets copies all the same,
	// which is better than none, and [Result.Unretained] says why nothing is kept.
	For time.Duration
	// Unable is why For is 0 although the repository is kept, for [Result.Unretained]: the
	// replica's storage is not set up for it. "" when nothing is to be kept.
	Unable string
}

// retainedName says until when everything that is wanted was last kept for longer.
// Nothing rests on it but requests, and what is told people.
const retainedName = Prefix + "retained"

// retained is what it says.
type retained struct {
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
	Objects int       `json:"objects"`
}

// due tells whether it is time to keep everything for longer: half of the time is over,
// counted by what was asked for then and by what is asked for now.
func (d retained) due(now time.Time, keep time.Duration) bool {
	half := keep / 2
	return now.Before(d.At) || !now.Before(d.At.Add(half)) || !now.Add(half).Before(d.Until)
}

// until is when the retention ends of what is kept from now on, to the second, which is
// all that storage knows.
func (o Retention) until(now time.Time) time.Time {
	return now.Add(o.For).UTC().Truncate(time.Second).Add(time.Second)
}

// canRetain finds out whether the replica's storage keeps what it is asked to.
func (r *run) canRetain(ctx context.Context) error {
	if r.Retention.For <= 0 {
		r.result.Unretained = r.Retention.Unable
		return nil
	}
	keeper, ok := r.To.(storage.Retainer)
	err := storage.ErrUnsupported
	if ok {
		err = keeper.RetentionCheck(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, storage.ErrUnsupported):
		r.result.Unretained = err.Error()
	default:
		r.keeper = keeper // what may not be asked shows when something is put
	}
	return nil
}

// extend keeps for longer what is there and still wanted, when half of the time is
// over. It comes before anything is copied: a run that then fails, for days perhaps,
// leaves nothing without protection. Interrupted, it begins again. Of several shards
// the first one does it.
//
// Wanted is what a snapshot may need, as far as that is known without a key: everything
// but what an earlier run noted as deleted in the primary. While something keeps deletions
// from being believed, that too.
func (r *run) extend(ctx context.Context) error {
	if r.keeper == nil || r.Shard != 0 {
		return nil
	}
	last, err := readRetained(ctx, r.To)
	if err != nil {
		return err
	}
	r.result.RetainedUntil = last.Until
	now := r.Clock.Now()
	if !last.due(now, r.Retention.For) {
		return nil
	}
	all, err := r.doubtful(ctx)
	if err != nil {
		return err
	}
	this := retained{At: now.UTC().Truncate(time.Second), Until: r.Retention.until(now)}
	names := r.sound(wanted(r.dst, r.notes, all))
	var done atomic.Int64
	err = each(ctx, r.Parallel, names, func(ctx context.Context, name string) error {
		err := r.keeper.Retain(ctx, name, this.Until)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // it is copied again, and kept from then on
		}
		if err == nil {
			done.Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	this.Objects = int(done.Load())
	data, err := sealRecord(this)
	if err != nil {
		return err
	}
	r.result.Extended, r.result.RetainedUntil = this.Objects, this.Until
	return r.To.Put(ctx, retainedName, data, storage.PutOptions{Sync: true})
}

// sound leaves out packs that are not of the primary's size, which are to be replaced as
// soon as the storage lets.
func (r *run) sound(names []string) []string {
	if r.src == nil {
		return names
	}
	odd := map[string]bool{}
	missing(r.src.packs, r.dst.packs, func(it item, there int64) {
		if there >= 0 {
			odd[it.key.render()] = true
		}
	})
	return slices.DeleteFunc(names, func(name string) bool { return odd[name] })
}

// doubtful tells whether what is gone from the primary may not count as deleted now: it
// is not there at all, or emptied, or somebody holds it, or an alarm does.
func (r *run) doubtful(ctx context.Context) (bool, error) {
	if r.src == nil || r.emptied() {
		return true, nil
	}
	why, err := r.frozen(ctx, nil)
	return why != "", err
}

// wanted names what the retention is extended of. What was lost in the primary is here
// alone, and so is what left it with that or later.
func wanted(there *inventory, n *notes, all bool) []string {
	var lost time.Time // since when something that refers to others is
	for name := range there.snapshots {
		if g, noted := n.gone[keyOf(name)]; noted && g.lost && (lost.IsZero() || g.since.Before(lost)) {
			lost = g.since
		}
	}
	keep := func(k key) bool {
		g, noted := n.gone[k]
		return all || !noted || g.lost || !lost.IsZero() && !g.since.Before(lost)
	}
	names := []string{configName, configCopy}
	for _, it := range there.packs {
		if keep(it.key) {
			names = append(names, it.key.render())
		}
	}
	for name, p := range there.snapshots {
		if !keep(keyOf(name)) {
			continue
		}
		for object, size := range map[string]int64{name: p.size, copyPrefix + name: p.copySize} {
			if size >= 0 {
				names = append(names, object)
			}
		}
	}
	return names
}

// extendAlone keeps the replica's objects for longer although the primary cannot be
// looked at: an outage of it must not end the protection of what may be the last copy.
func (r *run) extendAlone(ctx context.Context) error {
	if r.Retention.For <= 0 {
		return nil
	}
	own, err := repository.Identify(ctx, r.To)
	if err != nil {
		return nil //nolint:nilerr // there is no copy yet, or none that could be told from another's
	}
	standing, err := RoleOf(ctx, r.To)
	if err != nil || standing.Role != Replica {
		return err
	}
	if r.notes, err = readNotes(ctx, r.To, repoID(own.ID)); err != nil {
		return err
	}
	if err := r.canRetain(ctx); err != nil || r.keeper == nil {
		return err
	}
	if r.dst, err = takeAll(ctx, r.To); err != nil {
		return err
	}
	return r.extend(ctx)
}

// unretain takes the note of the last extension away when this run put objects without
// retention, so that the next one with retention looks after all of them at once.
func (r *run) unretain(ctx context.Context) error {
	if r.keeper != nil || r.result.Copied == 0 {
		return nil
	}
	last, err := readRetained(ctx, r.To)
	if err != nil || last.At.IsZero() {
		return err
	}
	return r.To.Delete(ctx, retainedName)
}

// readRetained returns the zero value where nothing was noted, or what was is damaged:
// then everything is kept for longer at once.
func readRetained(ctx context.Context, be storage.Backend) (retained, error) {
	var d retained
	data, err := storage.ReadAll(ctx, be, retainedName, maxRecord, nil)
	if errors.Is(err, storage.ErrNotFound) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if damage := openRecord(data, &d); damage != nil {
		return retained{}, nil //nolint:nilerr // see above
	}
	return d, nil
}

// Protection is until when a storage keeps what was copied to it.
type Protection struct {
	// Objects that are wanted, of which Open can be deleted now; Example is one.
	Objects int    `json:"objects"`
	Open    int    `json:"open"`
	Example string `json:"example,omitempty"`
	// Until is when the first of the others can be.
	Until time.Time `json:"until,omitzero"`
}

// Protected asks the storage of a replica of every object that is wanted until when it
// is kept: one request for each. Objects that wait for their deletion are left out.
func Protected(ctx context.Context, be storage.Backend, now time.Time) (Protection, error) {
	keeper, ok := be.(storage.Retainer)
	if !ok {
		return Protection{}, fault.New("look at the retention of", be.Location(), storage.ErrUnsupported, "")
	}
	own, err := repository.Identify(ctx, be)
	if err != nil {
		return Protection{}, err
	}
	n, err := readNotes(ctx, be, repoID(own.ID))
	if err != nil {
		return Protection{}, err
	}
	there, err := takeAll(ctx, be)
	if err != nil {
		return Protection{}, err
	}
	names := wanted(there, n, false)
	ends := make([]time.Time, len(names))
	at := make([]int, len(names))
	for i := range at {
		at[i] = i
	}
	err = each(ctx, protectors, at, func(ctx context.Context, i int) (err error) {
		ends[i], err = keeper.Retained(ctx, names[i])
		if errors.Is(err, storage.ErrNotFound) {
			ends[i], err = time.Unix(1<<40, 0), nil // gone since it was listed
		}
		return err
	})
	p := Protection{Objects: len(names)}
	for i, end := range ends {
		switch {
		case !now.Before(end):
			p.Open++
			p.Example = names[i]
		case p.Until.IsZero() || end.Before(p.Until):
			p.Until = end
		}
	}
	return p, err
}

// protectors is how many objects are asked about at once.
const protectors = 16

// KeptUntil returns until when, by what runs noted, everything in a replica that is wanted
// is kept from being deleted; the zero time when none did. [Protected] asks the storage.
func KeptUntil(ctx context.Context, be storage.Backend) (time.Time, error) {
	last, err := readRetained(ctx, be)
	return last.Until, err
}
