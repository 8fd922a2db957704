package replication

import (
	"context"
	"errors"
	"testing"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

func (w *world) role(p *place, role Role, epoch uint32) {
	w.t.Helper()
	s, err := RoleOf(context.Background(), p)
	if err != nil || s.Role != role || s.Epoch != epoch {
		w.t.Errorf("%s is %s of epoch %d, %v; want %s of %d", p.name, s.Role, s.Epoch, err, role, epoch)
	}
}

func replicated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.write("a", 10_000)
	w.backup(w.from)
	w.replicate()
	return w
}

func TestRolesOfAPair(t *testing.T) {
	w := replicated(t)
	w.role(w.from, Primary, 0)
	w.role(w.to, Replica, 0)
	if err := CheckPrimary(t.Context(), w.from, w.to); err != nil {
		t.Errorf("the primary: %v", err)
	}
	if err := CheckPrimary(t.Context(), w.to, w.from); !errors.Is(err, ErrReplica) {
		t.Errorf("storing into the replica: %v", err)
	}
}

// The primary is lost, the replica takes its place, and the old one comes back.
func TestPromotion(t *testing.T) {
	w := replicated(t)
	s, demoted, err := Promote(t.Context(), PromoteOptions{Replica: w.to, By: "somebody", Reason: "fire", Clock: w.clock})
	if err != nil || demoted != nil || s.Epoch != 1 || s.Role != Primary {
		t.Fatalf("%+v, %v, %v", s, demoted, err)
	}
	again, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock})
	if err != nil || again.Epoch != 1 || again.Reason != "fire" {
		t.Errorf("promoted twice: %+v, %v", again, err)
	}
	w.write("b", 1000)
	newer := w.backup(w.to)
	w.write("c", 1000)
	w.backup(w.from) // nobody told the old one yet

	before := w.to.Objects()
	if _, err := Run(t.Context(), w.options()); !errors.Is(err, ErrReplaced) {
		t.Errorf("the old primary copies over the new one: %v", err)
	}
	for name, data := range w.to.Objects() {
		if string(before[name]) != string(data) {
			t.Errorf("%s of the promoted replica was changed", name)
		}
	}
	w.role(w.from, Replica, 1) // now it knows
	if err := CheckPrimary(t.Context(), w.from); !errors.Is(err, ErrReplica) {
		t.Errorf("storing into the old primary: %v", err)
	}

	// Back: what the new one has is copied to the old one, which then takes over.
	w.from, w.to = w.to, w.from
	w.replicate()
	w.equal()
	if w.want[newer] == nil || w.restores(w.to) != 3 {
		t.Error("the old primary does not have what the new one has, beside what only it had")
	}
	if _, demoted, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Primary: w.from, Clock: w.clock}); demoted != nil || err != nil {
		t.Fatal(demoted, err)
	}
	w.role(w.to, Primary, 2)
	w.role(w.from, Replica, 2)
	w.from, w.to = w.to, w.from
	w.replicate()
	w.equal()
}

// A writer that can ask the others learns of a promotion without any copying.
func TestCheckPrimaryAsksOthers(t *testing.T) {
	w := replicated(t)
	if _, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	away := faults.Wrap(newPlace("away"))
	away.On(faults.List).Times(-1).Fail(errors.New("no answer"))
	if err := CheckPrimary(t.Context(), w.from, away); err != nil {
		t.Errorf("when the other does not answer: %v", err)
	}
	w.role(w.from, Primary, 0)
	if err := CheckPrimary(t.Context(), w.from, away, w.to); !errors.Is(err, ErrReplaced) {
		t.Errorf("when it does: %v", err)
	}
	w.role(w.from, Replica, 1)
}

func TestTwoPrimaries(t *testing.T) {
	w := replicated(t)
	third := newPlace("third")
	w.replicate(func(o *Options) { o.To = third })
	for _, p := range []*place{w.to, third} {
		if _, _, err := Promote(t.Context(), PromoteOptions{Replica: p, Clock: w.clock}); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckPrimary(t.Context(), w.to, third); !errors.Is(err, ErrTwoPrimaries) {
		t.Errorf("two were promoted apart: %v", err)
	}
	if _, err := Demote(t.Context(), DemoteOptions{Primary: third, Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	if err := CheckPrimary(t.Context(), w.to, third); err != nil {
		t.Errorf("after one was demoted: %v", err)
	}
}

// A planned change: nothing new is stored while the rest is copied.
func TestHandover(t *testing.T) {
	w := replicated(t)
	w.write("b", 1000)
	w.backup(w.from)
	if s, err := Demote(t.Context(), DemoteOptions{Primary: w.from, Clock: w.clock, Reason: "maintenance"}); err != nil || s.Role != Replica {
		t.Fatal(s, err)
	}
	if err := CheckPrimary(t.Context(), w.from, w.to); !errors.Is(err, ErrReplica) {
		t.Errorf("storing during the change: %v", err)
	}
	w.replicate()
	w.equal()
	if _, demoted, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Primary: w.from, Clock: w.clock}); demoted != nil || err != nil {
		t.Fatal(demoted, err)
	}
	w.role(w.to, Primary, 1)
	w.role(w.from, Replica, 1)
}

func TestWhereNothingMayBeCopied(t *testing.T) {
	w := replicated(t)
	other := newWorld(t)
	other.from.name = "other"
	o := w.options()
	o.To = &place{w.from.Clone(), "by hand"}
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrPrimary) {
		t.Errorf("a repository that came some other way: %v", err)
	}
	o.To = other.from
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrOtherRepository) {
		t.Errorf("another repository: %v", err)
	}
	o.To = w.from
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("it was copied onto itself")
	}
	stray := newPlace("stray")
	stray.Set("packs/00/x", []byte("x"))
	o.To = stray
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrPrimary) {
		t.Errorf("a place that holds something: %v", err)
	}
}

