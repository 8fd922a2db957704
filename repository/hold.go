package repository

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// ErrFenced means that a session was taken for dead, by a collector of garbage
// or because its lease in the queue ended. It published nothing; start anew.
var ErrFenced = lease.ErrFenced

// ErrForgotten means that a snapshot was forgotten and its name stays taken: see
// DeleteSnapshot. A job whose snapshot that was cannot commit another.
var ErrForgotten = fmt.Errorf("the snapshot was forgotten: %w", storage.ErrNotFound)

// A forgotten snapshot's mark has one byte of text: whether it stays.
const (
	markPending = "?"
	markStays   = "!"
	// markSize is the size of its object in bytes. No snapshot is that small.
	markSize = seal.HeaderSize + len(markStays) + seal.TagSize + seal.SumSize
)

// beginLease starts a session of garbage collection's protocol. Nothing may have
// been read before.
func (r *Repository) beginLease(ctx context.Context, role lease.Role, o lease.Options, lost func(error)) (*lease.Lease, error) {
	o.Role = role
	if o.Host == "" {
		o.Host, _ = os.Hostname() // for people only
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if lost != nil {
		o.Lost = func() {
			lost(fault.New("hold session on", r.be.Location(), ErrFenced, "start anew: what was stored is reused where it can be"))
		}
	}
	return lease.NewStore(r.be, r.keys).Begin(ctx, o)
}

// begin puts the session object and then reads what is condemned, in this order.
func (s *Session) begin(ctx context.Context) (err error) {
	s.lease, err = s.r.beginLease(ctx, lease.Backup, s.o.Lease, func(err error) { s.cancel(s.fail(err)) })
	if err != nil {
		return err
	}
	s.tag = s.lease.ID().Tag()
	s.condemned, err = condemn.Read(ctx, s.r.be, s.r.keys)
	return err
}

// fenced tells whether the session found that it was taken for dead.
func (s *Session) fenced() bool { return s.lease != nil && s.lease.Err() != nil }

// endLease ends the session for collectors: by itself, or, when its commit failed
// after it was decided, in a way that lets a collector finish it.
func (s *Session) endLease(ctx context.Context) error {
	switch {
	case s.lease == nil:
		return nil
	case s.decided:
		return s.lease.Leave(ctx)
	}
	return s.lease.Done(ctx)
}

// ReaderLease tells collectors that somebody reads: while it is held, packs that
// were there when it began are not deleted, whatever is forgotten.
type ReaderLease struct{ l *lease.Lease }

// Reader begins a session for reading: a restore, a check. It is a courtesy: on
// a place that is only to be read there is none, and then the lease is empty and
// the reader does without. Begin it before Refresh and before the snapshot is looked
// up, and close it at the end.
func (r *Repository) Reader(ctx context.Context, o lease.Options) (*ReaderLease, error) {
	l, err := r.beginLease(ctx, lease.Reader, o, nil)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return &ReaderLease{}, nil //nolint:nilerr // a courtesy: a storage that takes none is read all the same
	}
	return &ReaderLease{l}, nil
}

// Held tells whether collectors know of the reader.
func (l *ReaderLease) Held() bool { return l.l != nil && l.l.Err() == nil }

// Close ends it.
func (l *ReaderLease) Close(ctx context.Context) error {
	if l.l == nil {
		return nil
	}
	return l.l.Done(ctx)
}

// settler is what settling sessions must know of snapshots.
type settler struct{ r *Repository }

// Presence implements lease.Snapshots.
func (s settler) Presence(ctx context.Context, name string) (lease.Presence, error) {
	info, err := s.r.be.Stat(ctx, name)
	switch {
	case err == nil && info.Size == int64(markSize) && s.r.mark(ctx, name) == markStays:
		return lease.Forgotten, nil
	case err == nil:
		return lease.Present, nil
	case !errors.Is(err, storage.ErrNotFound):
		return lease.Absent, err
	}
	_, err = s.r.be.Stat(ctx, copyOf(name))
	switch {
	case err == nil:
		return lease.Present, nil
	case !errors.Is(err, storage.ErrNotFound):
		return lease.Absent, err
	}
	return lease.Absent, nil
}

// Publish implements lease.Snapshots.
func (s settler) Publish(ctx context.Context, name string, sealed []byte) error {
	err := putTwice(ctx, s.r.be, name, sealed)
	if errors.Is(err, storage.ErrExists) {
		return nil // the writer, or another attempt of its job
	}
	return err
}

// mark returns the text of a forgotten snapshot's mark, or "" when the object is
// none: the rest of a damaged snapshot may have the size of one.
func (r *Repository) mark(ctx context.Context, name string) string {
	data, err := r.readSnapshotObject(ctx, name)
	if err != nil {
		return ""
	}
	text, err := r.keys.Open(seal.TypeSnapshot, name, data)
	if err != nil || !isMark(text) {
		return ""
	}
	return string(text)
}

func isMark(text []byte) bool { return string(text) == markPending || string(text) == markStays }

// putMark puts a mark in a snapshot's place.
func (r *Repository) putMark(ctx context.Context, name, text string) error {
	data, err := r.keys.Seal(seal.TypeSnapshot, name, []byte(text))
	if err != nil {
		return fault.New("forget", name, err, "")
	}
	return r.be.Put(ctx, name, data, storage.PutOptions{Sync: true})
}

// DeleteSnapshot removes a snapshot. Its blobs stay until they are collected.
// When it fails half-way the snapshot is there still, or gone.
//
// A program that stalled in the middle of its commit may go on much later and
// put the snapshot again, whose data may be gone by then. It has a claim on the
// name. So the snapshot is replaced by a mark first, which every put finds in
// its way, and the mark goes only if nobody has a claim. Claims come before
// their holders look at what is there: either we see the claim, or they see
// the mark.
func (r *Repository) DeleteSnapshot(ctx context.Context, snap Snapshot) error {
	name := snapshotObject(snap.Source, snap.Time, snap.ID)
	// Without the note, its absence would mean that the snapshot was lost, and
	// without deleting the copy first, the copy alone would.
	if err := r.noteForgotten(ctx, name); err != nil {
		return err
	}
	if err := r.be.Delete(ctx, copyOf(name)); err != nil {
		return err
	}
	if err := r.putMark(ctx, name, markPending); err != nil {
		return err
	}
	return r.settleMark(ctx, name)
}

// settleMark decides what becomes of a mark: it goes with all of the snapshot,
// or stays for ever.
func (r *Repository) settleMark(ctx context.Context, name string) error {
	claimed, err := lease.NewStore(r.be, r.keys).Claimed(ctx, name)
	if err != nil {
		return err
	}
	if !claimed {
		return deleteTwice(ctx, r.be, name)
	}
	if err := r.putMark(ctx, name, markStays); err != nil {
		return err
	}
	return r.be.Delete(ctx, copyOf(name)) // of those who mend at the same time
}
