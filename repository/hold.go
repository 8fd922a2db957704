package repository

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
)

// ErrFenced means that a session was taken for dead, by a collector of garbage
// or because its lease in the queue ended. It published nothing; start anew.
var ErrFenced = lease.ErrFenced

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
	o := s.o.Lease
	o.Source = s.o.Source
	s.lease, err = s.r.beginLease(ctx, lease.Backup, o, func(err error) { s.cancel(s.fail(err)) })
	if err != nil {
		return err
	}
	s.tag = s.lease.ID().Tag()
	s.condemned, err = condemn.Read(ctx, s.r.be, s.r.keys)
	return err
}

// fenced tells whether the session found that it was taken for dead.
func (s *Session) fenced() bool { return s.lease != nil && s.lease.Err() != nil }

// blame finds out why something is missing: the packs of a session that was taken
// for dead may be deleted at any time.
func (s *Session) blame(err error) error {
	if s.lease == nil || !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if fenced := s.lease.Check(context.WithoutCancel(s.ctx)); errors.Is(fenced, ErrFenced) {
		return fmt.Errorf("%w: %w", fenced, err)
	}
	return err
}

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
