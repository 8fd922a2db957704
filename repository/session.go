package repository

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/pending"
	"mahavishnu/storage"
)

// TypeArchival is the type of backups whose packs are kept apart.
const TypeArchival = "archival"

// SessionOptions says how a session stores. The zero value is the recommended
// one.
type SessionOptions struct {
	// Source is whose backup it is. What earlier sessions of it left that did not
	// finish is told apart from what snapshots hold.
	Source string
	// Compression of new blobs. The zero value is zstd, fastest.
	Compression compress.Setting
	// Type of the backup. "archival" sessions reuse only what archival packs
	// hold, because those are kept under rules of their own.
	Type string
	// Budget bounds the memory of pack buffers in bytes; three packs are the
	// least. Default: four packs on two cores, and one for each further core; one more
	// in storage that is reached over a network, so that several are on their way at a
	// time.
	Budget int64
	// PackSize is the size of packs in bytes, of which blobs fill as much as
	// fits. Default 16 MiB, and 20 MiB in storage that is reached over a network, where
	// each costs requests. A blob must fit into an empty pack.
	PackSize int
	// VerifyEvery decodes every n-th new blob right after it was sealed and
	// compares it. Default 64; 1 verifies all; negative none.
	VerifyEvery int
	// Fence is called last before the snapshot becomes visible: an error stops
	// the commit. Whoever runs under a lease asks here whether it still holds.
	Fence func(ctx context.Context) error
	// Clock is asked for the time. Default: the machine's.
	Clock clock.Clock
	// Lease says how collectors of garbage learn that the session lives. The zero
	// value is right without a queue.
	Lease lease.Options
}

const (
	defaultPackSize = 16 << 20
	// Over a network larger packs take fewer requests, and one more is stored at a
	// time while a server writes others to its disk. Together they stay within 200 MB.
	farPackSize        = 20 << 20
	farPacks           = 1
	minPackSize        = 4 << 10
	minBuffers         = 3
	defaultVerifyEvery = 64
	// fragmentEntries is when a session writes what it has of the index, so
	// that its memory stays flat however long it runs. Larger ones make look-ups
	// cheaper, and cost 200 bytes a blob while they are collected and written.
	fragmentEntries = 64 << 10
)

// withDefaults fills in what is left open; far tells whether the storage is reached over a
// network.
func (o SessionOptions) withDefaults(far bool) (SessionOptions, error) {
	switch {
	case o.PackSize != 0:
	case far:
		o.PackSize = farPackSize
	default:
		o.PackSize = defaultPackSize
	}
	if o.PackSize < minPackSize || o.PackSize > pack.MaxSize {
		return o, fmt.Errorf("pack size of %d bytes: use %d to %d", o.PackSize, minPackSize, pack.MaxSize)
	}
	if o.Budget == 0 {
		packs := max(4, runtime.GOMAXPROCS(0)+2)
		if far {
			packs += farPacks
		}
		o.Budget = int64(o.PackSize) * int64(packs)
	}
	if o.VerifyEvery == 0 {
		o.VerifyEvery = defaultVerifyEvery
	}
	o.Clock = clock.Or(o.Clock)
	o.Lease.Clock = clock.Or(o.Lease.Clock)
	return o, o.Compression.Validate()
}

// Session stores blobs and commits one snapshot. Its methods are safe for
// concurrent use; Commit or Abort ends it.
type Session struct {
	r       *Repository
	o       SessionOptions
	flags   uint8 // of new packs
	encs    encoders
	stats   counters
	view    atomic.Pointer[view] // what is indexed and may be reused
	pending pending.Set          // what is in this session and in no fragment yet
	packs   packers

	lease     *lease.Lease   // nil for a collector's, which holds its own
	tag       [4]byte        // the end of its packs' ids
	condemned *condemn.Lists // packs that it must not rely on
	decided   bool           // the ticket may say that it is committed
	protect   protector      // makes their parity

	// ctx is that of puts in the background: it outlives the caller's, so that
	// an interrupted run keeps what it has, and ends with err.
	ctx    context.Context
	cancel context.CancelCauseFunc
	puts   sync.WaitGroup
	broken atomic.Pointer[error] // the first failure; final

	saves  sync.RWMutex // held for reading by Save; ended is guarded by it
	ended  bool
	finish sync.Mutex // Commit and Abort take turns
	closed bool

	flushMu sync.Mutex // one fragment is written at a time
	enough  int        // blobs for a fragment
	doneMu  sync.Mutex // guards done
	done    index.Builder
}

