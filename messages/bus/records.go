package bus

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Records are the jobs' records in dr_jobs.
type Records struct{ store *Store }

// Entry is a record as it was at a revision.
type Entry struct {
	messages.Record
	// Revision is what Update compares. With Attempt it fences a worker that
	// lost its job: its update is refused.
	Revision uint64
}

// Filter picks records. Fields that are zero match everything.
type Filter struct {
	States []messages.State
	Kinds  []messages.Kind
	Region string
	Source string
	// Since is when a record was created at the earliest.
	Since time.Time
	// Limit is how many to return at most, newest first; Watch does not look at it.
	Limit int
}

// Match reports whether a record passes, whatever the limit.
func (f Filter) Match(r messages.Record) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, r.Job.Kind)) &&
		(f.Region == "" || f.Region == r.Job.Region) &&
		(f.Source == "" || f.Source == r.Job.Source()) &&
		!r.Created.Before(f.Since)
}

// Create writes the record of a new job, or returns ErrExists.
func (r *Records) Create(ctx context.Context, rec messages.Record) (Entry, error) {
	data, err := rec.Encode()
	if err != nil {
		return Entry{}, err
	}
	revision, err := r.store.Create(ctx, rec.Job.ID, data)
	return Entry{Record: rec, Revision: revision}, err
}

// Get reads a record, or returns ErrNotFound.
func (r *Records) Get(ctx context.Context, id string) (Entry, error) {
	if !messages.ValidID(id) {
		return Entry{}, fault.New("read job", id, ErrNotFound, "list jobs with `mahavishnu jobs list`")
	}
	v, err := r.store.Get(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	return entry(v)
}

func entry(v Value) (Entry, error) {
	rec, err := messages.DecodeRecord(v.Data)
	if err != nil {
		return Entry{}, fault.New("read job", v.Key, err, "it may be of a newer version, or written by hand")
	}
	return Entry{Record: rec, Revision: v.Revision}, nil
}

// Update writes e.Record if e.Revision is still the stored one, or returns
// ErrConflict.
func (r *Records) Update(ctx context.Context, e Entry) (Entry, error) {
	data, err := e.Encode()
	if err != nil {
		return Entry{}, err
	}
	revision, err := r.store.Update(ctx, e.Job.ID, data, e.Revision)
	return Entry{Record: e.Record, Revision: revision}, err
}

// Change reads, transforms and writes a record, again when somebody else was
// faster. An error of fn ends it and is returned as it is, with the entry fn saw.
func (r *Records) Change(ctx context.Context, id string, fn func(messages.Record) (messages.Record, error)) (Entry, error) {
	for {
		e, err := r.Get(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		changed, err := fn(e.Record)
		if err != nil {
			return e, err
		}
		next, err := r.Update(ctx, Entry{Record: changed, Revision: e.Revision})
		if !errors.Is(err, ErrConflict) {
			return next, err
		}
	}
}

// List returns the records that match, newest first. Records that cannot be
// read are reported together, after the others: the error then joins one per
// record, and the list is good all the same.
func (r *Records) List(ctx context.Context, f Filter) ([]Entry, error) {
	var (
		found      []Entry
		unreadable []error
	)
	err := r.store.Each(ctx, "", func(v Value) error {
		switch e, err := entry(v); {
		case err != nil:
			unreadable = append(unreadable, err)
		case f.Match(e.Record):
			found = append(found, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Entry) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Job.ID, b.Job.ID))
	})
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found, errors.Join(unreadable...)
}

// Watch calls fn for every record that matches, and again whenever one changes
// and matches, until ctx ends or fn returns an error. Records that cannot be
// read end it too.
func (r *Records) Watch(ctx context.Context, f Filter, fn func(Entry) error) error {
	return r.store.Watch(ctx, "", func(v Value) error {
		if v.Deleted {
			return nil
		}
		e, err := entry(v)
		if err != nil {
			return err
		}
		if !f.Match(e.Record) {
			return nil
		}
		return fn(e)
	})
}

// Remove deletes a record for good, if its revision is still e.Revision. Only
// finished jobs can be removed.
func (r *Records) Remove(ctx context.Context, e Entry) error {
	if !e.State.Final() {
		return fault.New("remove job", e.Job.ID, messages.ErrNotFinal, "cancel it first: `mahavishnu jobs cancel "+e.Job.ID+"`")
	}
	return r.store.Delete(ctx, e.Job.ID, e.Revision)
}
