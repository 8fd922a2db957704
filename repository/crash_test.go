package repository

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// work is what a test session stores: several packs of data, and trees.
type work struct {
	data  [][]byte
	trees [][]byte
}

func someWork(seed uint64) work {
	w := work{}
	for i := range uint64(24) {
		w.data = append(w.data, content(seed+i, 9000+int(i)*100))
	}
	for i := range uint64(6) {
		w.trees = append(w.trees, content(seed+100+i, 1500))
	}
	return w
}

// run stores everything and commits under the job.
func (w work) run(ctx context.Context, s *Session, job string) (Snapshot, error) {
	for _, d := range w.data {
		if _, _, err := s.Save(ctx, KindData, d); err != nil {
			return Snapshot{}, err
		}
	}
	var root ID
	for _, d := range w.trees {
		var err error
		if root, _, err = s.Save(ctx, KindTree, d); err != nil {
			return Snapshot{}, err
		}
	}
	return s.Commit(ctx, Snapshot{Source: "home", Time: testTime, Job: job, Root: root})
}

func (w work) blobs() int { return len(w.data) + len(w.trees) }

// check loads everything.
func (w work) check(t *testing.T, r *Repository) {
	t.Helper()
	for _, d := range w.data {
		mustLoad(t, r, r.ids.id(KindData, d), KindData, d)
	}
	for _, d := range w.trees {
		mustLoad(t, r, r.ids.id(KindTree, d), KindTree, d)
	}
}

// checkWhole runs every check and wants no problem but harmless ones.
func checkWhole(t *testing.T, r *Repository) {
	t.Helper()
	report := func(p Problem) error {
		if !p.Harmless {
			t.Errorf("problem: %v", p)
		}
		return nil
	}
	if err := r.CheckObjects(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	err := r.Packs(t.Context(), func(p PackInfo) error {
		problem, err := r.CheckPack(t.Context(), p.ID)
		if problem != nil {
			return errors.Join(err, report(*problem))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func snapshotsOf(t *testing.T, r *Repository, job string) []Snapshot {
	t.Helper()
	all, bad, err := r.Snapshots(t.Context(), "")
	if err != nil || len(bad) > 0 {
		t.Fatalf("Snapshots: %v, damaged %v", err, bad)
	}
	var of []Snapshot
	for _, s := range all {
		if s.Job == job {
			of = append(of, s)
		}
	}
	return of
}

// TestStopAtEveryWrite stops a session at each of its changes to the storage,
// with and without the loss of power. Whatever happens: older snapshots load, the
// job's next attempt commits exactly one snapshot, and everything in it loads.
func TestStopAtEveryWrite(t *testing.T) {
	losses := map[string]faults.Loss{
		"killed": nil, "lose all": faults.LoseAll, "lose half": faults.LoseHalf, "lose bytes": faults.LoseBytes, "lose mixed": faults.LoseMixed,
	}
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !stopAt(t, n, loss) {
					t.Logf("%d changes", n-1)
					if n < 9 {
						t.Fatalf("the session made %d changes only", n)
					}
					return
				}
			}
		})
	}
}

// stopAt runs one case; false means that the session finished before its n-th
// change.
func stopAt(t *testing.T, n int, loss faults.Loss) (stopped bool) {
	ctx := t.Context()
	be := openDir(t, memoryDir(t))
	ring := keyring.Generate(testTime)
	first, second := someWork(1), someWork(1000)
	second.data = append(second.data, first.data[:5]...) // reuses something

	r, err := Create(ctx, be, ring, CreateOptions{Parity: smallParity})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	if _, err := first.run(ctx, startSession(t, r, SessionOptions{}), "job-1"); err != nil {
		t.Fatal(err)
	}

	broken := faults.Wrap(be)
	dying := reopen(t, broken, ring)
	broken.StopAt(n)
	committed := attempt(t, dying, second)
	if loss != nil {
		if err := broken.PowerCut(ctx, loss); err != nil {
			t.Fatal(err)
		}
	}

	after := reopen(t, be, ring)
	first.check(t, after)
	visible := len(snapshotsOf(t, after, "job-2")) == 1
	if committed && !visible {
		t.Fatalf("change %d: a confirmed commit is lost", n)
	}
	if visible {
		second.check(t, after)
	}
	retry := startSession(t, after, SessionOptions{})
	if _, err := second.run(ctx, retry, "job-2"); err != nil {
		t.Fatalf("change %d: the next attempt: %v", n, err)
	}
	if got := len(snapshotsOf(t, after, "job-2")); got != 1 {
		t.Fatalf("change %d: %d snapshots of the job, want 1", n, got)
	}
	last := reopen(t, be, ring)
	first.check(t, last)
	second.check(t, last)
	checkWhole(t, last)
	checkParityOf(t, last)
	if err := storedTwice(be, 2); err != nil {
		t.Fatalf("change %d: %v", n, err)
	}
	if loss == nil {
		storedOnce(t, last)
	}
	return broken.Stopped() && !committed
}

// attempt runs a session that may die, and reports whether it committed.
func attempt(t *testing.T, r *Repository, w work) bool {
	s, err := r.Session(t.Context(), SessionOptions{PackSize: testPack})
	if err != nil {
		if !errors.Is(err, faults.ErrStopped) {
			t.Fatal(err)
		}
		return false
	}
	_, err = w.run(t.Context(), s, "job-2")
	if err != nil && !errors.Is(err, faults.ErrStopped) {
		t.Fatal(err)
	}
	// What is left of the process ends; a killed one would not even do this.
	if _, err := s.Abort(t.Context()); err != nil && !errors.Is(err, faults.ErrStopped) {
		t.Fatal(err)
	}
	return err == nil
}

// storedOnce checks that no blob is in two packs.
func storedOnce(t *testing.T, r *Repository) {
	t.Helper()
	seen := map[ID]PackID{}
	r.EachBlob(func(id ID, loc Location) bool {
		if other, ok := seen[id]; ok && other != loc.Pack {
			t.Errorf("blob %s is stored in %s and in %s", id, other, loc.Pack)
		}
		seen[id] = loc.Pack
		return true
	})
}

// An interrupted session keeps all it stored, packs half-full included.
func TestAbortKeepsEverything(t *testing.T) {
	for _, n := range []int{0, 1, 7, 24} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r, ring := newRepo(t, CreateOptions{})
			w := someWork(1)
			s := startSession(t, r, SessionOptions{})
			ctx, interrupt := context.WithCancel(t.Context())
			for _, d := range w.data[:n] {
				if _, _, err := s.Save(ctx, KindData, d); err != nil {
					t.Fatal(err)
				}
			}
			interrupt()
			if _, _, err := s.Save(ctx, KindData, content(9, 9)); !errors.Is(err, context.Canceled) {
				t.Fatalf("Save after the interruption = %v", err)
			}
			if _, err := s.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			next := startSession(t, reopen(t, r.Backend(), ring), SessionOptions{})
			if st := next.Stats(); st.AdoptedPacks != 0 {
				t.Fatalf("an aborted session left packs without an index: %+v", st)
			}
			if _, err := w.run(t.Context(), next, "job"); err != nil {
				t.Fatal(err)
			}
			if st := next.Stats(); st.NewBlobs != int64(w.blobs()-n) || st.ReusedBlobs != int64(n) {
				t.Fatalf("after %d of %d blobs: %+v", n, w.blobs(), st)
			}
		})
	}
}

