package prune_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/ledger"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage/faults"
)

// twice is a world in which two backups ran at once and stored the same, and the
// packs of data of both.
func twice(t *testing.T) (w *world, packs [2]repository.PackID) {
	t.Helper()
	w = newWorld(t)
	w.write("a", content(1, 40_000))
	w.write("b", content(2, 40_000))
	stage := faults.Wrap(w.disk)
	var once sync.Once
	other := w.options()
	stage.On(faults.Put).Under("packs/").Times(-1).Do(func(string) {
		once.Do(func() {
			other.Readers = 1
			if _, err := snapshot.Backup(t.Context(), w.open(w.disk), other); err != nil {
				t.Error(err)
			}
		})
	})
	o := w.options()
	o.Readers = 1
	if _, err := snapshot.Backup(t.Context(), w.open(stage), o); err != nil {
		t.Fatal(err)
	}
	if !w.found(o.Job, w.files(w.dir)) || !w.found(other.Job, w.files(w.dir)) {
		t.Fatal("no snapshot")
	}
	return w, [2]repository.PackID(w.data())
}

// data returns the packs that hold files, by id.
func (w *world) data() (ids []repository.PackID) {
	w.t.Helper()
	err := w.open(w.disk).Packs(w.t.Context(), func(p repository.PackInfo) error {
		if p.Size > 20_000 {
			ids = append(ids, p.ID)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(ids, repository.PackID.Compare)
	return ids
}

// damage changes a byte of a pack's data.
func (w *world) damage(id repository.PackID) {
	data := w.disk.Objects()[id.Object()]
	data[len(data)/3] ^= 1
	w.disk.Set(id.Object(), data)
}

// wantData wants just this pack of files.
func (w *world) wantData(id repository.PackID) {
	w.t.Helper()
	if got := w.data(); len(got) != 1 || got[0] != id {
		w.t.Errorf("packs %v are left, want %s", got, id)
	}
}

// Of what two backups stored twice the copy stays that was verified last, whichever
// it is.
func TestVerifiedCopyStays(t *testing.T) {
	for i := range 2 {
		w, packs := twice(t)
		now := time.Now().Unix()
		marks := []ledger.Mark{{ID: packs[i], Full: now - 10}, {ID: packs[1-i], Full: now - 20}}
		if err := w.open(w.disk).Record(t.Context(), ledger.New(marks, nil)); err != nil {
			t.Fatal(err)
		}
		w.prune(prune.Options{})
		w.wantData(packs[i])
		w.whole()
		w.tidy()
	}
}

// A copy that a verification doubts is not the one that stays, and doubts go with
// their packs.
func TestDoubtedCopyGoes(t *testing.T) {
	for i := range 2 {
		w, packs := twice(t)
		w.damage(packs[i])
		if _, err := snapshot.Verify(t.Context(), w.open(w.disk), snapshot.VerifyOptions{ReadData: 100}); !errors.Is(err, repository.ErrDamaged) {
			t.Fatal(err)
		}
		if w.open(w.disk).Doubts() == 0 {
			t.Fatal("nothing is doubted")
		}
		w.prune(prune.Options{})
		w.wantData(packs[1-i])
		if n := w.open(w.disk).Doubts(); n != 0 {
			t.Errorf("%d packs are doubted still", n)
		}
		for name := range w.disk.Objects() {
			if strings.Contains(name, "ledger/bad-") {
				t.Errorf("%s is left", name)
			}
		}
		w.whole()
		w.tidy()
	}
}

// A copy that nobody has verified is read before another one is dropped.
func TestCopyIsReadBeforeOtherGoes(t *testing.T) {
	for i := range 2 {
		w, packs := twice(t)
		w.damage(packs[i])
		r := w.prune(prune.Options{})
		w.wantData(packs[1-i])
		w.whole()
		w.tidy()
		if m, err := w.open(w.disk).Ledger(t.Context(), time.Now()); err != nil || m.Mark(packs[1-i]).Verified() == 0 {
			t.Errorf("what was read is not noted: %+v, %v", m, err)
		}
		if len(r.Troubles) > 1 {
			t.Errorf("%v", r.Troubles)
		}
	}
}

// When both copies are damaged, in different places, neither goes.
func TestNoGoodCopyNoneGoes(t *testing.T) {
	w, packs := twice(t)
	w.damage(packs[0])
	w.damage(packs[1])
	r := w.prune(prune.Options{})
	if got := w.data(); len(got) != 2 || len(r.Troubles) == 0 || r.RemovedBytes > 20_000 {
		t.Errorf("%d packs are left; %+v", len(got), r)
	}
}

// The copy that stays turns out to be damaged when the other one is condemned
// already: what is needed is rescued from that one.
func TestCondemnedCopyIsBetter(t *testing.T) {
	w, packs := twice(t)
	w.prune(prune.Options{Hold: func(context.Context) error { return errors.New("not now") }})
	going := ""
	for _, l := range w.prune(prune.Options{DryRun: true}).Plan {
		if l.Action == prune.Remove {
			going += strings.Join(l.Examples, " ")
		}
	}
	for _, id := range packs {
		if !strings.Contains(going, id.Object()) {
			w.damage(id)
		}
	}
	if _, err := snapshot.Verify(t.Context(), w.open(w.disk), snapshot.VerifyOptions{ReadData: 100}); !errors.Is(err, repository.ErrDamaged) {
		t.Fatal(err)
	}
	if r := w.prune(prune.Options{}); r.RescuedBytes == 0 {
		t.Errorf("nothing was rescued: %+v", r)
	}
	w.whole()
	w.tidy()
}

// A prune of what is tidy leaves the storage as it is, but for its turn.
func TestQuietPruneChangesNothing(t *testing.T) {
	w := littered(t)
	w.prune(patient())
	before := w.disk.Objects()
	w.prune(patient())
	after := w.disk.Objects()
	for _, all := range []map[string][]byte{before, after} {
		maps.DeleteFunc(all, func(name string, _ []byte) bool { return strings.HasPrefix(name, "gc/turns/") })
	}
	if len(after) != len(before) {
		t.Errorf("%d objects, there were %d", len(after), len(before))
	}
	for name, data := range after {
		if string(before[name]) != string(data) {
			t.Errorf("%s is new, or changed", name)
		}
		if strings.HasPrefix(name, "gc/sessions/") {
			t.Errorf("%s is left", name)
		}
	}
}

// What a backup left that was killed just now goes in one run that may wait for it
// to be known to be dead.
func TestKilledJustNow(t *testing.T) {
	w := newWorld(t)
	w.write("a", content(1, 20_000))
	w.backup()
	w.write("b", content(2, 30_000))
	killed := faults.Wrap(w.disk)
	killed.On(faults.Put).Under("index/").Do(func(string) { killed.StopAt(1) })
	if _, err := snapshot.Backup(t.Context(), w.open(killed), w.options()); !errors.Is(err, faults.ErrStopped) {
		t.Fatal(err)
	}
	w.remove("b")
	if r := w.prune(prune.Options{}); r.Clean() || r.RemovedPacks != 0 {
		t.Errorf("without waiting: clean %v, %d packs removed", r.Clean(), r.RemovedPacks)
	}
	if r := w.prune(patient()); !r.Clean() || r.RemovedBytes < 30_000 {
		t.Errorf("clean %v, %d bytes removed: %+v", r.Clean(), r.RemovedBytes, r.Plan)
	}
	w.whole()
	w.tidy()
}
