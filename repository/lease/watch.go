package lease

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage"
)

// notesObject holds what earlier collectors have seen, so that a session that
// died is told by two short runs as well as by a long one. It is replaced as a
// whole, and its loss costs time only.
const notesObject = "gc/seen"

// unkept is the patience with a session whose Keeper this program has no
// connection with.
const unkept = 12 * time.Hour

// sighting is the last change of a session's beat that was seen.
type sighting struct {
	Pulse uint64    `json:"pulse"`
	Since time.Time `json:"since"`
}

// Watcher tells dead sessions from living ones. It is used by one goroutine.
type Watcher struct {
	s      *Store
	keeper Keeper
	clock  clock.Clock
	seen   map[ID]sighting
	loaded bool
	noted  map[ID]sighting // as the storage has it
	moved  map[ID]bool     // seen to be alive by this watcher
}

// Watch starts to watch. keeper may be nil.
func (s *Store) Watch(keeper Keeper, c clock.Clock) *Watcher {
	return &Watcher{s: s, keeper: keeper, clock: clock.Or(c), seen: map[ID]sighting{}, moved: map[ID]bool{}}
}

// load reads the notes of earlier watchers.
func (w *Watcher) load(ctx context.Context) error {
	if w.loaded {
		return nil
	}
	text, err := w.s.read(ctx, notesObject, maxObject)
	if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, errDamaged) {
		return err
	}
	if err == nil && json.Unmarshal(text, &w.seen) != nil {
		clear(w.seen)
	}
	w.noted = maps.Clone(w.seen)
	w.loaded = true
	return nil
}

// Note leaves what was seen to later watchers.
func (w *Watcher) Note(ctx context.Context) error {
	if !w.loaded || maps.EqualFunc(w.seen, w.noted, func(a, b sighting) bool { return a.Pulse == b.Pulse && a.Since.Equal(b.Since) }) {
		return nil
	}
	text, err := json.Marshal(w.seen)
	if err != nil {
		return err
	}
	return w.s.put(ctx, notesObject, text, storage.PutOptions{})
}

// dead gives the verdict on a session that has not ended.
func (w *Watcher) dead(ctx context.Context, s *Session) (bool, error) {
	if s.Gone = s.Process.gone(); s.Gone {
		return true, nil // whatever beats or a queue may say a little longer
	}
	dead, err := w.silent(ctx, s.ID, s.Info)
	s.Alive = w.moved[s.ID]
	return dead, err
}

// silent tells whether a session shows no sign of life for too long.
func (w *Watcher) silent(ctx context.Context, id ID, info Info) (bool, error) {
	patience := 2 * time.Duration(info.TTL) * time.Second
	if info.Kept && w.keeper != nil {
		alive, err := w.keeper.Alive(ctx, id.String())
		if err != nil && ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		w.moved[id] = err == nil && alive
		return err == nil && !alive, nil // who cannot be asked about is taken to live
	}
	if info.Kept {
		patience = unkept
	}
	pulse, err := w.s.pulse(ctx, id)
	if err != nil {
		return false, err
	}
	now := w.clock.Now()
	last, known := w.seen[id]
	w.moved[id] = w.moved[id] || known && last.Pulse != pulse
	if !known || last.Pulse != pulse || now.Before(last.Since) {
		w.seen[id] = sighting{Pulse: pulse, Since: now}
		return false, nil
	}
	return now.Sub(last.Since) >= patience, nil
}

// forget drops what was seen of sessions that are gone.
func (w *Watcher) forget(there map[ID]bool) {
	for id := range w.seen {
		if !there[id] {
			delete(w.seen, id)
		}
	}
}
