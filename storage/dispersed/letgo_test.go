package dispersed_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

func lost(t *testing.T, b *dispersed.Backend) dispersed.Losses {
	t.Helper()
	l, err := b.Lost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// When the newest state of more storages than may be lost is nowhere, a person accepts what
// is lost: exactly that goes, the rest is whole, and backups go on. Should that state turn
// up after all, it is the older one, and says so.
func TestLetGo(t *testing.T) {
	for _, tc := range []struct {
		quorum   int
		reverted []int
	}{{4, []int{2, 3, 4}}, {5, []int{2, 3, 4}}, {6, []int{0, 1, 5}}, {5, []int{0, 1, 2, 3}}, {4, []int{1, 2, 3, 4, 5}}} {
		t.Run(fmt.Sprint(tc.quorum, tc.reverted), func(t *testing.T) {
			p := newPlace(t, 4, 2, quorum(tc.quorum))
			p.settle(t)
			newest := p.rollBack(t, tc.reverted...)
			p.open(t)
			l := lost(t, p.Backend)
			var storages, want []int
			for _, n := range l.Storages {
				storages = append(storages, n.Storage)
			}
			for _, i := range tc.reverted {
				want = append(want, i+1)
			}
			if !slices.Equal(l.Objects, []string{"packs/2", "snapshots/2"}) || !slices.Equal(storages, want) {
				t.Fatalf("lost: %v", l)
			}
			// Who accepted something else changed nothing.
			untouched := p.states(0, 1, 2, 3, 4, 5)
			if _, err := p.LetGo(t.Context(), dispersed.Losses{Objects: []string{"packs/2"}}, nil); err == nil || !strings.Contains(err.Error(), "other things are lost") {
				t.Fatalf("with other losses accepted: %v", err)
			}
			if !reflect.DeepEqual(untouched, p.states(0, 1, 2, 3, 4, 5)) {
				t.Error("what was not accepted was changed")
			}
			if r, err := p.LetGo(t.Context(), l, nil); err != nil || !r.Whole() {
				t.Fatalf("%+v, %v", r, err)
			}
			p.settle(t)

			told := p.watch()
			p.open(t)
			if l := lost(t, p.Backend); !l.None() {
				t.Errorf("still lost: %v", l)
			}
			wantGone(t, p, "snapshots/2")
			wantGone(t, p, "packs/2")
			wantData(t, p, "packs/1", noise(1, 90000))
			wantRepaired(t, p)
			p.settle(t)
			p.session(t, 3)
			if all := told.take(); len(all) > 0 {
				t.Errorf("told afterwards: %v", all)
			}

			p.revert(newest)
			p.open(t)
			for id, size := range map[string]int{"snapshots/": 300, "packs/": 90000} {
				wantData(t, p, id+"1", noise(1, size))
				if got, err := get(t.Context(), p, id+"3", 0, -1); err == nil && len(got) != size || err != nil && !errors.Is(err, storage.ErrDamaged) {
					t.Errorf("%s3: %d bytes, %v: it was lost without a word", id, len(got), err)
				}
			}
			if all := told.take(); len(all) != len(tc.reverted) {
				t.Errorf("told of what came back: %v", all)
			}
			wantRefused(t, p, 7, want...)
			p.settle(t)
		})
	}
}

// A process that was at work when losses were accepted counts on what may be gone: it
// stores nothing any more.
func TestNobodyGoesOnOverLosses(t *testing.T) {
	p := newPlace(t, 4, 2)
	p.settle(t)
	p.session(t, 1)
	before := p.states(2, 3, 4)
	p.session(t, 2)
	early := p.process(t, immortal)
	if err := early.Put(t.Context(), "packs/early", noise(3, 900), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p.revert(before)
	p.open(t)
	if _, err := p.LetGo(t.Context(), lost(t, p.Backend), nil); err != nil {
		t.Fatal(err)
	}
	// Who let go goes on itself, and so does who begins now.
	mustPut(t, p, "packs/late", noise(4, 900))
	p.settle(t)
	err := early.Put(t.Context(), "snapshots/early", noise(3, 90), storage.PutOptions{IfAbsent: true})
	if err == nil || !slices.Contains(fault.Hints(err), "begin again") {
		t.Errorf("a commit over losses: %v", err)
	}
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	p.session(t, 5)
	p.session(t, 6)
	p.open(t)
	wantGone(t, p, "snapshots/early")
	wantRepaired(t, p)
	p.settle(t)
}

// Letting go is interrupted anywhere: either nothing is stored yet, and what is left to let go
// of is told, or it is done.
func TestLetGoIsInterrupted(t *testing.T) {
	p := rolledBack(t, 2, 3, 4)
	start := p.states(0, 1, 2, 3, 4, 5)
	for changes := int64(1); ; changes += 3 {
		p.revert(start)
		b := p.process(t, changes)
		_, err := b.LetGo(t.Context(), lost(t, b), nil)
		if closed := b.Close(); closed != nil {
			t.Fatal(closed)
		}
		p.open(t)
		l := lost(t, p.Backend)
		if err == nil {
			if !l.None() {
				t.Errorf("after %d changes it was done, and this is left: %v", changes, l)
			}
			p.settle(t)
			return
		}
		wantData(t, p, "packs/1", noise(1, 90000))
		if len(l.Storages) > 2 {
			wantRefused(t, p, int(changes), 3, 4, 5)
		} else if len(l.Objects) > 0 {
			t.Errorf("killed after %d changes: storages count again, and this is lost: %v", changes, l)
		}
		if _, err := p.LetGo(t.Context(), l, nil); err != nil {
			t.Fatalf("again after %d changes: %v", changes, err)
		}
		p.settle(t)
		p.session(t, 3)
		p.open(t)
		// What was half removed is nothing, and goes as all remainders do.
		p.repair(t, dispersed.CheckOptions{KeepUnfinished: time.Nanosecond})
		wantRepaired(t, p)
		p.settle(t)
	}
}

// What a storage retains stays until its time is over, and is nothing until then.
func TestLetGoOfWhatIsRetained(t *testing.T) {
	p, all, _ := keepers(t)
	p.settle(t)
	p.rollBack(t, 2, 3, 4)
	for _, k := range all {
		if k.until["packs/2"] = time.Now().Add(time.Hour); k.until["snapshots/2"].IsZero() {
			k.until["snapshots/2"] = time.Now().Add(time.Hour)
		}
	}
	p.open(t)
	if _, err := p.LetGo(t.Context(), lost(t, p.Backend), nil); err != nil {
		t.Fatal(err)
	}
	p.settle(t)
	p.session(t, 3)
	p.open(t)
	if l := lost(t, p.Backend); !l.None() {
		t.Errorf("still lost: %v", l)
	}
	wantGone(t, p, "packs/2")
	wantGone(t, p, "snapshots/2")
	_, found := p.check(t, dispersed.CheckOptions{})
	if want := map[string]int{"unfinished at 1, repaired false": 2, "unfinished at 2, repaired false": 2, "unfinished at 6, repaired false": 2}; !maps.Equal(found, want) {
		t.Errorf("check: %v", found)
	}
	for _, k := range all {
		clear(k.until)
	}
	p.repair(t, dispersed.CheckOptions{KeepUnfinished: time.Nanosecond})
	wantRepaired(t, p)
}

// Nothing is judged while a storage does not answer, or is another one.
func TestLossesTakeAllStorages(t *testing.T) {
	p := rolledBack(t, 2, 3, 4)
	p.open(t)
	l := lost(t, p.Backend)
	p.settle(t)
	for name, breaks := range map[string]func(){"storage 1 ": func() { p.stop(0) }, "storage 6:": func() { p.empty(5) }} {
		breaks()
		p.open(t)
		for _, err := range []error{second(p.Lost(t.Context())), second(p.LetGo(t.Context(), l, nil))} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not say %q", err, name)
			}
		}
		p.settle(t)
		p.start()
	}
}

