package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// turnPrefix is where collectors take turns: gc/turns/<number>, put if absent.
// The highest number tells who is at work. It only spares work: several
// collectors at once would do no harm.
const turnPrefix = "gc/turns/"

// BusyError says that another collector is at work, as far as can be told.
type BusyError struct{ Session Session }

// Error names it.
func (e *BusyError) Error() string { return "another prune is at work: " + e.Session.String() }

// FaultHint says what to do about it.
func (e *BusyError) FaultHint() string {
	return fmt.Sprintf("wait for it; if it was killed on another machine or in a container, `mahavishnu prune --wait 10m` takes its place when it has been silent for %d seconds", 2*e.Session.TTL)
}

// Turn takes this session's turn as the collector. A *BusyError says that
// another one is at work: one of those that the census found unfinished.
func (l *Lease) Turn(ctx context.Context, c *Census) error {
	var turns []string
	err := l.s.be.List(ctx, turnPrefix, func(info storage.Info) error {
		turns = append(turns, info.Name)
		return nil
	})
	if err != nil {
		return err
	}
	last, holder, err := l.s.lastTurn(ctx, turns)
	if err != nil {
		return err
	}
	for _, s := range c.Unfinished {
		if s.ID == holder {
			return &BusyError{Session: s}
		}
	}
	name := fmt.Sprintf("%s%08x", turnPrefix, last+1)
	err = l.s.put(ctx, name, l.id[:], storage.PutOptions{IfAbsent: true, Sync: true})
	if errors.Is(err, storage.ErrExists) {
		_, holder, err := l.s.lastTurn(ctx, []string{name})
		if err != nil {
			return err
		}
		if holder != l.id { // else repeated by a retry below us
			info, err := l.s.info(ctx, holder)
			if err != nil {
				return err
			}
			return &BusyError{Session: Session{ID: holder, Info: info}}
		}
	} else if err != nil {
		return err
	}
	for _, old := range turns {
		if err := l.s.be.Delete(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

// lastTurn returns the highest number and whose turn it was.
func (s *Store) lastTurn(ctx context.Context, turns []string) (n uint32, holder ID, err error) {
	object := ""
	for _, name := range turns {
		var m uint32
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, turnPrefix), "%08x", &m); err == nil && m >= n {
			n, object = m, name
		}
	}
	if object == "" {
		return 0, holder, nil
	}
	text, err := s.read(ctx, object, maxObject)
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, storage.ErrNotFound):
		return n, holder, nil
	case err != nil:
		return n, holder, fault.New("read", object, err, "")
	case len(text) == len(holder):
		copy(holder[:], text)
	}
	return n, holder, nil
}
