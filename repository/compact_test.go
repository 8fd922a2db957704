package repository

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mahavishnu/repository/index"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
)

// compacted runs Compact as a collector of its own.
func compacted(t *testing.T, r *Repository, o CompactOptions) Compacted {
	t.Helper()
	c, err := r.Collect(t.Context(), lease.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := surveyAll(t, r)
	done, err := c.Compact(t.Context(), s, o)
	if err = errors.Join(err, c.End(t.Context())); err != nil {
		t.Fatal(err)
	}
	return done
}

// Many small fragments become one. Snapshots that rely on the old ones check as
// ever, also after a second time, and a fragment that nobody relies on any more is
// not remembered.
func TestCompact(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	var snaps []Snapshot
	var works []work
	for i := range 2 * compactFrom {
		w := someWork(uint64(i) * 1000)
		snap, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), fmt.Sprint("job-", i))
		if err != nil {
			t.Fatal(err)
		}
		snaps, works = append(snaps, snap), append(works, w)
		if i != compactFrom-1 && i != 2*compactFrom-1 {
			continue
		}
		if i == 2*compactFrom-1 {
			for _, s := range snaps[:2] {
				if err := r.DeleteSnapshot(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		}
		compacting := reopen(t, r.Backend(), ring)
		before := len(compacting.index.fragments())
		if done := compacted(t, compacting, CompactOptions{}); done.Written != 1 || done.Removed != before {
			t.Fatalf("Compact = %+v of %d fragments", done, before)
		}
		after := reopen(t, r.Backend(), ring)
		if n := len(after.index.fragments()); n != 1 {
			t.Fatalf("%d fragments", n)
		}
		for _, w := range works {
			w.check(t, after)
		}
		checkWhole(t, after)
	}
	last := reopen(t, r.Backend(), ring).index.fragments()[0]
	remembered := map[string]bool{}
	for _, name := range last.Replaces() {
		remembered[indexPrefix+PackID(name).String()] = true
	}
	for i, s := range snaps {
		for _, name := range s.Index {
			if i >= 2 && !remembered[name] && name != last.name {
				t.Errorf("snapshot %d relies on %s, which nothing stands for", i, name)
			}
			if i == 0 && remembered[name] {
				t.Errorf("%s is remembered for nobody", name)
			}
		}
	}
}

// A program that opened the repository before a fragment was replaced, and one
// that died before it deleted the old ones, see each place once.
func TestReplacedFragmentsAreLeftOut(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "job"); err != nil {
		t.Fatal(err)
	}
	kept := map[string][]byte{}
	err := r.be.List(t.Context(), indexPrefix, func(info storage.Info) (err error) {
		kept[info.Name], err = storage.ReadAll(t.Context(), r.be, info.Name, index.MaxSize, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := reopen(t, r.Backend(), ring)
	p, _ := c.index.fragments()[0].Pack(0)
	dead := p.ID
	compacted(t, c, CompactOptions{Dead: func(id PackID) bool { return id == dead }})
	for name, data := range kept { // the deletion did not happen
		if err := putTwice(t.Context(), r.be, name, data); err != nil {
			t.Fatal(err)
		}
	}
	after := reopen(t, r.Backend(), ring)
	if _, known := after.index.pack(dead); known {
		t.Error("a pack that was left out is known")
	}
	if left := after.index.replacedThere(); len(left) != len(kept) {
		t.Errorf("replaced and there: %v, want %d", left, len(kept))
	}
	if done := compacted(t, after, CompactOptions{}); done.Removed != len(kept) {
		t.Errorf("Compact = %+v", done)
	}
	_ = r.be.List(t.Context(), "", func(info storage.Info) error {
		for name := range kept {
			if strings.HasSuffix(info.Name, name) {
				t.Errorf("%s is left", info.Name)
			}
		}
		return nil
	})
}

// No place of a blob is lost when fragments are merged, whatever a survey says.
func TestLayers(t *testing.T) {
	id := func(n byte) ID { return ID{n} }
	layers := layer([]index.Entry{
		{ID: id(2), Pack: 1}, {ID: id(1), Pack: 0}, {ID: id(2), Pack: 0}, {ID: id(2), Pack: 0}, {ID: id(3), Pack: 2}, {ID: id(2), Pack: 5},
	})
	got := ""
	for _, l := range layers {
		for _, e := range l {
			got += fmt.Sprintf("%d@%d ", e.ID[0], e.Pack)
		}
		got += "| "
	}
	if got != "1@0 2@0 3@2 | 2@1 | 2@5 | " {
		t.Error(got)
	}
	if empty := layer(nil); len(empty) != 1 {
		t.Errorf("%d layers of nothing", len(empty))
	}
}