// Session starts one. It reads the list of packs, so that it reuses only blobs
// whose pack is there, and takes over packs that no index knows: what a session
// that died had stored. ctx bounds the start only.
func (r *Repository) Session(ctx context.Context, o SessionOptions) (*Session, error) {
	const op = "start session"
	o, err := o.withDefaults(storage.Far(r.be.Location()))
	if err != nil {
		return nil, fault.New(op, r.be.Location(), err, "")
	}
	if err := r.mayChange(ctx, op); err != nil {
		return nil, err
	}
	if err := r.finishCreation(ctx); err != nil {
		return nil, err
	}
	encs, err := newEncoders(o.Compression)
	if err != nil {
		return nil, fault.New(op, r.be.Location(), err, "")
	}
	s := &Session{r: r, o: o, encs: encs, enough: fragmentEntries}
	if o.Type == TypeArchival {
		s.flags = pack.FlagArchival
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.packs.init(s)
	s.protect.init(r, o.PackSize)
	if err := s.begin(ctx); err != nil {
		_, abortErr := s.Abort(ctx)
		return nil, errors.Join(err, abortErr)
	}
	if err := s.look(ctx); err != nil {
		_, abortErr := s.Abort(ctx)
		return nil, errors.Join(err, abortErr)
	}
	if err := r.KeepReserve(ctx); err != nil {
		_, abortErr := s.Abort(ctx)
		return nil, errors.Join(err, abortErr)
	}
	return s, nil
}

// look learns what is stored.
func (s *Session) look(ctx context.Context) error {
	if err := s.r.Mend(ctx); err != nil {
		return err
	}
	v, orphans, err := s.r.look(ctx, s.flags, s.condemned)
	if err != nil {
		return err
	}
	if err := s.r.index.lacks(); err != nil { // since it began: what is there is not known
		return fault.New("start session", s.r.be.Location(), err, "")
	}
	s.view.Store(v)
	if err := s.inherit(ctx); err != nil {
		return err
	}
	return s.adopt(ctx, orphans)
}

// fail records the first failure and returns it: the session can only abort.
func (s *Session) fail(err error) error {
	if err == nil {
		return nil
	}
	err = s.blame(err)
	s.broken.CompareAndSwap(nil, &err)
	return *s.broken.Load()
}

// err returns the first failure.
func (s *Session) err() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Abort ends the session without a snapshot, but keeps what it stored: open
// packs and the index are written, so that the next session finds every byte.
// Give it a context that is not ended. After Commit it does nothing, so it may
// be deferred.
func (s *Session) Abort(ctx context.Context) (Stats, error) {
	s.finish.Lock()
	defer s.finish.Unlock()
	if s.closed {
		return s.Stats(), nil
	}
	stop := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	defer stop()
	err := s.drain(context.WithoutCancel(ctx))
	if !s.fenced() { // else its packs may be gone, and nobody waits for it any more
		err = errors.Join(err, s.flush(ctx))
	}
	return s.Stats(), errors.Join(err, s.endLease(ctx), s.close())
}

// drain waits for savers, and until all packs are stored. When ctx ends before,
// packs go on being stored: Abort waits for them.
func (s *Session) drain(ctx context.Context) error {
	s.saves.Lock()
	s.ended = true
	s.saves.Unlock()
	s.packs.finishAll()
	stored := make(chan struct{})
	go func() {
		s.puts.Wait()
		close(stored)
	}()
	select {
	case <-stored:
		return s.err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close lets go of buffers and encoders.
func (s *Session) close() error {
	s.closed = true
	s.cancel(ErrSessionEnded)
	return errors.Join(s.packs.close(), s.protect.close(), s.encs.close())
}
