package histories

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage/faults"
)

// world is a storage, the programs that work on it, and the model.
type world struct {
	t     failer
	draw  *rapid.T // nil: nothing is left to chance
	dir   string   // of caches and sources
	ring  *keyring.Ring
	disk  *faults.Memory  // what is stored, whether it would survive a power cut or not
	cache *faults.Backend // knows what would not
	stage *faults.Stage
	story []string

	actors []*actor
	begun  int // actors ever

	keeper *keeper
	parity bool
	// injected is true while an operation has failed that somebody at work saw.
	injected bool

	sources  [3]source
	attempts map[int]*attempt
	jobs     int
}

// failer ends a test.
type failer interface {
	Helper()
	Log(...any)
	Fatalf(string, ...any)
}

// now says in which step of the history the world is.
func (w *world) now(t *rapid.T) { w.t, w.draw = t, t }

// source is something that is backed up.
type source struct {
	name    string
	content content
	busy    *actor // reads it
}

// attempt is a backup that was begun: the model.
type attempt struct {
	number    int
	content   content
	committed bool   // it said so
	fenced    bool   // it said so
	id        string // of the snapshot, once known
	forgotten bool   // somebody began to forget the snapshot
	gone      bool   // and said that it is done, after the attempt had ended
	ended     bool
}

// actor is a program that runs.
type actor struct {
	*faults.Actor
	what    string
	clock   *skewed
	cancel  context.CancelFunc
	err     error
	running atomic.Bool
	ended   func(err error) // tells the model
}

// skewed is a clock that is wrong by an offset.
type skewed struct {
	clock.Clock
	offset atomic.Int64 // nanoseconds
}

func (c *skewed) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.offset.Load())) }

// tell writes a line of the story.
func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// fail ends the history: a promise was broken.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	failure := strings.Join(w.story, "\n") + "\n" + fmt.Sprintf(format, args...)
	if firstFailure == "" {
		firstFailure = failure
	}
	w.t.Log(failure)
	w.t.Fatalf(format, args...)
}

// firstFailure is the first history that broke a promise, as it went: rapid tells of
// the shortest, if it plays the same way again.
var firstFailure string

// start runs a program. ended is called when it is over, unless it was killed.
func (w *world) start(what string, run func(context.Context, *actor) error, ended func(error)) *actor {
	w.begun++
	ctx, cancel := context.WithCancel(context.Background())
	a := &actor{
		Actor: w.stage.Actor(fmt.Sprintf("%s %d", what, w.begun), w.cache), what: what,
		clock: &skewed{Clock: clock.System()}, cancel: cancel, ended: ended,
	}
	a.running.Store(true)
	w.actors = append(w.actors, a)
	w.tell("%s begins", a.Name)
	go func() {
		defer a.running.Store(false)
		a.err = run(ctx, a)
	}()
	w.settle()
	return a
}

// settle waits until every program waits, and takes note of those that ended.
func (w *world) settle() {
	synctest.Wait()
	over := func(a *actor) bool { return !a.running.Load() }
	for _, a := range w.actors {
		if !over(a) {
			continue
		}
		a.cancel()
		w.tell("%s ends: %v", a.Name, a.err)
		a.ended(a.err)
	}
	w.actors = slices.DeleteFunc(w.actors, over)
	w.injected = w.injected && len(w.actors) > 0
}

// kill ends programs as SIGKILL does: nothing they do reaches the storage.
func (w *world) kill(these ...*actor) {
	for _, a := range these {
		w.tell("%s is killed", a.Name)
		a.Kill()
		a.cancel()
	}
	for _, a := range these {
		for a.running.Load() {
			time.Sleep(time.Minute) // of the bubble: what waits for a timer ends too
		}
	}
	w.settle()
}

// step lets a program do its next storage operation, and tells whether it had one.
func (w *world) step(a *actor, verdict func(*faults.Step)) bool {
	waiting := w.stage.WaitingOf(a.Actor)
	if len(waiting) == 0 {
		return false
	}
	next := waiting[0]
	if len(waiting) > 1 && w.draw != nil {
		next = waiting[rapid.IntRange(0, len(waiting)-1).Draw(w.draw, "which")]
	}
	w.tell("%s: %s %s", a.Name, next.Op, next.Name)
	operations.Add(1)
	verdict(next)
	w.settle()
	return true
}

// pick draws one of the programs that run.
func (w *world) pick(t *rapid.T) *actor {
	if len(w.actors) == 0 {
		t.Skip("nobody is at work")
	}
	return rapid.SampledFrom(w.actors).Draw(t, "actor")
}