// A killed session's packs are taken over by the next.
func TestAdoption(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	s := startSession(t, r, SessionOptions{})
	for _, d := range w.data {
		mustSave(t, s, KindData, d)
	}
	s.puts.Wait() // full packs are stored; the open ones die with the process
	stored := s.Stats().Packs
	if stored == 0 {
		t.Fatal("no pack was filled")
	}
	next := startSession(t, reopen(t, r.Backend(), ring), SessionOptions{})
	st := next.Stats()
	if st.AdoptedPacks != stored || st.RefusedPacks != 0 {
		t.Fatalf("adopted %d packs of %d", st.AdoptedPacks, stored)
	}
	if _, err := w.run(t.Context(), next, "job"); err != nil {
		t.Fatal(err)
	}
	if got := next.Stats(); got.ReusedBlobs != st.AdoptedBlobs {
		t.Fatalf("%d blobs reused of %d adopted", got.ReusedBlobs, st.AdoptedBlobs)
	}
	fresh := reopen(t, r.Backend(), ring)
	w.check(t, fresh)
	checkWhole(t, fresh)
	storedOnce(t, fresh)
}

// Archival sessions keep to their own packs.
func TestArchivalStoresApart(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	w := someWork(1)
	for i, c := range []struct {
		typ string
		new int
	}{{"full", w.blobs()}, {TypeArchival, w.blobs()}, {TypeArchival, 0}, {"incremental", 0}} {
		s := startSession(t, r, SessionOptions{Type: c.typ})
		if _, err := w.run(t.Context(), s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.NewBlobs != int64(c.new) {
			t.Errorf("session %d (%s): %d new blobs, want %d", i, c.typ, st.NewBlobs, c.new)
		}
	}
}

// A pack that is gone, or has another size, is not relied on.
func TestSessionStoresAgainWhatIsGone(t *testing.T) {
	for name, harm := range map[string]func(be storage.Backend, object string) error{
		"missing": func(be storage.Backend, object string) error { return be.Delete(t.Context(), object) },
		"cut": func(be storage.Backend, object string) error {
			data, err := storage.ReadAll(t.Context(), be, object, 1<<30, nil)
			return errors.Join(err, be.Put(t.Context(), object, data[:len(data)-1], storage.PutOptions{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ring := newRepo(t, CreateOptions{})
			w := someWork(1)
			if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "job-1"); err != nil {
				t.Fatal(err)
			}
			loc, _ := r.Locate(r.ids.id(KindData, w.data[0]))
			if err := harm(r.Backend(), loc.Pack.Object()); err != nil {
				t.Fatal(err)
			}
			lost := len(r.blobsIn(loc.Pack))
			s := startSession(t, r, SessionOptions{})
			if _, err := w.run(t.Context(), s, "job-2"); err != nil {
				t.Fatal(err)
			}
			if st := s.Stats(); st.NewBlobs != int64(lost) {
				t.Fatalf("%d blobs stored again, %d were lost", st.NewBlobs, lost)
			}
			w.check(t, reopen(t, r.Backend(), ring)) // the first snapshot is mended too
		})
	}
}