func second[T any](_ T, err error) error { return err }

// What a killed put left a moment ago is no reason for storages that were rolled back, few
// enough to be made whole, not to count again.
func TestFreshRemaindersHoldNothingUp(t *testing.T) {
	p := rolledBack(t, 3)
	p.open(t)
	if err := p.Form(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.stop(2, 3, 4, 5)
	if err := p.Put(t.Context(), "packs/killed", noise(1, 5000), storage.PutOptions{}); err == nil {
		t.Fatal("a put with two storages succeeded")
	}
	p.settle(t)
	p.start()
	p.open(t)
	if _, found := p.repair(t, dispersed.CheckOptions{}); found["rolled back at 4, repaired true"] != 1 {
		t.Errorf("repair: %v", found)
	}
	p.settle(t)
}

// What was replaced since the older state is read as it was before, where enough storages
// were put back: that is a loss as well, which is named, accepted, and then whole.
func TestLetGoOfWhatWasReplaced(t *testing.T) {
	for _, reverted := range [][]int{{2, 3, 4}, {1, 2, 3, 4}} {
		p := newPlace(t, 4, 2)
		p.settle(t)
		p.session(t, 1)
		p.open(t)
		mustPut(t, p, "notes", noise(1, 4000))
		mustPut(t, p, "small", noise(1, 40))
		p.settle(t)
		p.session(t, 2)
		before := p.states(reverted...)
		p.open(t)
		mustPut(t, p, "notes", noise(2, 4000))
		mustPut(t, p, "small", noise(2, 900))
		p.settle(t)
		p.session(t, 3)
		p.revert(before)
		p.open(t)
		l := lost(t, p.Backend)
		if len(reverted) < 4 { // neither of both versions is left
			if !slices.Equal(l.Objects, []string{"notes", "packs/3", "small", "snapshots/3"}) || len(l.Older) > 0 {
				t.Errorf("%v: %+v", reverted, l)
			}
		} else if !slices.Equal(l.Older, []string{"notes", "small"}) || !slices.Equal(l.Objects, []string{"packs/3", "snapshots/3"}) {
			t.Errorf("%v: %+v", reverted, l)
		}
		if _, err := p.LetGo(t.Context(), l, nil); err != nil {
			t.Fatalf("%v: %v", reverted, err)
		}
		wantRepaired(t, p)
		if len(reverted) == 4 {
			wantData(t, p, "notes", noise(1, 4000))
			wantData(t, p, "small", noise(1, 40))
		}
		p.settle(t)
		p.session(t, 4)
	}
}

// Storages whose objects come without a condition, as copies do, are rolled back no less
// noticeably once somebody says what counts.
func TestCommitted(t *testing.T) {
	p := newPlace(t, 4, 2)
	p.settle(t)
	store := func(id int) {
		p.open(t)
		mustPut(t, p, fmt.Sprint("packs/", id), noise(id, 9000))
		storage.Commit(p.Able())
		p.settle(t)
	}
	store(1)
	before := p.states(2, 3, 4)
	store(2)
	p.revert(before)
	p.open(t)
	if err := p.MayStore(t.Context()); err == nil {
		t.Error("storages that were rolled back take more")
	}
	wantLost(t, p, "packs/2", 3, 4, 5)
	p.settle(t)
}