// finish lets all programs come to their ends, turn about.
func (w *world) finish() {
	for round := 0; len(w.actors) > 0; round++ {
		moved := false
		for _, a := range slices.Clone(w.actors) {
			moved = w.step(a, (*faults.Step).Go) || moved
		}
		if !moved {
			w.pass(10 * time.Second)
		}
		if round > 100_000 {
			w.fail("%d programs do not end", len(w.actors))
		}
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	w.settle()
}

// open opens the repository past the stage, for a look that takes no time.
func (w *world) open(opts ...func(*repository.OpenOptions)) *repository.Repository {
	w.t.Helper()
	o := repository.OpenOptions{CacheDir: w.dir + "/look"}
	for _, opt := range opts {
		opt(&o)
	}
	r, err := repository.Open(context.Background(), w.disk, w.ring, o)
	if err != nil {
		w.fail("open: %v", err)
	}
	return r
}

func (w *world) close(r *repository.Repository) {
	if err := r.Close(); err != nil {
		w.fail("close: %v", err)
	}
}

// check is the promise: every snapshot that shows restores bit for bit, every
// confirmed one shows until somebody forgets it, none of a fenced session shows.
func (w *world) check() {
	w.t.Helper()
	r := w.open()
	defer w.close(r)
	ctx := context.Background()
	snaps, damaged, err := r.Snapshots(ctx, "")
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	for _, err := range damaged {
		if !errors.Is(err, repository.ErrServed) {
			w.fail("damaged: %v", err)
		}
	}
	shown := map[string]bool{}
	for _, snap := range snaps {
		shown[snap.ID] = true
		x := w.attempts[snap.Attempt]
		if x != nil && x.gone && w.onlyCopy(snap) {
			continue // see letGoAgain
		}
		switch {
		case x == nil:
			w.fail("snapshot %s is of no attempt: %d", snap.ID, snap.Attempt)
		case x.fenced:
			w.fail("snapshot %s of attempt %d, which was fenced, shows", snap.ID, x.number)
		case x.gone:
			w.fail("snapshot %s of attempt %d, which was forgotten, shows again", snap.ID, x.number)
		}
		x.id = snap.ID
		if err := x.content.restores(ctx, r, snap); err != nil {
			w.fail("snapshot %s of attempt %d does not restore: %v\n%s", snap.ID, x.number, err, w.listing())
		}
	}
	for _, x := range w.attempts {
		if x.committed && !x.forgotten && !shown[x.id] {
			w.fail("snapshot %s of attempt %d was confirmed and is gone", x.id, x.number)
		}
	}
}

// onlyCopy tells whether a snapshot shows by its second copy alone.
func (w *world) onlyCopy(snap repository.Snapshot) bool {
	for name := range w.disk.Objects() {
		if strings.HasPrefix(name, "snapshots/") && strings.HasSuffix(name, "-"+snap.ID) {
			return false
		}
	}
	return true
}

// letGoAgain forgets once more what a program had in hand when it was forgotten: it
// puts the second copy and then looks whether the snapshot is there still. One that
// dies between these two leaves a forgotten snapshot that looks lost, as DESIGN.md
// beside package repository tells; the retention policy lets it go again.
func (w *world) letGoAgain() {
	r := w.open()
	defer w.close(r)
	snaps, _, err := r.Snapshots(context.Background(), "")
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	for _, snap := range snaps {
		if x := w.attempts[snap.Attempt]; x != nil && x.gone && w.onlyCopy(snap) {
			w.tell("snapshot %s is forgotten again", snap.ID)
			if err := r.DeleteSnapshot(context.Background(), snap); err != nil {
				w.fail("forget again: %v", err)
			}
		}
	}
}

// listing shows what is stored.
func (w *world) listing() string {
	var b strings.Builder
	objects := w.disk.Objects()
	for _, name := range sortedNames(objects) {
		fmt.Fprintf(&b, "%s %d\n", name, len(objects[name]))
	}
	return b.String()
}

func sortedNames(objects map[string][]byte) []string { return slices.Sorted(maps.Keys(objects)) }

// What was played, and what came of it.
var steps, operations, quiets, rescued, fenced, published, removed atomic.Int64

// inBubble runs a history where time is the history's. What rapid throws to end a
// history early passes through.
func inBubble(t *testing.T, run func(t *testing.T)) {
	var thrown any
	synctest.Test(t, func(t *testing.T) {
		defer func() { thrown = recover() }()
		run(t)
	})
	if thrown != nil {
		panic(thrown)
	}
}
