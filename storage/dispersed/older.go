package dispersed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Storages that were rolled back get shards, but nothing that is confirmed counts on those:
// they are gone when the newest state of these storages is put back.

// counts returns how a request came out that changed something, as far as a quorum counts
// on it: not when the storage was rolled back.
func (m *member) counts(err error) error {
	if err != nil {
		return err
	}
	return m.of.history.against(m)
}

// olderError says that more storages were rolled back than may be lost.
type olderError struct{ which []string }

func (e *olderError) Error() string {
	return fmt.Sprintf("%d storages were rolled back, more than may be lost, so nothing is stored: %s", len(e.which), strings.Join(e.which, "; "))
}

// Unwrap lets those go on who would only have taken a note.
func (e *olderError) Unwrap() []error { return []error{errRolledBack, backend.ErrReadOnly} }

// older says which storages were rolled back when they are more than may be lost; else it is
// nil.
func (b *Backend) older() *olderError {
	e := &olderError{}
	for _, m := range b.members {
		if err := b.history.against(m); err != nil {
			e.which = append(e.which, fmt.Sprintf("storage %d, %s", m.index+1, m.Location())) // why is told once: see [Notice]
		}
	}
	if len(e.which) <= b.n-b.k {
		return nil
	}
	return e
}

func (m *member) olderNotice(err error) Notice {
	n := m.notice(RolledBack, err)
	n.TooMany = m.of.older() != nil
	return n
}

// mayStore refuses to store while more storages are rolled back than may be lost: what is
// stored then and what they had could not both be kept. A commit, which makes what was
// stored before count, asks anew.
func (b *Backend) mayStore(ctx context.Context, name string, commit bool) error {
	if _, formed := b.identity.get(); !formed {
		return nil
	}
	b.survey(ctx, commit)
	if err := ended(ctx, opPut, name); err != nil {
		return err
	}
	if err := b.older(); err != nil {
		return fault.New(opPut, name, err, adviceOlder)
	}
	if b.history.gaveUp() {
		return fault.New(opPut, name, errGiven, "begin again")
	}
	return nil
}

// errGiven is why a process stores nothing any more that was at work when losses were
// accepted: what it counts on may be among them.
var errGiven = errors.New("objects that were lost with an older state of the storages were let go of since this process began")

// gaveUp tells whether losses were accepted since this process began.
func (h *history) gaveUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun && h.given > h.first
}

// MayStore returns why nothing can be stored for as long as more storages are rolled back
// than may be lost; else nil.
func (b *Backend) MayStore(ctx context.Context) error {
	if err := b.ready(ctx, opPut, b.Location(), false); err != nil {
		return err
	}
	return b.mayStore(ctx, b.Location(), true)
}

// What to do with storages that were rolled back: as many as may be lost, and more.
const (
	adviceFew   = "put the newest state of those back that were rolled back, or if it is lost: mahavishnu verify --repair"
	adviceOlder = "put the newest state of these storages back; only if it is nowhere: mahavishnu verify (of a copy: --replica COPY) says what is lost without it, and how to go on"
)
