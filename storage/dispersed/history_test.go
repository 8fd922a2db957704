package dispersed_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// notices collects what is told of storages.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) tell(one dispersed.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf("%d %s", one.Storage, one.Problem))
	if one.TooMany && strings.Contains(one.Advice(), "what the others have") {
		n.all = append(n.all, one.Advice())
	}
}

func (n *notices) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	slices.Sort(all)
	return all
}

// watch has the storage tell of its members from the next time that it is opened.
func (p *place) watch() *notices {
	n := &notices{}
	p.config.Tell = n.tell
	return n
}

// session stores a pack and commits it, and ends.
func (p *place) session(t *testing.T, id int) {
	t.Helper()
	p.open(t)
	mustPut(t, p, fmt.Sprint("packs/", id), noise(id, 90000))
	if err := p.Put(t.Context(), fmt.Sprint("snapshots/", id), noise(id, 300), storage.PutOptions{IfAbsent: true, Sync: true}); err != nil {
		t.Fatal(err)
	}
	p.settle(t)
}

// states are what storages hold.
func (p *place) states(members ...int) map[int]map[string][]byte {
	all := map[int]map[string][]byte{}
	for _, i := range members {
		all[i] = p.memory[i].Objects()
	}
	return all
}

func (p *place) revert(all map[int]map[string][]byte) {
	for i, objects := range all {
		p.become(i, objects)
	}
}

// rollBack stores two sessions and puts storages back to what they held after the first. It
// returns what they held after the second.
func (p *place) rollBack(t *testing.T, storages ...int) (newest map[int]map[string][]byte) {
	t.Helper()
	p.session(t, 1)
	older := p.states(storages...)
	p.session(t, 2)
	newest = p.states(storages...)
	p.revert(older)
	return newest
}

// rolledBack is a place of which storages were put back.
func rolledBack(t *testing.T, storages ...int) *place {
	t.Helper()
	p := newPlace(t, 4, 2)
	p.settle(t)
	p.rollBack(t, storages...)
	return p
}

