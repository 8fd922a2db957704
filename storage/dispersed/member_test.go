package dispersed_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// empty makes storages forget everything, as a directory does that is not mounted.
func (p *place) empty(members ...int) {
	for _, i := range members {
		for name := range p.memory[i].Objects() {
			p.memory[i].Set(name, nil)
		}
	}
}

// become makes a storage a copy of what another had.
func (p *place) become(i int, objects map[string][]byte) {
	p.empty(i)
	for name, data := range objects {
		p.memory[i].Set(name, data)
	}
}

// found collects what a check finds, as "problem at storage".
func (p *place) found(t *testing.T, o dispersed.CheckOptions, check func(dispersed.CheckOptions) (dispersed.Report, error)) (dispersed.Report, map[string]int) {
	t.Helper()
	all := map[string]int{}
	o.Found = func(f dispersed.Finding) error {
		all[fmt.Sprintf("%s at %d, repaired %v", f.Problem, f.Storage, f.Repaired)]++
		return nil
	}
	r, err := check(o)
	if err != nil {
		t.Fatal(err)
	}
	return r, all
}

func (p *place) check(t *testing.T, o dispersed.CheckOptions) (dispersed.Report, map[string]int) {
	return p.found(t, o, func(o dispersed.CheckOptions) (dispersed.Report, error) { return p.Check(t.Context(), o) })
}

func (p *place) repair(t *testing.T, o dispersed.CheckOptions) (dispersed.Report, map[string]int) {
	return p.found(t, o, func(o dispersed.CheckOptions) (dispersed.Report, error) { return p.Repair(t.Context(), o) })
}

func (p *place) again(t *testing.T) {
	t.Helper()
	p.settle(t)
	p.open(t)
}

func wantNamed(t *testing.T, err error, storages ...string) {
	t.Helper()
	var temporary *storage.TemporaryError
	if !errors.As(err, &temporary) || errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("%v; want an error about storages", err)
	}
	for _, s := range storages {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not name %s", err, s)
		}
	}
}

// An emptied storage counts as away: it gets nothing, and nobody believes it that there is
// nothing, until a repair makes it a part of the set again and fills it.
func TestEmptiedStorage(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(5))
	mustPut(t, p, "a", noise(1, 9000))
	p.again(t)
	p.empty(3)
	mustPut(t, p, "b", noise(2, 9000))
	wantData(t, p, "a", noise(1, 9000))
	p.again(t)
	if n := len(p.memory[3].Objects()); n != 0 {
		t.Errorf("%d objects were put in the emptied storage", n)
	}
	r, found := p.check(t, dispersed.CheckOptions{})
	if want := map[string]int{"emptied at 4, repaired false": 1}; !maps.Equal(found, want) || r.Whole() {
		t.Errorf("check: %v, %+v", found, r)
	}
	p.empty(4)
	p.again(t)
	wantNamed(t, p.Put(t.Context(), "c", nil, storage.PutOptions{}), "storage 4", "storage 5")
	wantData(t, p, "b", noise(2, 9000))

	r, found = p.repair(t, dispersed.CheckOptions{})
	want := map[string]int{
		"emptied at 4, repaired true": 1, "emptied at 5, repaired true": 1,
		"missing at 4, repaired true": 3, "missing at 5, repaired true": 3, // of c, too, of which four shards were put
	}
	if !maps.Equal(found, want) || !r.Whole() || r.Reduced != 3 {
		t.Errorf("repair: %v, %+v", found, r)
	}
	wantRepaired(t, p)
	mustPut(t, p, "c", nil)
	p.settle(t)
}

// With more storages emptied than there are parity shards nothing is said to be
// missing, nothing is put, and no repair makes the emptied ones count.
func TestTooManyEmptied(t *testing.T) {
	p := newPlace(t, 4, 2)
	mustPut(t, p, "a", noise(1, 9000))
	p.settle(t)
	p.empty(1, 2, 5)
	p.open(t)
	ctx := t.Context()
	_, statErr := p.Stat(ctx, "a")
	_, otherErr := p.Stat(ctx, "never")
	_, checkErr := p.Check(ctx, dispersed.CheckOptions{})
	_, repairErr := p.Repair(ctx, dispersed.CheckOptions{KeepUnfinished: time.Nanosecond})
	for _, err := range []error{
		statErr, otherErr, checkErr, repairErr, p.Put(ctx, "b", nil, storage.PutOptions{IfAbsent: true}), p.Delete(ctx, "a"),
		p.List(ctx, "", func(storage.Info) error { return nil }),
	} {
		wantNamed(t, err, "storage 2", "storage 3", "storage 6", "not mounted")
	}
	for _, i := range []int{0, 3, 4} {
		if p.memory[i].Objects()["a"] == nil {
			t.Errorf("storage %d lost its shard", i+1)
		}
	}
	p.settle(t)
}

