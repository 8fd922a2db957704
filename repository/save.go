package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/pack"
)

// Saved says what Save did with a blob.
type Saved struct {
	New    bool // false: it was stored already
	Stored int  // bytes it takes in its pack, when new
}

// ID returns the content id of data.
func (s *Session) ID(kind Kind, data []byte) ID { return s.r.ids.id(kind, data) }

// Has tells whether the blob needs no storing: it is in this session, or
// indexed in a pack that is there.
func (s *Session) Has(id ID) bool {
	// In this order: a blob leaves pending only after it is in the view.
	return s.pending.Has(id) || s.view.Load().has(id)
}

// Save stores data unless it is stored already. Call it from as many goroutines
// as there are cores: each carries its blob from hash to pack by itself. Save
// does not keep data. An error is final for the session: it can only abort.
func (s *Session) Save(ctx context.Context, kind Kind, data []byte) (ID, Saved, error) {
	s.saves.RLock()
	defer s.saves.RUnlock()
	switch {
	case s.ended:
		return ID{}, Saved{}, fault.New("save", kind.String()+" blob", ErrSessionEnded, "")
	case s.err() != nil:
		return ID{}, Saved{}, s.err()
	case ctx.Err() != nil:
		return ID{}, Saved{}, context.Cause(ctx)
	case len(data) > min(blob.MaxSize, pack.Room(s.o.PackSize)):
		return ID{}, Saved{}, fault.New("save", kind.String()+" blob", fmt.Errorf("%w: %d bytes", ErrTooLarge, len(data)), "")
	}
	id := s.r.ids.id(kind, data)
	if s.Has(id) || !s.pending.Claim(id) {
		s.stats.reusedBlobs.Add(1)
		s.stats.reusedBytes.Add(int64(len(data)))
		return id, Saved{}, nil
	}
	stored, err := s.store(ctx, kind, id, data)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) && s.err() == nil {
			// The caller gave up waiting; nothing is wrong with the session.
			s.pending.Drop(id)
			return id, Saved{}, context.Cause(ctx)
		}
		return id, Saved{}, s.fail(fault.New("save", "blob "+id.String(), err, ""))
	}
	s.stats.newBlobs.Add(1)
	s.stats.newBytes.Add(int64(len(data)))
	s.stats.storedBytes.Add(int64(stored))
	return id, Saved{New: true, Stored: stored}, nil
}

// store puts a new blob into a pack.
func (s *Session) store(ctx context.Context, kind Kind, id ID, data []byte) (int, error) {
	w, err := s.packs.take(ctx, kind, len(data))
	if err != nil {
		return 0, err
	}
	defer s.packs.give(w)
	e, err := w.Add(id, data)
	if err != nil {
		return 0, err
	}
	if n := s.o.VerifyEvery; n > 0 && int(s.stats.newBlobs.Load())%n == 0 {
		if err := s.verify(w.Writer, e, data); err != nil {
			return 0, err
		}
	}
	return int(e.Stored), nil
}

// verify opens what was just sealed and compares it: a sample of all blobs, so
// that failing memory or a broken library is met before it can do much harm.
func (s *Session) verify(w *pack.Writer, e pack.Entry, data []byte) error {
	record := s.r.scratch.get(int(e.Stored))
	defer s.r.scratch.put(record)
	out := s.r.scratch.get(len(data))
	defer s.r.scratch.put(out)
	copy(record.b, w.Record(e))
	h := w.Header()
	dec, err := s.r.decoder(h.KeyVersion, h.ID, h.Kind)
	if err != nil {
		return err
	}
	got, _, err := dec.Blob(out.b, record.b, e.ID, e.Raw)
	if err == nil && !bytes.Equal(got, data) {
		err = errors.New("other bytes come back")
	}
	if err != nil {
		return fault.New("verify", "blob "+e.ID.String()+" just sealed", err,
			"the memory or the processor of this machine may be failing: test it before trusting its backups")
	}
	return nil
}
