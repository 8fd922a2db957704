package repository

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/storage"
)

var someday = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPins(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOneSnapshot(t)
	want := Keep{Reason: "for the auditors", By: "operator@host1", Time: someday}
	if err := o.Pin(ctx, o.snap, want); err != nil {
		t.Fatal(err)
	}
	if err := o.Pin(ctx, o.snap, Keep{Reason: "another"}); !errors.Is(err, ErrKept) {
		t.Errorf("pinned twice: %v", err)
	}
	for _, source := range []string{"", o.snap.Source} {
		if pins, err := o.Pins(ctx, source); err != nil || len(pins) != 1 || pins[o.snap.ID] != want {
			t.Errorf("pins of %q: %v, %v", source, pins, err)
		}
	}
	if pins, err := o.Pins(ctx, "another"); err != nil || len(pins) > 0 {
		t.Errorf("pins of another source: %v, %v", pins, err)
	}
	if err := o.Forget(ctx, o.snap); !errors.Is(err, ErrPinned) {
		t.Errorf("forgetting a pinned snapshot: %v", err)
	}
	if err := o.stillThere(ctx, o.name); err != nil {
		t.Error(err)
	}
	if problems := o.problems(t); len(problems) > 0 {
		t.Errorf("a pinned repository has problems: %v", problems)
	}
	if err := o.Unpin(ctx, o.snap); err != nil {
		t.Fatal(err)
	}
	if err := o.Forget(ctx, o.snap); err != nil {
		t.Fatal(err)
	}
	if err := storedTwice(o.disk, 0); err != nil {
		t.Error(err)
	}
	if err := o.Pin(ctx, o.snap, want); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("pinning a forgotten snapshot: %v", err)
	}
	if pins, err := o.Pins(ctx, ""); err != nil || len(pins) > 0 {
		t.Errorf("pins left behind: %v, %v", pins, err)
	}
}

// TestHalfAPinPins loses or damages either object of a pin: it pins all the
// same, and a check names what is wrong.
func TestHalfAPinPins(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"", copyPrefix} {
		for _, lost := range []bool{true, false} {
			ctx, o := t.Context(), newOneSnapshot(t)
			if err := o.Pin(ctx, o.snap, Keep{Reason: "why"}); err != nil {
				t.Fatal(err)
			}
			object := half + pinObject(o.snap.Source, o.snap.Time, o.snap.ID)
			path := filepath.Join(strings.TrimPrefix(o.disk.Location(), "file://"), object)
			if lost {
				o.drop(t, object)
			} else if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 70)); err != nil {
				t.Fatal(err)
			}
			if pins, err := o.Pins(ctx, ""); err != nil || pins[o.snap.ID].Reason != "why" {
				t.Errorf("%s (lost: %v): %v, %v", object, lost, pins, err)
			}
			if problems := o.problems(t); len(problems) != 1 || !errors.Is(problems[object].Err, ErrServed) {
				t.Errorf("%s (lost: %v): %v", object, lost, problems)
			}
			if err := o.Forget(ctx, o.snap); !errors.Is(err, ErrPinned) {
				t.Errorf("%s (lost: %v): forgotten: %v", object, lost, err)
			}
		}
	}
}