// The copy of one storage does not pass for another one, and is not overwritten.
func TestCopiedStorage(t *testing.T) {
	p := newPlace(t, 4, 2)
	mustPut(t, p, "a", noise(1, 9000))
	p.settle(t)
	p.become(5, p.memory[4].Objects())
	p.open(t)
	_, found := p.check(t, dispersed.CheckOptions{})
	if want := map[string]int{"foreign at 6, repaired false": 1}; !maps.Equal(found, want) {
		t.Errorf("check: %v", found)
	}
	r, found := p.repair(t, dispersed.CheckOptions{})
	if want := map[string]int{"foreign at 6, repaired false": 1}; !maps.Equal(found, want) || r.Whole() {
		t.Errorf("repair: %v, %+v", found, r)
	}
	p.empty(5)
	p.again(t)
	wantRepaired(t, p)
	p.settle(t)

	other := newPlace(t, 4, 2)
	p.become(2, other.memory[2].Objects())
	other.settle(t)
	p.open(t)
	if _, found := p.check(t, dispersed.CheckOptions{}); found["foreign at 3, repaired false"] != 1 {
		t.Errorf("check with a storage of another set: %v", found)
	}
	p.settle(t)
}

// What may be left of a confirmed object, since a storage was emptied after it was
// put, is damage, and stays; what was left after it is a remainder as ever.
func TestRemaindersOfConfirmedObjects(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(4))
	p.again(t)
	if err := p.Form(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.stop(3, 4)
	mustPut(t, p, "a", noise(1, 9000)) // confirmed with four shards
	p.settle(t)
	p.start()
	p.empty(5)
	p.open(t)
	o := dispersed.CheckOptions{KeepUnfinished: time.Nanosecond}
	for range 2 {
		r, found := p.repair(t, o)
		if found["unreadable at 0, repaired false"] != 1 || r.Whole() || r.Cleaned != 0 {
			t.Fatalf("repair: %v, %+v", found, r)
		}
		if _, err := p.Stat(t.Context(), "a"); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "storage 6") {
			t.Errorf("Stat: %v", err)
		}
		listed := 0
		if err := p.List(t.Context(), "", func(storage.Info) error { listed++; return nil }); err != nil || listed != 1 {
			t.Errorf("%d listed, %v", listed, err)
		}
		p.again(t)
	}
	for _, i := range []int{0, 1, 2} {
		if p.memory[i].Objects()["a"] == nil {
			t.Errorf("storage %d lost its shard", i+1)
		}
	}
	if err := p.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantRepaired(t, p)
	p.settle(t)
}

// A set that was made in part, by a process that was killed, is made in full by the
// next; with a storage away none is made.
func TestFormingIsFinished(t *testing.T) {
	p := newPlace(t, 2, 1)
	p.settle(t)
	p.empty(1, 2)
	p.open(t)
	wantGone(t, p, "a")
	p.stop(2)
	p.again(t)
	wantNamed(t, p.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}), "storage 3")
	p.start()
	mustPut(t, p, "a", []byte("x"))
	wantRepaired(t, p)
	p.settle(t)

	p.empty(0, 1, 2)
	p.stop(0)
	p.open(t)
	_, err := p.Stat(t.Context(), "a")
	wantNamed(t, err, "storage 1")
	p.settle(t)
}

// When storages are emptied one after the other faster than repairs come to their end,
// those that were adopted do not make an object that is lost look as if it had never been.
func TestEmptiedOneAfterTheOther(t *testing.T) {
	p := newPlace(t, 4, 2)
	mustPut(t, p, "a", noise(1, 9000))
	p.settle(t)
	for _, pair := range [][]int{{4, 5}, {2, 3}} {
		p.empty(pair...)
		p.open(t)
		stop := errors.New("killed")
		_, err := p.Repair(t.Context(), dispersed.CheckOptions{Prefix: "none/", Found: func(f dispersed.Finding) error {
			if f.Storage == pair[1]+1 {
				return stop
			}
			return nil
		}})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		p.settle(t)
	}
	p.open(t)
	for range 20 {
		if _, err := p.Stat(t.Context(), "a"); !errors.Is(err, storage.ErrDamaged) {
			t.Fatalf("Stat: %v", err)
		}
	}
	p.settle(t)
}
