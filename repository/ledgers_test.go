package repository

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

func mustRecord(t *testing.T, r *Repository, l ledger.Ledger) {
	t.Helper()
	if err := r.Record(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

func mustLedger(t *testing.T, r *Repository, now time.Time) ledger.Ledger {
	t.Helper()
	l, err := r.Ledger(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func countObjects(t *testing.T, be storage.Backend, prefix string) int {
	t.Helper()
	n := 0
	if err := be.List(t.Context(), prefix, func(storage.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func packsOf(t *testing.T, r *Repository) []PackInfo {
	t.Helper()
	var all []PackInfo
	if err := r.Packs(t.Context(), func(p PackInfo) error { all = append(all, p); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Many verifiers at once lose nothing, whoever merges meanwhile.
func TestManyVerifiersRecordAtOnce(t *testing.T) {
	o := newOneSnapshot(t)
	packs := packsOf(t, o.Repository)
	now := testTime.Add(time.Hour)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := reopen(t, o.disk, o.ring)
			for j := range 5 {
				mark := ledger.Mark{ID: packs[(i+j)%len(packs)].ID, Full: testTime.Unix() + int64(i*5+j)}
				fate := ledger.Fate{Name: fmt.Sprintf("snapshots/home/%d", i), Seen: 1}
				err := r.Record(t.Context(), ledger.New([]ledger.Mark{mark}, []ledger.Fate{fate}))
				if err == nil && j%2 == 1 {
					err = r.CompactLedger(t.Context(), now)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l := mustLedger(t, o.Repository, now)
	newest := int64(0)
	for _, m := range l.Marks {
		newest = max(newest, m.Full)
	}
	if len(l.Marks) != len(packs) || len(l.Fates) != 8 || newest != testTime.Unix()+39 {
		t.Errorf("%d packs, %d snapshots, newest %d", len(l.Marks), len(l.Fates), newest)
	}
	if err := o.CompactLedger(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if again := mustLedger(t, o.Repository, now); len(again.Marks) != len(l.Marks) || again.Marks[0] != l.Marks[0] || len(again.Fates) != 8 {
		t.Errorf("merged: %+v, before %+v", again, l)
	}
	if n, copies := countObjects(t, o.disk, ledgerPrefix), countObjects(t, o.disk, copyOf(ledgerPrefix)); n != 1 || copies != 1 {
		t.Errorf("%d ledgers and %d copies, want 1 and 1", n, copies)
	}
}

// Small ledgers are merged, a large one is not written anew each time.
func TestLedgersStayFew(t *testing.T) {
	o := newOneSnapshot(t)
	packs := packsOf(t, o.Repository)
	for i := range 5 * maxLedgers {
		mustRecord(t, o.Repository, ledger.New([]ledger.Mark{{ID: packs[i%len(packs)].ID, Full: int64(i + 1)}}, nil))
		if err := o.mergeSome(t.Context(), testTime); err != nil {
			t.Fatal(err)
		}
		if n := countObjects(t, o.disk, ledgerPrefix); n > maxLedgers {
			t.Fatalf("%d ledgers", n)
		}
	}
	if l := mustLedger(t, o.Repository, testTime); len(l.Marks) != len(packs) {
		t.Errorf("%+v", l)
	}
}

// A role that may not delete adds one ledger a run, and no more.
func TestMergingWithoutTheRightToDelete(t *testing.T) {
	o := newOneSnapshot(t)
	o.be.On(faults.Delete).Times(-1).Fail(storage.ErrReadOnly)
	packs := packsOf(t, o.Repository)
	for i := range 3 * maxLedgers {
		mustRecord(t, o.Repository, ledger.New([]ledger.Mark{{ID: packs[i%len(packs)].ID, Full: int64(i + 1)}}, nil))
		if err := o.mergeSome(t.Context(), testTime); err != nil {
			t.Fatal(err)
		}
	}
	if n := countObjects(t, o.disk, ledgerPrefix); n > 3*maxLedgers+1 {
		t.Errorf("%d ledgers after %d runs", n, 3*maxLedgers)
	}
}

// What a wrong clock noted counts as never, and hides nothing.
func TestAClockThatWasAheadVerifiesNothing(t *testing.T) {
	o := newOneSnapshot(t)
	id := packsOf(t, o.Repository)[0].ID
	now := testTime
	mustRecord(t, o.Repository, ledger.New([]ledger.Mark{{ID: id, Full: now.Add(48 * time.Hour).Unix()}}, nil))
	if m := mustLedger(t, o.Repository, now).Mark(id); m.Verified() != 0 {
		t.Errorf("verified in the future: %+v", m)
	}
	mustRecord(t, o.Repository, ledger.New([]ledger.Mark{{ID: id, Full: now.Add(-time.Hour).Unix()}}, nil))
	if m := mustLedger(t, o.Repository, now).Mark(id); m.Full != now.Add(-time.Hour).Unix() {
		t.Errorf("the right time is hidden: %+v", m)
	}
	if err := o.CompactLedger(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if m := mustLedger(t, o.Repository, now.Add(100*time.Hour)).Mark(id); m.Full != now.Add(-time.Hour).Unix() {
		t.Errorf("the wrong time came true after merging: %+v", m)
	}
}

// A ledger of which an object is damaged is read from the other; without both
// nothing is known, and nothing is wrong.
func TestADamagedLedger(t *testing.T) {
	for _, both := range []bool{false, true} {
		dir := t.TempDir()
		ring := newRing()
		r, err := Create(t.Context(), openDir(t, dir), ring, CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeRepo(t, r)
		mustRecord(t, r, ledger.New([]ledger.Mark{{ID: PackID{1}, Full: 7}}, nil))
		flip := flipAt(func(n int) int { return n / 2 })
		names, err := r.listLedgers(t.Context(), false)
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		if err := flip(filepath.Join(dir, names[0]), ""); err != nil {
			t.Fatal(err)
		}
		want := int64(7)
		if both {
			want = 0
			if err := flip(filepath.Join(dir, copyPrefix, names[0]), ""); err != nil {
				t.Fatal(err)
			}
		}
		if m := mustLedger(t, r, testTime).Mark(PackID{1}); m.Full != want {
			t.Errorf("both damaged %v: %+v", both, m)
		}
		var told []Problem
		err = r.CheckObjects(t.Context(), func(p Problem) error { told = append(told, p); return nil })
		if err != nil || len(told) != map[bool]int{false: 1, true: 2}[both] || told[0].Object != names[0] || !told[0].Harmless || told[0].Kind != ObjectLedger {
			t.Errorf("both damaged %v: told %v, %v", both, told, err)
		}
	}
}

// A snapshot of which nothing is left is missed, unless it was forgotten.
func TestALostSnapshotIsMissed(t *testing.T) {
	o := newOneSnapshot(t)
	check := func() (lost []Problem) {
		t.Helper()
		_, err := o.Check(t.Context(), testTime, func(p Problem) error {
			if errors.Is(p.Err, ErrLost) {
				lost = append(lost, p)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lost
	}
	see := func() {
		mustRecord(t, o.Repository, ledger.New(nil, []ledger.Fate{{Name: o.name, Seen: testTime.Unix()}}))
	}
	see()
	if lost := check(); len(lost) != 0 {
		t.Fatalf("lost: %v", lost)
	}
	o.drop(t, o.name)
	o.drop(t, copyOf(o.name))
	if lost := check(); len(lost) != 1 || lost[0].Object != o.name || lost[0].Harmless {
		t.Fatalf("lost: %v", lost)
	}
	if err := o.AcceptLoss(t.Context(), testTime, "0000000000000000"); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("accepted the loss of nothing: %v", err)
	}
	if err := o.AcceptLoss(t.Context(), testTime, o.snap.ID); err != nil {
		t.Fatal(err)
	}
	if lost := check(); len(lost) != 0 {
		t.Errorf("still missed: %v", lost)
	}
	later := time.Now().Add(2 * forgottenFor)
	if err := o.CompactLedger(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if l := mustLedger(t, o.Repository, later); len(l.Fates) != 0 || len(check()) != 0 {
		t.Errorf("not dropped after %v: %+v", forgottenFor, l.Fates)
	}
}

func TestAForgottenSnapshotIsNotMissed(t *testing.T) {
	o := newOneSnapshot(t)
	mustRecord(t, o.Repository, ledger.New(nil, []ledger.Fate{{Name: o.name, Seen: testTime.Unix()}}))
	if err := o.DeleteSnapshot(t.Context(), o.snap); err != nil {
		t.Fatal(err)
	}
	if found := o.problems(t); len(found) != 0 {
		t.Errorf("%v", found)
	}
}
