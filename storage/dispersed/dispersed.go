package dispersed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// area is where a storage keeps what is no shard of a confirmed object: shards that
// wait to take their place, and the records of elections.
const area = "+dispersed/"

var errClosed = errors.New("the storage was closed")

// Backend is storage that is spread over several others.
type Backend struct {
	members   []*member
	codec     *codec
	k, n      int
	quorum    int
	hedge     bool
	patience  time.Duration
	behind    int64
	clock     clock.Clock
	known     *known
	identity  *identity
	history   *history
	tell      func(Notice)
	reads     atomic.Uint64
	aside     atomic.Int32 // storages that are put aside
	waiting   atomic.Int64 // bytes of shards on their way behind confirmed puts
	life      context.Context
	end       context.CancelCauseFunc
	probes    context.Context // ends before life does: nobody waits for what goes on in it
	endProbes context.CancelFunc
	running   sync.WaitGroup
	closeOnce sync.Once

	mu          sync.Mutex
	names       map[string]*nameLock
	told        map[string]bool // notices
	weak        int             // shards that could not be put behind confirmed puts since Open
	recording   bool            // of what was confirmed
	recordAgain bool            // since something was confirmed after that began
}

var _ backend.Backend = (*Backend)(nil)

// begin is what every operation on an object checks first. Names below area
// are this package's own.
func (b *Backend) begin(ctx context.Context, op, name string, write bool) error {
	if err := backend.CheckName(op, name); err != nil {
		return err
	}
	if strings.HasPrefix(name+"/", area) {
		return fault.New(op, name, backend.ErrBadName, "names below "+area+" are kept for dispersed storage itself")
	}
	if err := ended(ctx, op, name); err != nil {
		return err
	}
	return b.ready(ctx, op, name, write)
}

func ended(ctx context.Context, op, name string) error {
	if ctx.Err() != nil {
		return fault.New(op, name, context.Cause(ctx), "")
	}
	return nil
}

// Close waits for what is on its way to slow storages, up to patience, gives up
// what waits to be tried again, and closes the storages.
func (b *Backend) Close() error {
	var err error
	b.closeOnce.Do(func() {
		b.endProbes()
		done := make(chan struct{})
		go func() {
			b.running.Wait()
			close(done)
		}()
		timer := b.clock.NewTimer(b.patience)
		select {
		case <-done:
		case <-timer.C():
		}
		timer.Stop()
		b.end(errClosed)
		<-done
		for _, m := range b.members {
			err = errors.Join(err, m.Close())
		}
	})
	return err
}

// Behind tells how many shards could not be put since Open after their objects were
// confirmed: [Backend.Repair] makes them anew.
func (b *Backend) Behind() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.weak
}

// tooFew is the error of an operation for which not enough storages answered. What
// some said of the object does not count as the reason: the object may well be
// there, or not.
func (b *Backend) tooFew(ctx context.Context, op, name string, need int, errs ...error) error {
	if err := ended(ctx, op, name); err != nil {
		return err
	}
	var reasons []string
	lasting, after := error(nil), time.Duration(0)
	for i, err := range errs {
		if err == nil || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrExists) {
			continue
		}
		for _, kind := range []error{
			backend.ErrArchived, backend.ErrRetained, backend.ErrFull, backend.ErrReadOnly, backend.ErrDenied, backend.ErrUnsupported,
		} {
			if lasting == nil && errors.Is(err, kind) {
				lasting = kind
			}
		}
		var t *backend.TemporaryError
		if errors.As(err, &t) {
			after = max(after, t.After)
		}
		reasons = append(reasons, fmt.Sprintf("storage %d: %v", i+1, err))
	}
	var err error = &fewError{need: need, reasons: strings.Join(reasons, "; "), lasting: lasting}
	if lasting == nil {
		err = &backend.TemporaryError{Err: err, After: after}
	}
	hint := fmt.Sprintf("at least %d of the %d storages must answer: mend those that are named", need, b.n)
	if slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, errRolledBack) }) {
		hint += "; " + adviceFew
	}
	return fault.New(op, name, err, hint)
}

// fewError says why there were not enough storages, on one line.
type fewError struct {
	need    int
	reasons string
	lasting error // what does not pass by itself, of all reasons
}

func (e *fewError) Error() string {
	text := fmt.Sprintf("fewer than %d storages answered", e.need)
	if e.reasons != "" {
		text += ": " + e.reasons
	}
	return text
}

// Unwrap returns what callers may decide on.
func (e *fewError) Unwrap() error { return e.lasting }

// readAt fills buf from an object of a member, or fails with ErrShort.
func readAt(ctx context.Context, m *member, name string, offset int64, buf []byte) error {
	r, err := m.Get(ctx, name, offset, int64(len(buf)))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(r, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = backend.ErrShort
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil && !errors.As(err, new(*fault.Error)) {
		err = fault.New("read", name+" at "+m.Location(), err, "")
	}
	return err
}
