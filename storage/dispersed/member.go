package dispersed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// member is one of the storages. What it is asked for it does only while it is known to
// be the one that belongs there: an empty or wrong storage is as good as away.
type member struct {
	backend.Backend
	of      *Backend
	index   int
	figures figures
	reach   reach
	// unlocked is set when the place said that it has no retention.
	unlocked atomic.Bool

	mu      sync.Mutex
	checked time.Time // when its record was read; zero: never
	verdict error     // what the record said against it
	record  membership
}

// own reads the record of a member, whatever it is a member of.
func (m *member) own(ctx context.Context) (membership, error) {
	var buf []byte
	err := m.request(ctx, false, func(ctx context.Context) (err error) {
		buf, err = m.readRecord(ctx)
		return err
	})
	if errors.Is(err, backend.ErrNotFound) {
		return membership{}, errEmptied
	}
	if err != nil {
		return membership{}, err
	}
	rec, err := parseMembership(buf)
	if err == nil {
		err = rec.fits(m.of, m)
	}
	return rec, err
}

// readRecord reads what a member has in the place of its record.
func (m *member) readRecord(ctx context.Context) ([]byte, error) {
	r, err := m.Backend.Get(ctx, recordName, 0, -1)
	if err != nil {
		return nil, err
	}
	buf, err := io.ReadAll(io.LimitReader(r, recordLen+1))
	return buf, errors.Join(err, r.Close())
}

// judge keeps what the record of a member, or its absence, says. Failures to read it
// say nothing, and are returned.
func (m *member) judge(set setID, rec membership, err error) error {
	if err == nil && rec.set != set {
		err = fmt.Errorf("%w: it belongs to the set %v, the others to %v", errForeign, rec.set, set)
	}
	if err != nil && !stranger(err) {
		return err
	}
	m.mu.Lock()
	m.checked, m.verdict, m.record = m.of.clock.Now(), err, rec
	m.mu.Unlock()
	if err != nil {
		m.of.notify(m.notice(problemOf(err), err))
	}
	return err
}

// admit returns nil when the member is the one that belongs there, as far as its record
// told not long ago.
func (m *member) admit(ctx context.Context) error {
	set, formed := m.of.identity.get()
	if !formed {
		return nil // there are no records yet: ready has seen to it
	}
	now := m.of.clock.Now()
	m.mu.Lock()
	recent, verdict := !m.checked.IsZero() && now.Sub(m.checked) < knownFor, m.verdict
	m.mu.Unlock()
	if recent {
		return verdict
	}
	rec, err := m.own(ctx)
	return m.judge(set, rec, err)
}

// refused is what a record said against a member when it was last read.
func (m *member) refused() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verdict
}

// clockSkew is by how much the clocks of machines that write may differ, at most.
const clockSkew = time.Hour

// lost tells whether the member may have lost its shard of a version: it was emptied after the
// version was put, and is not filled yet.
func (m *member) lost(v version) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.filling && v.seq < uint64(m.record.since+int64(clockSkew))
}

// filling tells whether the member was emptied and is not filled yet.
func (m *member) filling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.filling
}

// write stores the record of a member, that from then on belongs to the set.
func (m *member) write(ctx context.Context, rec membership, o backend.PutOptions) error {
	rec.data, rec.parity, rec.index = uint8(m.of.k), uint8(m.of.n-m.of.k), uint8(m.index)
	rec.since = m.of.clock.Now().UnixNano()
	o.Sync = true
	buf := rec.encode()
	if err := m.Backend.Put(ctx, recordName, buf, o); err != nil {
		return err
	}
	// A place that does not give back what it was given is none to count on.
	got, err := m.readRecord(ctx)
	if err == nil && !bytes.Equal(got, buf) {
		err = fmt.Errorf("%w: its record is not what was written", errEmptied)
	}
	if err != nil {
		return err
	}
	return m.judge(rec.set, rec, nil)
}

func (m *member) guard(ctx context.Context, op, name string) error {
	err := m.admit(ctx)
	if stranger(err) {
		return fault.New(op, name+" at "+m.Location(), err, "")
	}
	return err
}

// guarded makes a request to the member if it is the one that belongs there.
func (m *member) guarded(ctx context.Context, op, name string, change bool, fn func(context.Context) error) error {
	if err := m.guard(ctx, op, name); err != nil {
		return err
	}
	return m.request(ctx, change, fn)
}

// Put is that of the storage.
func (m *member) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	return m.guarded(ctx, "put", name, true, func(ctx context.Context) error { return m.Backend.Put(ctx, name, data, o) })
}

// Get is that of the storage.
func (m *member) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := m.guard(ctx, "get", name); err != nil {
		return nil, err
	}
	ctx, end, err := m.begin(ctx, false)
	if err != nil {
		return nil, err
	}
	r, err := m.Backend.Get(ctx, name, offset, length)
	if err != nil {
		return nil, end(err)
	}
	return &body{r, end}, nil
}

// List is that of the storage.
func (m *member) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	return m.guarded(ctx, "list", prefix, false, func(ctx context.Context) error { return m.Backend.List(ctx, prefix, fn) })
}

// Delete is that of the storage.
func (m *member) Delete(ctx context.Context, name string) error {
	return m.guarded(ctx, "delete", name, true, func(ctx context.Context) error { return m.Backend.Delete(ctx, name) })
}

// Sync is that of the storage.
func (m *member) Sync(ctx context.Context, names []string) error {
	return m.guarded(ctx, "sync", names[0], true, func(ctx context.Context) error { return m.Backend.Sync(ctx, names) })
}
