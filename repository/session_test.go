package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// Many savers at once, with much in common: everything is stored once.
func TestSaversShareASession(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	s := startSession(t, r, SessionOptions{VerifyEvery: 3})
	const savers, each = 12, 60
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for i := range savers {
		wg.Go(func() {
			for j := range each {
				n := uint64(j)
				if j%3 == 0 {
					n += uint64(i) * 1000 // this saver's own
				}
				kind := []Kind{KindData, KindTree}[j%2]
				id, saved, err := s.Save(t.Context(), kind, content(n, 500+int(n%50)*40))
				if err != nil {
					t.Error(err)
					return
				}
				if saved.New {
					fresh.Add(1)
				}
				if !s.Has(id) {
					t.Errorf("the session does not have %s, which it saved", id)
				}
			}
		})
	}
	wg.Wait()
	want := int64(each*2/3 + savers*each/3)
	st := s.Stats()
	if fresh.Load() != want || st.NewBlobs != want || st.NewBlobs+st.ReusedBlobs != savers*each {
		t.Errorf("%d new blobs of %d, want %d: %+v", fresh.Load(), savers*each, want, st)
	}
	root := mustSave(t, s, KindTree, []byte("root"))
	mustCommit(t, s, Snapshot{Root: root})
	last := reopen(t, r.Backend(), ring)
	storedOnce(t, last)
	checkWhole(t, last)
	for j := range uint64(each) {
		if j%3 != 0 {
			kind := []Kind{KindData, KindTree}[j%2]
			data := content(j, 500+int(j%50)*40)
			mustLoad(t, last, last.ids.id(kind, data), kind, data)
		}
	}
}

