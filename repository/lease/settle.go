package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// Presence is what is at the name of a snapshot.
type Presence int

// What may be there.
const (
	Absent    Presence = iota
	Present            // the snapshot, or its second copy
	Forgotten          // the mark that keeps the name taken for ever
)

// Snapshots is what settling must know of them; package repository implements it.
type Snapshots interface {
	// Presence tells what is at a snapshot's name.
	Presence(ctx context.Context, name string) (Presence, error)
	// Publish puts a snapshot's object under its name if absent, durably, and
	// then its second copy.
	Publish(ctx context.Context, name string, sealed []byte) error
}

// Session is a session as a collector sees it.
type Session struct {
	ID ID `json:"id"`
	Info
	// Committed is true when its ticket says so and its snapshot may still come
	// from itself.
	Committed bool `json:"committed,omitempty"`
	// Alive is true when this watcher saw signs of life: not when it has seen
	// nothing yet.
	Alive bool `json:"alive,omitempty"`
	// Gone is true when its process ran on this machine and has ended.
	Gone bool `json:"gone,omitempty"`
}

// String tells people who it is.
func (s Session) String() string {
	role := string(s.Role)
	if role == "" {
		role = "session"
	}
	if s.Host == "" {
		return fmt.Sprintf("%s %s", role, s.ID.String()[:8])
	}
	return fmt.Sprintf("%s on %s (process %d, since %s)", role, s.Host, s.PID, s.Started.Format("2006-01-02 15:04:05 MST"))
}

// Census is what a collector found, and did, when it went through the sessions.
type Census struct {
	// Unfinished sessions are at work, as far as can be told.
	Unfinished []Session
	// Fenced sessions were taken for dead now.
	Fenced []Session
	// Published snapshots are those of dead sessions that had committed.
	Published []string
	// Cleared is how many ended sessions were removed.
	Cleared int
	// Stuck sessions have a ticket that cannot be read: nobody can tell what
	// they committed, so whoever waits for them waits for ever.
	Stuck []error

	open map[ID]bool
}

// Interrupted returns the backups of a source that have ended and committed nothing,
// as far as that can be told at once, and until they are cleared away.
func (s *Store) Interrupted(ctx context.Context, source string) ([]Session, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	var left []Session
	for _, r := range records {
		if !r.object || r.end {
			continue
		}
		info, err := s.info(ctx, r.id)
		if err != nil {
			return nil, err
		}
		gone := !r.done && info.Process.gone()
		if info.Role == Backup && info.Source == source && (r.done || gone) {
			left = append(left, Session{ID: r.id, Info: info, Gone: gone})
		}
	}
	return left, nil
}

// Open tells whether the session may still do something.
func (c *Census) Open(id ID) bool { return c.open[id] }

// Tags returns the tags of the sessions that may still do something.
func (c *Census) Tags() map[[4]byte]bool {
	tags := map[[4]byte]bool{}
	for id := range c.open {
		tags[id.Tag()] = true
	}
	return tags
}

// Left returns the sessions that whoever settles next ends at once: their process
// has ended before they had committed anything.
func (c *Census) Left() []Session {
	var left []Session
	for _, s := range c.Unfinished {
		if s.Gone && !s.Committed {
			left = append(left, s)
		}
	}
	return left
}

func (c *Census) unfinished(s Session) {
	c.open[s.ID] = true
	c.Unfinished = append(c.Unfinished, s)
}

// Look goes through the sessions without changing anything. It gives no verdict
// on those that may be dead: they count as unfinished.
func (w *Watcher) Look(ctx context.Context, self ID) (*Census, error) {
	return w.census(ctx, self, nil)
}

// Settle goes through the sessions: it fences the dead, puts the snapshots of
// those that died after they had committed, and removes what is left of ended
// ones. self is passed over.
func (w *Watcher) Settle(ctx context.Context, self ID, snaps Snapshots) (*Census, error) {
	return w.census(ctx, self, snaps)
}

func (w *Watcher) census(ctx context.Context, self ID, snaps Snapshots) (*Census, error) {
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	records, err := w.s.records(ctx)
	if err != nil {
		return nil, err
	}
	c := &Census{open: map[ID]bool{}}
	there := map[ID]bool{}
	for _, r := range records {
		if there[r.id] = r.object; r.id == self {
			continue
		}
		if err := w.one(ctx, r, self, snaps, c); err != nil {
			return c, err
		}
	}
	w.forget(there)
	if snaps == nil {
		return c, nil
	}
	return c, w.s.dropClaims(ctx, snaps)
}