func listed(t *testing.T, be storage.Backend, prefix string) []string {
	t.Helper()
	var names []string
	if err := be.List(t.Context(), prefix, func(i storage.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// wantLost checks that an object is told to be damaged, with these storages named.
func wantLost(t *testing.T, be storage.Backend, name string, storages ...int) {
	t.Helper()
	_, statErr := be.Stat(t.Context(), name)
	_, getErr := get(t.Context(), be, name, 0, -1)
	for _, err := range []error{statErr, getErr} {
		if !errors.Is(err, storage.ErrDamaged) {
			t.Fatalf("%s: %v", name, err)
		}
		for _, i := range storages {
			if !strings.Contains(err.Error(), fmt.Sprintf("storage %d: it was rolled back", i)) {
				t.Errorf("%v does not name storage %d", err, i)
			}
		}
		if n := len(err.Error()); n > 300 {
			t.Errorf("%d characters for one object: %v", n, err)
		}
	}
}

// wantRefused checks that nothing is stored, and that these storages are named.
func wantRefused(t *testing.T, p *place, id int, storages ...int) {
	t.Helper()
	for i, o := range []storage.PutOptions{{}, {IfAbsent: true}} {
		name := fmt.Sprint("refused/", id, "-", i)
		err := p.Put(t.Context(), name, noise(id, 5000), o)
		if err == nil || temporary(err) || !strings.Contains(strings.Join(fault.Hints(err), " "), "newest state") {
			t.Fatalf("put: %v, %q", err, strings.Join(fault.Hints(err), " "))
		}
		for _, n := range storages {
			if !strings.Contains(err.Error(), fmt.Sprintf("storage %d, ", n)) {
				t.Errorf("%v does not name storage %d", err, n)
			}
		}
		for n, m := range p.memory {
			if _, has := m.Objects()[name]; has {
				t.Errorf("storage %d has something of what was refused", n+1)
			}
		}
	}
}

// When more storages than may be lost are put back to an older state together, what was
// stored since is told to be lost, by everything that meets it, and stays told. Nothing is
// stored, for it would be lost when the newer state is back. It ends when the newer state is back, or what is lost was deleted.
func TestRolledBackTogether(t *testing.T) {
	for _, tc := range []struct {
		quorum   int
		reverted []int
	}{{4, []int{2, 3, 4}}, {5, []int{2, 3, 4}}, {6, []int{0, 1, 5}}, {5, []int{0, 1, 2, 3}}, {4, []int{1, 2, 3, 4, 5}}} {
		t.Run(fmt.Sprint(tc.quorum, tc.reverted), func(t *testing.T) {
			p := newPlace(t, 4, 2, quorum(tc.quorum))
			p.settle(t)
			told := p.watch()
			after := p.rollBack(t, tc.reverted...)
			if all := told.take(); len(all) > 0 {
				t.Fatalf("before anybody looked: %v", all)
			}
			var names []string
			var numbers []int
			for _, i := range tc.reverted {
				numbers = append(numbers, i+1)
				names = append(names, fmt.Sprintf("%d rolled back", i+1))
			}
			for round := range 2 {
				p.open(t)
				if got := listed(t, p, "snapshots/"); !slices.Contains(got, "snapshots/2") {
					t.Errorf("listed: %v", got)
				}
				wantLost(t, p, "snapshots/2", numbers...)
				wantLost(t, p, "packs/2", numbers...)
				wantData(t, p, "snapshots/1", noise(1, 300))
				wantData(t, p, "packs/1", noise(1, 90000))
				if got := told.take(); !slices.Equal(got, names) {
					t.Errorf("told: %v, want %v", got, names)
				}
				_, found := p.check(t, dispersed.CheckOptions{})
				want := map[string]int{"unreadable at 0, repaired false": 2}
				for _, i := range numbers {
					want[fmt.Sprintf("rolled back at %d, repaired false", i)] = 1
				}
				if !maps.Equal(found, want) {
					t.Errorf("check: %v, want %v", found, want)
				}
				r, found := p.repair(t, dispersed.CheckOptions{KeepUnfinished: time.Nanosecond})
				if found["unreadable at 0, repaired false"] != 2 || found[fmt.Sprintf("rolled back at %d, repaired false", numbers[0])] != 1 || r.Whole() {
					t.Errorf("repair: %v", found)
				}
				wantRefused(t, p, round, numbers...)
				p.settle(t)
				told.take()
			}

			fallen := p.states(tc.reverted...)
			p.revert(after)
			p.open(t)
			wantData(t, p, "snapshots/2", noise(2, 300))
			wantRepaired(t, p)
			p.settle(t)
			if all := told.take(); len(all) > 0 {
				t.Errorf("with the newer states back: %v", all)
			}

			p.revert(fallen)
			p.open(t)
			for _, name := range []string{"snapshots/2", "packs/2"} {
				if err := p.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			wantRepaired(t, p)
			wantGone(t, p, "snapshots/2")
			p.settle(t)
			told.take()
			p.session(t, 9)
			if all := told.take(); len(all) > 0 {
				t.Errorf("after the repair: %v", all)
			}
		})
	}
}

// As many storages as may be lost may be rolled back: everything is read, they are named,
// and a repair makes them whole.
func TestFewRolledBack(t *testing.T) {
	p := rolledBack(t, 0, 3)
	told := p.watch()
	p.open(t)
	wantData(t, p, "packs/2", noise(2, 90000))
	wantGone(t, p, "packs/never")
	bad, err := p.Examine(t.Context())
	if err != nil || len(bad) != 2 || bad[0].Problem != dispersed.RolledBack || bad[0].Storage != 1 || bad[1].Storage != 4 {
		t.Errorf("examine: %v, %v", bad, err)
	}
	if got, want := told.take(), []string{"1 rolled back", "4 rolled back"}; !slices.Equal(got, want) {
		t.Errorf("told: %v", got)
	}
	_, found := p.repair(t, dispersed.CheckOptions{})
	want := map[string]int{
		"rolled back at 1, repaired true": 1, "rolled back at 4, repaired true": 1,
		"missing at 1, repaired true": 2, "missing at 4, repaired true": 2,
	}
	if !maps.Equal(found, want) {
		t.Errorf("repair: %v", found)
	}
	wantRepaired(t, p)
	p.settle(t)
	p.open(t)
	if bad, err := p.Examine(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("examine after the repair: %v, %v", bad, err)
	}
	p.settle(t)
}

// Nothing counts on storages that were rolled back: what is stored meanwhile is there when
// they are put back to their newest state, in which they have nothing of it.
func TestStoredWhileRolledBack(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(4))
	p.settle(t)
	after := p.rollBack(t, 2, 3)
	// With one more away, too few are left that can be counted on.
	p.stop(5)
	p.open(t)
	for i, o := range []storage.PutOptions{{}, {IfAbsent: true}} {
		err := p.Put(t.Context(), fmt.Sprint("packs/few", i), noise(1, 5000), o)
		if err == nil || !strings.Contains(err.Error(), "storage 3: it holds an older state") || !strings.Contains(strings.Join(fault.Hints(err), " "), "newest state") {
			t.Errorf("put: %v, %q", err, strings.Join(fault.Hints(err), " "))
		}
	}
	p.settle(t)
	p.start()
	p.session(t, 3)
	told := p.watch()
	p.revert(after)
	for _, away := range [][]int{nil, {2, 3}} {
		p.stop(away...)
		p.open(t)
		for id := 1; id <= 3; id++ {
			wantData(t, p, fmt.Sprint("packs/", id), noise(id, 90000))
			wantData(t, p, fmt.Sprint("snapshots/", id), noise(id, 300))
		}
		p.settle(t)
		p.start()
	}
	// What they lack is told, and made good.
	p.open(t)
	_, found := p.check(t, dispersed.CheckOptions{})
	for _, i := range []int{3, 4} {
		if found[fmt.Sprintf("missing at %d, repaired false", i)] != 2 {
			t.Errorf("check: %v", found)
		}
	}
	p.repair(t, dispersed.CheckOptions{KeepUnfinished: time.Nanosecond})
	wantRepaired(t, p)
	p.settle(t)
	p.session(t, 4)
	if all := told.take(); len(all) > 0 {
		t.Errorf("with the newest state back: %v", all)
	}
}

// Where the newer states are lost, one storage after the other is emptied and adopted: then
// there is nothing to come back, and more can be stored.
func TestRolledBackAreGivenUp(t *testing.T) {
	p := rolledBack(t, 2, 3, 4)
	for _, i := range []int{2, 3, 4} {
		p.open(t)
		if i == 2 {
			wantRefused(t, p, i, 3, 4, 5)
		}
		p.settle(t)
		p.become(i, nil)
		p.open(t)
		if _, found := p.repair(t, dispersed.CheckOptions{}); found[fmt.Sprintf("emptied at %d, repaired true", i+1)] != 1 {
			t.Errorf("repair: %v", found)
		}
		p.settle(t)
	}
	p.session(t, 3)
	p.open(t)
	wantData(t, p, "packs/1", noise(1, 90000))
	wantData(t, p, "packs/3", noise(3, 90000))
	if _, err := p.Stat(t.Context(), "packs/2"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("what was lost: %v", err)
	}
	p.settle(t)
}

// What was away for a while lacks what was stored meanwhile. That is no rolled back
// storage, and what was never confirmed is not lost.
func TestAwayIsNotRolledBack(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(4))
	p.settle(t)
	told := p.watch()
	p.session(t, 1)
	p.stop(1, 5)
	for id := 2; id < 6; id++ {
		p.session(t, id)
	}
	p.start()
	// A put that is killed after three shards.
	p.open(t)
	if err := p.Form(t.Context()); err != nil { // later it would not even begin
		t.Fatal(err)
	}
	p.stop(0, 1, 2)
	if err := p.Put(t.Context(), "packs/killed", noise(1, 5000), storage.PutOptions{}); err == nil {
		t.Fatal("a put with three storages succeeded")
	}
	p.settle(t)
	p.start()
	p.open(t)
	wantGone(t, p, "packs/killed")
	if got := listed(t, p, "packs/"); slices.Contains(got, "packs/killed") {
		t.Errorf("listed: %v", got)
	}
	_, found := p.check(t, dispersed.CheckOptions{})
	if found["unfinished at 4, repaired false"] != 1 || found["unreadable at 0, repaired false"] != 0 {
		t.Errorf("check: %v", found)
	}
	p.settle(t)
	p.session(t, 6)
	if all := told.take(); len(all) > 0 {
		t.Errorf("told: %v", all)
	}
	// From the first commit that it has seen again, what it had is known.
	before := p.states(1)
	p.session(t, 7)
	p.revert(before)
	p.open(t)
	if bad, err := p.Examine(t.Context()); err != nil || len(bad) != 1 || bad[0].Storage != 2 || bad[0].Problem != dispersed.RolledBack {
		t.Errorf("examine: %v, %v", bad, err)
	}
	p.settle(t)
}

// Many writers at once, some of them killed in the middle, and readers all the time:
// nobody takes a storage for one that was rolled back.
func TestManyWritersRollNothingBack(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(4))
	p.settle(t)
	told := p.watch()
	var wg sync.WaitGroup
	for writer := range 6 {
		wg.Go(func() {
			for round := range 8 {
				changes := int64(immortal)
				if writer < 2 {
					changes = int64(10 + 17*round + writer)
				}
				b := p.process(t, changes)
				name := fmt.Sprint("snapshots/", writer, "-", round)
				if err := b.Put(t.Context(), name, noise(writer, 900), storage.PutOptions{IfAbsent: true}); err != nil && changes == immortal {
					t.Error(err)
				}
				if changes == immortal {
					if bad, err := b.Examine(t.Context()); err != nil || len(bad) > 0 {
						t.Errorf("examine: %v, %v", bad, err)
					}
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if all := told.take(); len(all) > 0 {
		t.Errorf("told: %v", all)
	}
	// What they left of marks and seals goes with those that follow.
	p.session(t, 1)
	p.session(t, 2)
	for i, m := range p.memory {
		n := 0
		for name := range m.Objects() {
			if strings.HasPrefix(name, dispersed.HistoryDir) {
				n++
			}
		}
		if n != 3 {
			t.Errorf("storage %d has %d marks and seals in the end, want two marks and a seal", i+1, n)
		}
	}
}