// Two sessions at once, through two openings: both commit, both restore.
func TestTwoSessionsAtOnce(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	works := []work{someWork(1), someWork(20)} // they overlap
	var wg sync.WaitGroup
	for i, w := range works {
		repo := reopen(t, r.Backend(), ring)
		wg.Go(func() {
			s, err := repo.Session(t.Context(), SessionOptions{PackSize: testPack})
			if err == nil {
				_, err = w.run(t.Context(), s, fmt.Sprint("job-", i))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last := reopen(t, r.Backend(), ring)
	for i, w := range works {
		w.check(t, last)
		if len(snapshotsOf(t, last, fmt.Sprint("job-", i))) != 1 {
			t.Errorf("job %d has no snapshot", i)
		}
	}
	checkWhole(t, last)
}

// Attempts of one job that race make one snapshot, and all learn which.
func TestSameJobCommitsOnce(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	w := someWork(1)
	const attempts = 4
	ids := make([]Snapshot, attempts)
	var wg sync.WaitGroup
	for i := range attempts {
		s := startSession(t, r, SessionOptions{})
		wg.Go(func() {
			root, _, err := s.Save(t.Context(), KindTree, w.trees[0])
			if err == nil {
				ids[i], err = s.Commit(t.Context(), Snapshot{Source: "Home/ä", Time: testTime, Job: "j1", Attempt: i + 1, Root: root})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all := snapshotsOf(t, r, "j1")
	if len(all) != 1 {
		t.Fatalf("%d snapshots, want 1", len(all))
	}
	for i, snap := range ids {
		if snap.ID != all[0].ID || snap.Attempt != all[0].Attempt {
			t.Errorf("attempt %d got snapshot %s of attempt %d, committed was %s of attempt %d",
				i+1, snap.ID, snap.Attempt, all[0].ID, all[0].Attempt)
		}
	}
	other := startSession(t, r, SessionOptions{})
	root := mustSave(t, other, KindTree, w.trees[0])
	if snap := mustCommit(t, other, Snapshot{Source: "other", Job: "j1", Root: root}); snap.ID == all[0].ID {
		t.Error("the same job id of another source gave the same snapshot")
	}
}

func TestFenceStopsTheCommit(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	lost := errors.New("lease lost")
	var indexed bool
	s := startSession(t, r, SessionOptions{Fence: func(ctx context.Context) error {
		indexed = len(r.index.fragments()) == 1
		return lost
	}})
	root := mustSave(t, s, KindTree, []byte("root"))
	if _, err := s.Commit(t.Context(), Snapshot{Source: "home", Time: testTime, Root: root}); !errors.Is(err, lost) {
		t.Fatalf("Commit = %v, want the fence's error", err)
	}
	if !indexed {
		t.Error("the fence was asked before the index was written")
	}
	if snaps, _, err := r.Snapshots(t.Context(), ""); err != nil || len(snaps) != 0 {
		t.Fatalf("snapshots after a refused commit: %v, %v", snaps, err)
	}
	if _, err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := startSession(t, r, SessionOptions{})
	if _, saved, err := next.Save(t.Context(), KindTree, []byte("root")); err != nil || saved.New {
		t.Fatalf("what the fenced session stored is not reused: %+v, %v", saved, err)
	}
}

// A commit that is interrupted at any change of the storage keeps everything.
func TestInterruptedCommitKeepsEverything(t *testing.T) {
	for _, at := range []string{"packs/", "index/", "snapshots/"} {
		t.Run(at, func(t *testing.T) {
			be := faults.Wrap(openDir(t, t.TempDir()))
			ring := newRing()
			r, err := Create(t.Context(), be, ring, CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeRepo(t, r) })
			ctx, interrupt := context.WithCancel(t.Context())
			be.On(faults.Put).Under(at).Do(func(string) { interrupt() })
			w := someWork(1)
			s := startSession(t, r, SessionOptions{PackSize: 1 << 20}) // no pack fills before Commit
			if _, err := w.run(ctx, s, "j"); !errors.Is(err, context.Canceled) {
				t.Fatalf("Commit = %v", err)
			}
			if _, err := s.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			next := startSession(t, reopen(t, be, ring), SessionOptions{})
			if _, err := w.run(t.Context(), next, "j"); err != nil {
				t.Fatal(err)
			}
			if st := next.Stats(); st.NewBlobs != 0 || st.AdoptedPacks != 0 {
				t.Errorf("stored again after the interruption: %+v", st)
			}
		})
	}
}

func TestSaveRefuses(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	s := startSession(t, r, SessionOptions{})
	if _, _, err := s.Save(t.Context(), KindData, make([]byte, testPack)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a blob larger than a pack: %v", err)
	}
	if _, err := s.Commit(t.Context(), Snapshot{Source: "home", Root: ID{1}}); !errors.Is(err, ErrBlobMissing) {
		t.Errorf("Commit without a root: %v", err)
	}
	root := mustSave(t, s, KindTree, nil)
	for _, source := range []string{"", string(bytes.Repeat([]byte("ä"), 40)), "\xff"} {
		if _, err := s.Commit(t.Context(), Snapshot{Source: source, Root: root}); !errors.Is(err, ErrBadSource) {
			t.Errorf("Commit of source %q: %v", source, err)
		}
	}
	mustCommit(t, s, Snapshot{Root: root})
	if _, _, err := s.Save(t.Context(), KindData, []byte("x")); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("Save after Commit: %v", err)
	}
	if _, err := s.Commit(t.Context(), Snapshot{Source: "home", Root: root}); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("second Commit: %v", err)
	}
}

// A failing storage ends the session with the reason; savers never hang.
func TestPutFails(t *testing.T) {
	full := errors.New("disk full")
	be := faults.Wrap(openDir(t, t.TempDir()))
	ring := newRing()
	r, err := Create(t.Context(), be, ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	be.On(faults.Put).Under("packs/").After(2).Times(-1).Fail(full)
	s, err := r.Session(t.Context(), SessionOptions{PackSize: testPack})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for j := range uint64(200) {
				_, _, err := s.Save(t.Context(), KindData, content(uint64(i)<<32|j, 3000))
				if err != nil {
					if !errors.Is(err, full) {
						t.Errorf("Save = %v, want the storage's reason", err)
					}
					return
				}
			}
			t.Error("no Save failed")
		})
	}
	wg.Wait()
	st, err := s.Abort(t.Context())
	// Two packs could be stored; a failure ends those that are under way.
	if !errors.Is(err, full) || st.Packs > 2 {
		t.Fatalf("Abort = %+v, %v", st, err)
	}
	next := startSession(t, r, SessionOptions{})
	if got := next.Stats(); got.AdoptedPacks != 0 || len(r.index.fragments()) != int(min(st.Packs, 1)) {
		t.Errorf("the packs that were stored are not indexed: %+v", got)
	}
}

// Every order of saves, losses of contexts and aborts keeps the promise that a
// blob reported as saved is stored or the commit fails.
func TestCancelledSaversLeaveNoHole(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	s := startSession(t, r, SessionOptions{})
	saved := map[ID][]byte{}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(120) {
		ctx, cancel := context.WithCancel(t.Context())
		if rng.IntN(3) == 0 {
			cancel()
		}
		data := content(i, 2000)
		id, _, err := s.Save(ctx, KindData, data)
		if err == nil {
			saved[id] = data
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	root := mustSave(t, s, KindTree, nil)
	mustCommit(t, s, Snapshot{Root: root})
	last := reopen(t, r.Backend(), ring)
	for id, data := range saved {
		mustLoad(t, last, id, KindData, data)
	}
}

// A long session writes its index in parts and goes on finding its own blobs.
func TestFragmentsOfALongSession(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{Hash: BLAKE3})
	s := startSession(t, r, SessionOptions{PackSize: 256 << 10, Compression: store})
	s.enough = 4000
	const n = 25000
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			for i := part; i < n; i += 2 {
				if _, _, err := s.Save(t.Context(), KindData, fmt.Appendf(nil, "blob %d", i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.puts.Wait()
	if got := len(r.index.fragments()); got == 0 {
		t.Fatal("no fragment was written on the way")
	}
	for i := range n {
		if _, saved, err := s.Save(t.Context(), KindData, fmt.Appendf(nil, "blob %d", i)); err != nil || saved.New {
			t.Fatalf("blob %d is stored again: %v", i, err)
		}
	}
	root := mustSave(t, s, KindTree, nil)
	snap := mustCommit(t, s, Snapshot{Root: root})
	if len(snap.Index) < 2 {
		t.Errorf("the snapshot names %d fragments", len(snap.Index))
	}
	last := reopen(t, r.Backend(), ring)
	for i := 0; i < n; i += 1009 {
		data := fmt.Appendf(nil, "blob %d", i)
		mustLoad(t, last, last.ids.id(KindData, data), KindData, data)
	}
}

func TestLoadPack(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	s := startSession(t, r, SessionOptions{PackSize: 16 << 20})
	rng := rand.New(rand.NewPCG(7, 7))
	blobs := map[ID][]byte{}
	for i := range uint64(300) {
		data := content(i, rng.IntN(60000))
		blobs[mustSave(t, s, KindData, data)] = data
	}
	mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, nil)})
	byPack := map[PackID][]Wanted{}
	i := 0
	for id := range blobs {
		loc, ok := r.Locate(id)
		if !ok {
			t.Fatal("not found")
		}
		w := Wanted{ID: id, Offset: loc.Offset, Stored: loc.Stored, Raw: loc.Raw}
		for range i % 3 { // not all of them, some twice
			byPack[loc.Pack] = append(byPack[loc.Pack], w)
		}
		i++
	}
	for pack, wanted := range byPack {
		left := map[ID]int{}
		for _, w := range wanted {
			left[w.ID]++
		}
		last := uint32(0)
		_, err := r.LoadPack(t.Context(), pack, wanted, nil, func(w Wanted, data []byte, err error) error {
			if err != nil || !bytes.Equal(data, blobs[w.ID]) {
				t.Fatalf("blob %s: %d bytes, %v", w.ID, len(data), err)
			}
			if w.Offset < last {
				t.Fatal("out of order")
			}
			last = w.Offset
			left[w.ID]--
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range left {
			if n != 0 {
				t.Errorf("blob %s was given %d times too few", id, n)
			}
		}
		stop := errors.New("stop")
		if _, err := r.LoadPack(t.Context(), pack, wanted, nil, func(Wanted, []byte, error) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("LoadPack = %v, want the callback's own error", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.LoadPack(ctx, pack, wanted, nil, func(Wanted, []byte, error) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("LoadPack after the context ended = %v", err)
		}
	}
	var blobErr *BlobError
	if _, err := r.Load(t.Context(), ID{1}, KindData, nil); !errors.As(err, &blobErr) || !errors.Is(err, ErrBlobMissing) {
		t.Errorf("Load of nothing = %v", err)
	}
	_, err := r.LoadPack(t.Context(), PackID{1}, []Wanted{{ID: ID{1}, Stored: 10}}, nil, func(_ Wanted, _ []byte, err error) error {
		if !errors.Is(err, ErrBlobMissing) {
			t.Errorf("blob of no pack = %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSnapshotsAreFound(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	var all []Snapshot
	for i, source := range []string{"home", "home", "etc", "A B/ü", "Home"} {
		s := startSession(t, r, SessionOptions{})
		root := mustSave(t, s, KindTree, nil)
		all = append(all, mustCommit(t, s, Snapshot{Source: source, Time: testTime.Add(time.Duration(i) * time.Hour), Root: root}))
	}
	for ref, want := range map[string]int{
		"latest": 4, "latest:home": 1, "latest:etc": 2, "latest:A B/ü": 3, "latest:Home": 4,
		all[0].ID: 0, all[2].ID[:10]: 2,
	} {
		got, err := r.FindSnapshot(t.Context(), ref)
		if err != nil || got.ID != all[want].ID || !got.Time.Equal(all[want].Time) {
			t.Errorf("FindSnapshot %s = %s (%s), %v; want number %d", ref, got.ID, got.Source, err, want)
		}
	}
	for ref, want := range map[string]error{
		"latest:nobody": ErrNoSnapshot, "0000000000000000": ErrNoSnapshot, "xyz": ErrNoSnapshot, "": ErrNoSnapshot, "ab": ErrNoSnapshot, "latest:": ErrNoSnapshot,
	} {
		if _, err := r.FindSnapshot(t.Context(), ref); !errors.Is(err, want) {
			t.Errorf("FindSnapshot %q = %v, want %v", ref, err, want)
		}
	}
	home, bad, err := r.Snapshots(t.Context(), "home")
	if err != nil || len(bad) != 0 || len(home) != 2 || home[0].ID != all[0].ID {
		t.Errorf("Snapshots of home = %v, %v, %v", home, bad, err)
	}
	if err := r.DeleteSnapshot(t.Context(), all[1]); err != nil {
		t.Fatal(err)
	}
	if got, err := r.FindSnapshot(t.Context(), "latest:home"); err != nil || got.ID != all[0].ID {
		t.Errorf("latest:home after deleting the newer = %s, %v", got.ID, err)
	}
}

// The cache survives, and a damaged one is made again.
func TestIndexCache(t *testing.T) {
	dir := t.TempDir()
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "j"); err != nil {
		t.Fatal(err)
	}
	counting := faults.Wrap(r.Backend())
	reads := 0
	counting.On(faults.Get).Under("index/").Times(-1).Do(func(string) { reads++ })
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			flipCache(t, dir)
		}
		o, err := Open(t.Context(), counting, ring, OpenOptions{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		w.check(t, o)
		closeRepo(t, o)
		if reads != want {
			t.Errorf("opening %d: %d reads of the index so far, want %d", i, reads, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	be := openDir(t, t.TempDir())
	ring := newRing()
	if _, err := Open(t.Context(), be, ring, OpenOptions{}); !errors.Is(err, ErrNotRepository) {
		t.Errorf("Open of nothing = %v", err)
	}
	r, err := Create(t.Context(), be, ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, r)
	if _, err := Create(t.Context(), be, ring, CreateOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("Create twice = %v", err)
	}
	if _, err := Open(t.Context(), be, newRing(), OpenOptions{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("Open with another ring = %v", err)
	}
	cfg, err := readConfig(t.Context(), be)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Required = []string{"time-travel"}
	data, err := encodeConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{configName, configCopy} {
		if err := be.Put(t.Context(), name, data, storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), be, ring, OpenOptions{}); !errors.Is(err, ErrUnknownFeature) {
		t.Errorf("Open with an unknown feature = %v", err)
	}
}

// A creation that died between the two copies is completed by the next.
func TestCreateIsCompleted(t *testing.T) {
	for n := 1; n <= 2; n++ {
		inner := openDir(t, t.TempDir())
		broken := faults.Wrap(inner)
		broken.StopAt(n)
		ring := newRing()
		if _, err := Create(t.Context(), broken, ring, CreateOptions{}); !errors.Is(err, faults.ErrStopped) {
			t.Fatal(err)
		}
		r, err := Create(t.Context(), inner, ring, CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checkWhole(t, r)
		closeRepo(t, r)
	}
}

// Rotation: what any version sealed opens; a ring without the version says so.
func TestKeyRotation(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "j1"); err != nil {
		t.Fatal(err)
	}
	newer := ring.Rotated(testTime.Add(time.Hour))
	r2 := reopen(t, r.Backend(), newer)
	w2 := someWork(1000)
	w2.data = append(w2.data, w.data...)
	s := startSession(t, r2, SessionOptions{})
	if _, err := w2.run(t.Context(), s, "j2"); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.ReusedBlobs != int64(len(w.data)) {
		t.Errorf("ids changed with the key: %+v", st)
	}
	w.check(t, reopen(t, r.Backend(), newer))
	w2.check(t, reopen(t, r.Backend(), newer))
	checkWhole(t, r2)
	old := reopen(t, r.Backend(), ring)
	w.check(t, old) // what it opens it reads
	for _, b := range w2.data {
		id := old.ids.id(KindData, b)
		if _, err := old.Load(t.Context(), id, KindData, nil); err != nil && !errors.Is(err, keyring.ErrNoVersion) {
			t.Errorf("a blob that a newer key sealed: %v", err)
		}
	}
	if _, err := old.Session(t.Context(), SessionOptions{}); !errors.Is(err, keyring.ErrNoVersion) {
		t.Errorf("a session with a ring without the newest version: %v", err)
	}
}

func TestMaxBlob(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	s := startSession(t, r, SessionOptions{PackSize: 16 << 20, VerifyEvery: 1})
	big := content(1, blob.MaxSize)
	id := mustSave(t, s, KindData, big)
	mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, nil)})
	mustLoad(t, r, id, KindData, big)
	if _, _, err := startSession(t, r, SessionOptions{PackSize: 16 << 20}).Save(t.Context(), KindData, make([]byte, blob.MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a blob of more than MaxSize: %v", err)
	}
}
