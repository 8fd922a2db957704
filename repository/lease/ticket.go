package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Limits of objects in bytes: of a ticket, which holds a snapshot's object, and
// of everything else here.
const (
	maxTicket = 80 << 20
	maxObject = 64 << 20
)

// outcome is how a session was decided.
type outcome string

const (
	committed outcome = "committed"
	fenced    outcome = "fenced"
)

// ticket decides a session, once. A committed one holds the snapshot's object,
// so that a collector can put it when the writer died.
//
// Its text is a line of JSON, and after it the snapshot's object.
type ticket struct {
	Outcome  outcome `json:"outcome"`
	Snapshot string  `json:"snapshot,omitempty"` // name of the object
	By       string  `json:"by,omitempty"`       // the collector that fenced
	sealed   []byte
}

func (t ticket) encode() ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return append(append(text, '\n'), t.sealed...), nil
}

func decodeTicket(text []byte) (t ticket, err error) {
	line, sealed, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return t, fmt.Errorf("%w: no ticket", errDamaged)
	}
	if err := json.Unmarshal(line, &t); err != nil {
		return t, fmt.Errorf("%w: %w", errDamaged, err)
	}
	t.sealed = sealed
	switch {
	case t.Outcome == committed && t.Snapshot != "" && len(sealed) > 0:
	case t.Outcome == fenced && t.Snapshot == "" && len(sealed) == 0:
	default:
		return t, fmt.Errorf("%w: a ticket that says %q", errDamaged, t.Outcome)
	}
	return t, nil
}

func (s *Store) readTicket(ctx context.Context, name string) (ticket, error) {
	text, err := s.read(ctx, name, maxTicket)
	if err != nil {
		return ticket{}, err
	}
	t, err := decodeTicket(text)
	if err != nil {
		return t, fault.New("read", name, err, "")
	}
	return t, nil
}

// put seals and stores an object.
func (s *Store) put(ctx context.Context, name string, text []byte, o storage.PutOptions) error {
	sealed, err := s.keys.Seal(seal.TypeGC, name, text)
	if err != nil {
		return err
	}
	return s.be.Put(ctx, name, sealed, o)
}

// read reads and opens an object. An error that wraps errDamaged says that its
// bytes are not those that were put.
func (s *Store) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	data, err := storage.ReadAll(ctx, s.be, name, limit, nil)
	if err != nil {
		if errors.Is(err, storage.ErrShort) || errors.Is(err, storage.ErrOversize) || errors.Is(err, storage.ErrDamaged) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		return nil, err
	}
	text, err := s.keys.Open(seal.TypeGC, name, data)
	if err != nil {
		return nil, fault.New("read", name, fmt.Errorf("%w: %w", errDamaged, err), "")
	}
	return text, nil
}