func TestAPinThatCannotBeReadPins(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOneSnapshot(t)
	pin := pinObject(o.snap.Source, o.snap.Time, o.snap.ID)
	if err := o.disk.Put(ctx, pin, []byte("rubbish"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	pins, err := o.Pins(ctx, "")
	if err != nil || !strings.Contains(pins[o.snap.ID].Reason, "cannot be read") {
		t.Errorf("%v, %v", pins, err)
	}
	if err := o.Forget(ctx, o.snap); !errors.Is(err, ErrPinned) {
		t.Errorf("forgotten: %v", err)
	}
	if err := o.Unpin(ctx, o.snap); err != nil {
		t.Fatal(err)
	}
	if err := o.Forget(ctx, o.snap); err != nil {
		t.Error(err)
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOneSnapshot(t)
	holds := []Hold{
		{Source: "Home.1", Name: "anomaly", Keep: Keep{Reason: "90 % of the files changed", By: "anomaly", Time: someday}},
		{Source: "Home.1", Name: "manual", Keep: Keep{Reason: "wait", Time: someday}},
	}
	for _, h := range holds {
		if err := o.Hold(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Hold(ctx, holds[0]); !errors.Is(err, ErrKept) {
		t.Errorf("held twice by one name: %v", err)
	}
	for _, bad := range []Hold{{Source: "", Name: "x"}, {Source: "s"}, {Source: "s", Name: "../x"}, {Source: "s", Name: "x", Keep: Keep{Reason: strings.Repeat("x", maxReason+1)}}} {
		if err := o.Hold(ctx, bad); err == nil {
			t.Errorf("accepted %.60v", bad)
		}
	}
	if got, err := o.Holds(ctx); err != nil || len(got) != 2 || got[0] != holds[0] || got[1] != holds[1] {
		t.Errorf("holds %v, %v", got, err)
	}
	if problems := o.problems(t); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	for range 2 {
		if err := o.Release(ctx, "Home.1", "anomaly"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Holds(ctx); err != nil || len(got) != 1 || got[0].Name != "manual" {
		t.Errorf("holds %v, %v", got, err)
	}
}

// TestPinAndForgetMeet lets a snapshot be pinned and forgotten at once, in every
// order of their calls to the storage: never is a snapshot gone whose pin was
// confirmed, and never is a pin left of a snapshot that is gone.
func TestPinAndForgetMeet(t *testing.T) {
	t.Parallel()
	o := newOneSnapshot(t)
	data := map[string][]byte{}
	for _, name := range []string{o.name, copyOf(o.name)} {
		bytes, err := storage.ReadAll(t.Context(), o.disk, name, maxSnapshotSize, nil)
		if err != nil {
			t.Fatal(err)
		}
		data[name] = bytes
	}
	both, pinned, forgotten := 0, 0, 0
	const calls = 10 // of the two together, at most
	for order := range 1 << calls {
		for name, bytes := range data {
			if err := o.disk.Put(t.Context(), name, bytes, storage.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		a, b := newTurns(o.disk), newTurns(o.disk)
		pinner, forgetter := through(o.Repository, a), through(o.Repository, b)
		pinner.current.Store(true) // that the key is the newest was found before
		forgetter.current.Store(true)
		var pinErr, forgetErr error
		a.start(func() { pinErr = pinner.Pin(context.Background(), o.snap, Keep{}) })
		b.start(func() { forgetErr = forgetter.Forget(context.Background(), o.snap) })
		for i := range calls {
			if order>>i&1 == 0 {
				a.turn()
			} else {
				b.turn()
			}
		}
		a.finish()
		b.finish()
		there := storedTwice(o.disk, 1) == nil || pinErr == nil && o.stillThere(t.Context(), o.name) == nil
		left, err := o.hasKeep(t.Context(), pinObject(o.snap.Source, o.snap.Time, o.snap.ID))
		switch {
		case err != nil:
			t.Fatal(err)
		case pinErr == nil && (!there || !left):
			t.Fatalf("order %b: the pin was confirmed; the snapshot is there: %v, its pin: %v (forget: %v)", order, there, left, forgetErr)
		case pinErr != nil && left:
			t.Fatalf("order %b: the pin failed (%v) and is there", order, pinErr)
		case forgetErr == nil && there:
			t.Fatalf("order %b: forgotten, and still there", order)
		case pinErr != nil && forgetErr != nil:
			both++
		case pinErr == nil:
			pinned++
		default:
			forgotten++
		}
		if err := o.Unpin(t.Context(), o.snap); err != nil {
			t.Fatal(err)
		}
	}
	if pinned == 0 || forgotten == 0 || both == 0 {
		t.Errorf("pinned %d times, forgotten %d, neither %d: not every outcome was met", pinned, forgotten, both)
	}
}

// turns is a storage whose calls wait for their turn.
type turns struct {
	storage.Backend
	ready, goOn chan struct{}
	ended       bool
}

// through is a repository as another program sees it, by a storage of its own.
func through(r *Repository, be storage.Backend) *Repository {
	room := &roomy{Backend: be}
	return &Repository{be: room, room: room, keys: r.keys, index: r.index}
}

func newTurns(be storage.Backend) *turns {
	return &turns{Backend: be, ready: make(chan struct{}), goOn: make(chan struct{})}
}

// start runs fn up to its first call.
func (x *turns) start(fn func()) {
	go func() {
		fn()
		close(x.ready)
	}()
	x.await()
}

func (x *turns) await() {
	if _, more := <-x.ready; !more {
		x.ended = true
	}
}

// turn lets one call pass.
func (x *turns) turn() {
	if !x.ended {
		x.goOn <- struct{}{}
		x.await()
	}
}

func (x *turns) finish() {
	for !x.ended {
		x.turn()
	}
}

func (x *turns) wait() {
	x.ready <- struct{}{}
	<-x.goOn
}

func (x *turns) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	x.wait()
	return x.Backend.Put(ctx, name, data, o)
}

func (x *turns) Stat(ctx context.Context, name string) (storage.Info, error) {
	x.wait()
	return x.Backend.Stat(ctx, name)
}

func (x *turns) Delete(ctx context.Context, name string) error {
	x.wait()
	return x.Backend.Delete(ctx, name)
}