// A chain: a replica may be copied on.
func TestReplicaOfAReplica(t *testing.T) {
	w := replicated(t)
	third := newPlace("third")
	w.from, w.to = w.to, third
	w.replicate()
	w.equal()
	if w.restores(third) != 1 {
		t.Error("the second replica does not restore")
	}
	w.role(third, Replica, 0)
}

// A run that is about to delete when the replica is promoted deletes nothing, and a
// promotion waits for one that has begun.
func TestPromotionMeetsDeletions(t *testing.T) {
	w, _ := shrunk(t)
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	f := faults.Wrap(w.to)
	f.On(faults.Put).Under(deletingPrefix).Do(func(string) {
		if _, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock}); err != nil {
			t.Error(err)
		}
	})
	before := w.to.has("packs/")
	o := w.options()
	o.To = f
	if r, err := Run(t.Context(), o); !errors.Is(err, ErrPrimary) || r.Deleted != 0 || w.to.has("packs/") != before {
		t.Errorf("promoted just before deleting: %+v, %v", r, err)
	}

	w, _ = shrunk(t)
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	f = faults.Wrap(w.to)
	f.On(faults.Delete).Under("packs/").Do(func(string) {
		_, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock, Wait: time.Second})
		if !errors.Is(err, ErrDeleting) {
			t.Errorf("promoted while deleting: %v", err)
		}
	})
	o = w.options()
	o.To = f
	if _, err := Run(t.Context(), o); err != nil {
		t.Log(err) // it may notice, or be done
	}
	if _, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock}); err != nil {
		t.Errorf("promoted afterwards: %v", err)
	}
}

func TestPromotionOverADeadRun(t *testing.T) {
	w := replicated(t)
	if _, err := beginDeleting(t.Context(), w.to, "host1", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	o := PromoteOptions{Replica: w.to, Clock: w.clock, Wait: time.Second}
	if _, _, err := Promote(t.Context(), o); !errors.Is(err, ErrDeleting) {
		t.Errorf("a run left its sign: %v", err)
	}
	w = replicated(t)
	if _, err := beginDeleting(t.Context(), w.to, "host1", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	o.Replica, o.Force = w.to, true
	if _, _, err := Promote(t.Context(), o); err != nil || w.to.has(deletingPrefix) != 0 {
		t.Errorf("by force: %v", err)
	}
}

// A role that cannot be read lets nobody store; a promotion by force goes over it.
func TestDamagedRole(t *testing.T) {
	w := replicated(t)
	w.to.flip(epochName(0))
	if err := CheckPrimary(t.Context(), w.to); err == nil {
		t.Error("nobody knows whether this is the primary, and it may be stored to")
	}
	if _, err := Run(t.Context(), w.options()); err == nil {
		t.Error("nobody knows whether this is a primary, and it is copied to")
	}
	if _, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock}); err == nil {
		t.Error("promoted without force")
	}
	s, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Force: true, Clock: w.clock})
	if err != nil || s.Epoch != 1 {
		t.Errorf("by force: %+v, %v", s, err)
	}
}

// The primary gives a replica's worker no right to write: it need not have any.
func TestPrimaryIsOnlyRead(t *testing.T) {
	w := newWorld(t)
	w.write("a", 10_000)
	w.backup(w.from)
	f := faults.Wrap(w.from)
	for _, op := range []faults.Op{faults.Put, faults.Delete, faults.Sync} {
		f.On(op).Times(-1).Fail(storage.ErrDenied)
	}
	w.replicate(func(o *Options) { o.From = f })
	w.equal()
	if _, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.From = f
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrReplaced) || errors.Is(err, storage.ErrDenied) {
		t.Errorf("the old primary, which takes no note: %v", err)
	}
}

// A storage that retains everything keeps signs, too: they say that they are over.
func TestSignsThatAreRetained(t *testing.T) {
	w := replicated(t)
	f := faults.Wrap(w.to)
	f.On(faults.Delete).Times(-1).Fail(storage.ErrRetained)
	s, err := beginDeleting(t.Context(), f, "host1", w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if all, err := signs(t.Context(), f); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if err := s.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := signs(t.Context(), f); err != nil || len(all) != 0 || w.to.has(deletingPrefix) != 1 {
		t.Errorf("afterwards: %v, %v", all, err)
	}
	w.clock.ahead += 48 * time.Hour
	if _, err := beginDeleting(t.Context(), f, "host1", w.clock.Now()); err != nil {
		t.Error(err)
	}
	if _, _, err := Promote(t.Context(), PromoteOptions{Replica: f, Force: true, Clock: w.clock}); err != nil {
		t.Error(err)
	}
}