// one judges a session and, if snaps is not nil, does what follows from it.
func (w *Watcher) one(ctx context.Context, r record, self ID, snaps Snapshots, c *Census) error {
	switch {
	case r.done:
		if snaps == nil {
			return nil
		}
		return w.clearDone(ctx, r, c)
	case r.end:
		return w.ended(ctx, r, snaps, c)
	case !r.object: // a beat that came late
		if snaps == nil {
			return nil
		}
		return w.s.remove(ctx, r.id, beatSuffix)
	}
	info, err := w.s.info(ctx, r.id)
	if err != nil {
		return err
	}
	s := Session{ID: r.id, Info: info}
	dead, err := w.dead(ctx, &s)
	if err != nil {
		return err
	}
	if !dead || snaps == nil {
		c.unfinished(s)
		return nil
	}
	text, err := ticket{Outcome: fenced, By: self.String()}.encode()
	if err != nil {
		return err
	}
	err = w.s.put(ctx, r.id.object()+endSuffix, text, storage.PutOptions{IfAbsent: true, Sync: true})
	switch {
	case errors.Is(err, storage.ErrExists):
		r.end = true // it decided itself meanwhile
		return w.ended(ctx, r, snaps, c)
	case err != nil:
		return err
	}
	c.Fenced = append(c.Fenced, s)
	return w.clear(ctx, r.id, c, endSuffix)
}

// ended goes on with a session that has a ticket and has not said that it is
// done.
func (w *Watcher) ended(ctx context.Context, r record, snaps Snapshots, c *Census) error {
	name := r.id.object() + endSuffix
	t, err := w.s.readTicket(ctx, name)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil // cleared since it was listed
	case errors.Is(err, errDamaged) && r.object:
		c.Stuck = append(c.Stuck, fault.New("settle session", name, err,
			"when you are sure that its process is gone, delete "+name+" and "+r.id.object()))
		c.unfinished(Session{ID: r.id})
		return nil
	case errors.Is(err, errDamaged):
		return nil // its snapshot was put before its object went; the ticket only guards the name
	case err != nil:
		return err
	}
	if t.Outcome == fenced {
		if snaps == nil {
			return nil
		}
		return w.clear(ctx, r.id, c, endSuffix)
	}
	if !r.object {
		return w.release(ctx, r.id, t.Snapshot, snaps)
	}
	info, err := w.s.info(ctx, r.id)
	if err != nil {
		return err
	}
	s := Session{ID: r.id, Info: info, Committed: true}
	dead, err := w.dead(ctx, &s)
	if err != nil {
		return err
	}
	if !dead || snaps == nil {
		c.unfinished(s)
		return nil
	}
	published, err := w.rollForward(ctx, r.id, t, snaps)
	if err != nil {
		return err
	}
	if published {
		c.Published = append(c.Published, t.Snapshot)
	}
	// The ticket stays: the writer may still put the snapshot, so the name must
	// not become free. See release.
	return w.clear(ctx, r.id, c, "")
}

// rollForward puts the snapshot of a session that died after it had committed.
// The claim comes before the look whether the session object is still there, and
// whoever clears a session looks for claims after that object is gone.
func (w *Watcher) rollForward(ctx context.Context, id ID, t ticket, snaps Snapshots) (bool, error) {
	claim, err := w.s.claim(ctx, claimText{Names: []string{t.Snapshot}, Session: &id})
	if err != nil {
		return false, err
	}
	if _, err := w.s.be.Stat(ctx, id.object()); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return false, claim.Release(ctx) // somebody else has settled it
		}
		return false, err
	}
	there, err := snaps.Presence(ctx, t.Snapshot)
	if err == nil && there == Absent {
		err = snaps.Publish(ctx, t.Snapshot, t.sealed)
	}
	if err != nil {
		return false, err // the claim stays: the put may have happened, or may yet
	}
	return there == Absent, claim.Release(ctx)
}

// release removes the ticket of a committed session that never said it was done,
// when it guards nothing any more.
func (w *Watcher) release(ctx context.Context, id ID, snapshot string, snaps Snapshots) error {
	if snaps == nil {
		return nil
	}
	there, err := snaps.Presence(ctx, snapshot)
	if err != nil || there == Present {
		return err
	}
	return w.s.remove(ctx, id, endSuffix)
}

// clear removes a session that ended: its object first, durably, so that a
// ticket it may still put finds it gone; then its beat and, last, what is named.
func (w *Watcher) clear(ctx context.Context, id ID, c *Census, last string) error {
	c.Cleared++
	if err := w.s.remove(ctx, id, "", beatSuffix); err != nil || last == "" {
		return err
	}
	return w.s.remove(ctx, id, last)
}

// clearDone removes a session that said it was done. Its ticket must go before
// that mark: alone, it would mean a session that died.
func (w *Watcher) clearDone(ctx context.Context, r record, c *Census) error {
	if r.object {
		c.Cleared++
	}
	return w.s.remove(ctx, r.id, "", beatSuffix, endSuffix, doneSuffix)
}

func (s *Store) remove(ctx context.Context, id ID, suffixes ...string) error {
	for _, suffix := range suffixes {
		if err := s.be.Delete(ctx, id.object()+suffix); err != nil {
			return err
		}
	}
	return nil
}

// IDs returns the sessions that may still do something.
func (c *Census) IDs() []ID {
	ids := make([]ID, 0, len(c.open))
	for id := range c.open {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
