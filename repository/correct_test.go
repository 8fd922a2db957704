package repository

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"mahavishnu/repository/parity"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// sectors is a storage that cannot read parts of objects.
type sectors struct {
	storage.Backend
	mu  sync.Mutex
	bad map[string][][2]int64 // from, to
}

func (s *sectors) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.bad[name] {
		if offset < x[1] && (length < 0 || offset+length > x[0]) {
			return nil, &storage.Error{Op: "read", Object: name, Err: syscall.EIO}
		}
	}
	return s.Backend.Get(ctx, name, offset, length)
}

// Put gives an object other sectors.
func (s *sectors) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	err := s.Backend.Put(ctx, name, data, o)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.bad, name)
	}
	return err
}

// What lies on bad sectors is read around, whatever kind of object they hit, and
// repairing puts it elsewhere.
func TestBadSectors(t *testing.T) {
	whole := buildProtected(t, testPack)
	for _, c := range []struct {
		prefix   string
		from, to int64
	}{
		{packPrefix, 0, 100},
		{packPrefix, 9000, 12000},
		{packPrefix, 0, 1 << 30},
		{parity.Prefix, 0, 10},
		{parity.Prefix, 0, 1 << 30},
		{parity.StripePrefix, 0, 4096},
		{parity.StripePrefix, 20000, 20001},
		{indexPrefix, 0, 1 << 30},
		{snapshotPrefix, 0, 1},
		{copyPrefix + snapshotPrefix, 0, 1},
		{configName, 0, 1},
	} {
		d := whole.copied(t)
		objects := slices.DeleteFunc(d.objects(c.prefix), func(name string) bool { // too short to be hit
			info, err := os.Stat(filepath.Join(d.dir, filepath.FromSlash(name)))
			return err != nil || info.Size() <= c.from
		})
		be := &sectors{Backend: openDir(t, d.dir), bad: map[string][][2]int64{objects[0]: {{c.from, c.to}}}}
		r := reopen(t, be, d.ring)
		for _, w := range d.work {
			w.check(t, r)
		}
		var found []Action
		_, err := r.Repair(t.Context(), RepairOptions{Packs: true, Parity: true, OnAction: func(a Action) { found = append(found, a) }})
		if err != nil || len(found) != 1 || found[0].Object != objects[0] || !errors.Is(found[0].Found, ErrUnreadable) {
			t.Errorf("%s, bytes %d to %d: %v, %v", objects[0], c.from, c.to, found, err)
		}
		if len(be.bad) != 0 {
			t.Errorf("%s was not written anew", objects[0])
		}
		d.same(t)
	}
}

