package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Retention says how long the storage keeps what is stored from being deleted or
// replaced, by whoever has its credentials.
type Retention struct {
	// For is how long, from when something is stored and again from when a
	// collector finds it needed; 0 is not at all.
	For time.Duration
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
}

// retainedName is an object that says when everything needed was last kept for
// longer. Nothing rests on it but requests.
const retainedName = "gc/retained"

// retainedPlaces hold what is kept: of this and the key ring all the rest can be made
// again.
var retainedPlaces = []string{packPrefix, snapshotPrefix, copyPrefix + snapshotPrefix, configName, configCopy}

// retaining is a storage that keeps what is put to those places.
type retaining struct {
	storage.Backend
	o Retention
}

// IsRetained tells whether an object of that name is among those that are kept, where
// there is a retention.
func IsRetained(name string) bool {
	return slices.ContainsFunc(retainedPlaces, func(place string) bool { return strings.HasPrefix(name, place) })
}

// Put implements storage.Backend.
func (b *retaining) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if IsRetained(name) {
		o.RetainUntil = b.until(b.o.Clock.Now())
	}
	return b.Backend.Put(ctx, name, data, o)
}

// until is when the retention ends of what is kept from now on, to the second, which
// is all that storage knows.
func (b *retaining) until(now time.Time) time.Time {
	return now.Add(b.o.For).UTC().Truncate(time.Second).Add(time.Second)
}

// withRetention returns be, keeping what is put there when that is wanted.
func withRetention(be storage.Backend, o Retention) storage.Backend {
	if o.For <= 0 {
		return be
	}
	o.Clock = clock.Or(o.Clock)
	return &retaining{be, o}
}

// Retained is what a collector kept for longer.
type Retained struct {
	// Objects were kept for longer this time: 0 when the last time is recent.
	Objects int `json:"objects"`
	// At is when everything needed was last kept for longer, Until until when.
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// retainers is how many objects are kept for longer at once.
const retainers = 8

// Retain keeps what the survey found needed from being deleted for longer, when half
// of the time that it was kept for has passed: the packs in which something is kept
// that a snapshot needs, the snapshots, and the repository's configuration. What
// nothing needs is left to come to its end. Interrupted, it begins again.
func (c *Collector) Retain(ctx context.Context, s *Survey) (Retained, error) {
	kept := c.r.retention
	if kept == nil {
		return Retained{}, nil
	}
	keeper, ok := kept.Backend.(storage.Retainer)
	if !ok {
		return Retained{}, fault.New("keep from being deleted what is in", c.r.be.Location(), storage.ErrUnsupported,
			"use storage that can, or take the retention out of the configuration")
	}
	now := kept.o.Clock.Now()
	last, err := c.r.lastRetained(ctx)
	// Half of what is asked for now must be left: it may be more than at that time.
	if err != nil || !now.Before(last.At) && now.Add(kept.o.For/2).Before(last.Until) {
		return last, err
	}
	names, err := s.needed(ctx)
	if err != nil {
		return last, err
	}
	this := Retained{At: now.UTC().Truncate(time.Second), Until: kept.until(now)}
	var done atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(retainers)
	for _, name := range names {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := keeper.Retain(groupCtx, name, this.Until)
			if errors.Is(err, storage.ErrNotFound) {
				return nil // checks name what is missing
			}
			done.Add(1)
			return err
		})
	}
	err = group.Wait()
	this.Objects = int(done.Load())
	if ctx.Err() != nil {
		return last, context.Cause(ctx)
	}
	if err != nil {
		return last, err
	}
	return this, c.noteRetained(ctx, this)
}

// needed names what the retention is extended of.
func (s *Survey) needed(ctx context.Context) ([]string, error) {
	uses, err := s.Uses(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{configName, configCopy}
	for _, use := range uses {
		if use.LiveBlobs > 0 && !use.Condemned {
			names = append(names, use.ID.Object())
		}
	}
	for _, snap := range s.Snapshots {
		name := snapshotObject(snap.Source, snap.Time, snap.ID)
		names = append(names, name, copyOf(name))
	}
	return names, nil
}

// lastRetained tells when everything needed was last kept for longer. A note that
// is damaged or missing means never.
func (r *Repository) lastRetained(ctx context.Context) (Retained, error) {
	data, err := storage.ReadAll(ctx, r.be, retainedName, maxKeepSize, nil)
	switch {
	case ctx.Err() != nil:
		return Retained{}, context.Cause(ctx)
	case errors.Is(err, storage.ErrNotFound), isDamage(err):
		return Retained{}, nil
	case err != nil:
		return Retained{}, err
	}
	var last Retained
	text, err := r.keys.Open(seal.TypeGC, retainedName, data)
	if err != nil || json.Unmarshal(text, &last) != nil {
		return Retained{}, nil //nolint:nilerr // see above
	}
	last.Objects = 0
	return last, nil
}

func (c *Collector) noteRetained(ctx context.Context, done Retained) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	sealed, err := c.r.keys.Seal(seal.TypeGC, retainedName, text)
	if err == nil {
		err = c.r.be.Put(ctx, retainedName, sealed, storage.PutOptions{Sync: true})
	}
	if err != nil {
		return fault.New("note the retention of what is in", c.r.be.Location(), err, "")
	}
	return nil
}

// Retains tells whether what is stored is kept from being deleted.
func (r *Repository) Retains() bool { return r.retention != nil }

// RetainedSince returns until when the storage refuses to delete what was stored at
// a time, in Unix seconds, if it was not kept for longer since; the zero time when it
// does not refuse, or the time is not known.
func (r *Repository) RetainedSince(stored int64) time.Time {
	if r.retention == nil || stored == 0 {
		return time.Time{}
	}
	return r.retention.until(time.Unix(stored, 0))
}

// Unprotected returns the earliest time at which something that the index knows can
// be deleted by whoever has the credentials of the storage, unless a collector keeps it
// for longer before. ok is false when the repository has no retention.
func (r *Repository) Unprotected(ctx context.Context) (at time.Time, ok bool, err error) {
	if r.retention == nil {
		return time.Time{}, false, nil
	}
	last, err := r.lastRetained(ctx)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look until when everything is kept: %w", err)
	}
	for _, p := range r.indexedPacks() {
		end := r.RetainedSince(p.Stored)
		if p.Stored <= last.At.Unix() && last.Until.After(end) {
			end = last.Until
		}
		if !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	return at, ok, nil
}