// An orphan on bad sectors is left alone, and a fragment without a readable copy
// is made up for: neither keeps anybody from working.
func TestWorkGoesOnBesideBadSectors(t *testing.T) {
	d := buildProtected(t, testPack).copied(t)
	victim := d.objects(indexPrefix)[0]
	all := [][2]int64{{0, 1 << 30}}
	be := &sectors{Backend: openDir(t, d.dir), bad: map[string][][2]int64{victim: all, copyOf(victim): all}}
	r := reopen(t, be, d.ring)
	for _, w := range d.work {
		w.check(t, r)
	}
	s := startSession(t, r, SessionOptions{})
	if _, err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}

	orphan := d.copied(t)
	for _, name := range []string{victim, copyOf(victim)} {
		if err := os.Remove(filepath.Join(orphan.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	be = &sectors{Backend: openDir(t, orphan.dir), bad: map[string][][2]int64{}}
	for _, name := range orphan.objects(packPrefix)[:2] {
		be.bad[name] = [][2]int64{{200, 300}}
	}
	s = startSession(t, reopen(t, be, orphan.ring), SessionOptions{})
	if st := s.Stats(); st.RefusedPacks+st.AdoptedPacks == 0 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRandomDamage damages packs as far as the promise goes: in each stripe one
// pack in any way, in the others as many shards as there are parity shards. All of
// it is read right and mended.
func TestRandomDamage(t *testing.T) {
	whole := buildProtected(t, testPack)
	stripes := func() [][]PackID {
		r := reopen(t, openDir(t, whole.dir), whole.ring)
		set, err := r.readStripes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all [][]PackID
		for _, s := range set.all {
			var ids []PackID
			for _, m := range s.head.Members {
				ids = append(ids, m.ID)
			}
			all = append(all, ids)
		}
		slices.SortFunc(all, func(a, b []PackID) int { return a[0].Compare(b[0]) })
		return all
	}()
	rapid.Check(t, func(rt *rapid.T) {
		d := whole.copied(t)
		defer os.RemoveAll(d.dir)
		damaged := 0
		for _, ids := range stripes {
			worst := rapid.IntRange(-1, len(ids)-1).Draw(rt, "worst")
			for i, id := range ids {
				path := filepath.Join(d.dir, id.Object())
				before, err := os.ReadFile(path)
				if err != nil {
					rt.Fatal(err)
				}
				data, gone := slices.Clone(before), false
				if i == worst {
					data, gone = ruin(rt, data)
				} else {
					hurt(rt, data)
				}
				switch {
				case gone:
					err = os.Remove(path)
				case !bytes.Equal(data, before):
					err = os.WriteFile(path, data, 0o600)
				default:
					damaged--
				}
				damaged++
				if err != nil {
					rt.Fatal(err)
				}
			}
		}
		r, err := Open(context.Background(), openDir(t, d.dir), d.ring, OpenOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		defer closeRepo(t, r)
		for _, w := range d.work {
			w.check(t, r)
		}
		mended := 0
		_, err = r.Repair(context.Background(), RepairOptions{Packs: true, OnAction: func(a Action) { mended++ }})
		if err != nil || mended != damaged {
			rt.Errorf("%d packs damaged, %d mended: %v", damaged, mended, err)
		}
		d.same(t)
	})
}

// ruin damages a pack in any way.
func ruin(t *rapid.T, data []byte) (_ []byte, gone bool) {
	switch rapid.IntRange(0, 4).Draw(t, "ruin") {
	case 0:
		return nil, true
	case 1:
		return nil, false
	case 2:
		return data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")], false
	case 3:
		clear(data)
		return data, false
	}
	for i := range data {
		data[i] ^= byte(i*7 + 1)
	}
	return data, false
}

// hurt damages as many shards of a pack as its parity mends, at most.
func hurt(t *rapid.T, data []byte) {
	p := smallParity.Shape(int64(len(data)))
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, p.Data-1), 0, p.Parity, rapid.ID).Draw(t, "shards") {
		shard := data[i*p.Shard : min((i+1)*p.Shard, len(data))]
		if rapid.Bool().Draw(t, "all of it") {
			clear(shard)
		} else {
			shard[rapid.IntRange(0, len(shard)-1).Draw(t, "byte")] ^= 1
		}
	}
}

// oneOfEach returns an object of each kind, none of which it takes to mend another.
func (d protected) oneOfEach(t *testing.T) []string {
	t.Helper()
	packs := d.packsOf(t)
	victim, other := packs[0], packs[len(packs)-1]
	names := []string{configName, d.objects(indexPrefix)[0], d.objects(snapshotPrefix)[0], victim.Object(), parity.Name(other)}
	set, err := reopen(t, openDir(t, d.dir), d.ring).readStripes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range set.all {
		if _, ok := s.head.Find(victim); !ok {
			return append(names, s.object)
		}
	}
	t.Fatal("all packs are in one stripe")
	return nil
}

// A repair that dies at any write, or loses its power there, leaves nothing worse
// than it was, and the next one finishes.
func TestRepairDiesAnywhere(t *testing.T) {
	whole := buildProtected(t, testPack)
	harmed := whole.copied(t)
	for _, name := range whole.oneOfEach(t) {
		if err := os.Truncate(filepath.Join(harmed.dir, name), 40); err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; ; n++ {
		d := harmed.copied(t)
		be := openDir(t, d.dir)
		broken := faults.Wrap(be)
		r := reopen(t, broken, d.ring)
		broken.StopAt(n)
		_, err := r.Repair(t.Context(), RepairOptions{Packs: true, Parity: true})
		if err := broken.PowerCut(t.Context(), []faults.Loss{faults.LoseAll, faults.LoseHalf, faults.LoseBytes, faults.LoseMixed}[n%4]); err != nil {
			t.Fatal(err)
		}
		after := reopen(t, be, d.ring)
		for _, w := range d.work {
			w.check(t, after)
		}
		repairAll(t, after)
		d.same(t)
		if t.Failed() {
			t.Fatalf("change %d", n)
		}
		if err == nil {
			if n < 6 {
				t.Fatalf("%d changes only", n-1)
			}
			return
		}
	}
}

// Corrections are told once for each object, and counted.
func TestCorrectionsAreTold(t *testing.T) {
	d := buildProtected(t, testPack).copied(t)
	victims := []string{d.objects(packPrefix)[0], d.objects(indexPrefix)[0]}
	for _, name := range victims {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	told := map[Correction]int{}
	r, err := Open(t.Context(), openDir(t, d.dir), d.ring, OpenOptions{OnCorrection: func(c Correction) {
		mu.Lock()
		defer mu.Unlock()
		told[c]++
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	for range 3 {
		for _, w := range d.work {
			w.check(t, r)
		}
	}
	if len(told) != 2 || r.Corrections() != 2 {
		t.Errorf("told %v, counted %d", told, r.Corrections())
	}
	for c, n := range told {
		if n != 1 || !slices.Contains(victims, c.Object) {
			t.Errorf("%v told %d times", c, n)
		}
	}
}
