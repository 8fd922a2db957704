package repository

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// flippedInMemory is a repository with a snapshot, one blob of which was damaged
// between hash and seal: every checksum and seal is right, its content is not.
func flippedInMemory(t *testing.T) (dir string, ring *keyring.Ring, id ID, want []byte) {
	t.Helper()
	dir, ring, want = t.TempDir(), newRing(), content(7, 20_000)
	r, err := Create(t.Context(), openDir(t, dir), ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	s := startSession(t, r, SessionOptions{VerifyEvery: -1})
	id = s.ID(KindData, want)
	flipped := bytes.Clone(want)
	flipped[len(flipped)/2] ^= 4
	s.pending.Claim(id)
	if _, err := s.store(t.Context(), KindData, id, flipped); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, KindData, content(8, 20_000))
	mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, []byte("root"))})
	return dir, ring, id, want
}

// checkAll checks every pack, and records what is doubted.
func checkAll(t *testing.T, r *Repository) []*Problem {
	t.Helper()
	var ids []PackID
	if err := r.Packs(t.Context(), func(p PackInfo) error { ids = append(ids, p.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	var problems []*Problem
	var sound []PackID
	err := r.CheckPacks(t.Context(), ids, func(id PackID, _ int64, p *Problem) {
		if p != nil {
			problems = append(problems, p)
		} else {
			sound = append(sound, id)
		}
	})
	if err := errors.Join(err, r.RecordDoubts(t.Context(), testTime, sound)); err != nil {
		t.Fatal(err)
	}
	return problems
}

// A blob that was damaged in memory is found, never read again, stored anew by
// the next session, and right from then on.
func TestABlobDamagedInMemoryIsStoredAgain(t *testing.T) {
	dir, ring, id, want := flippedInMemory(t)
	r := reopen(t, openDir(t, dir), ring)
	if got, err := r.Load(t.Context(), id, KindData, nil); err != nil || bytes.Equal(got, want) {
		t.Fatalf("the damage is not what this test needs: %v", err)
	}
	problems := checkAll(t, r)
	if len(problems) != 1 || len(problems[0].Wrong) != 1 || problems[0].Wrong[0] != id || problems[0].Harmless {
		t.Fatalf("found %v", problems)
	}
	for name, r := range map[string]*Repository{"the checking one": r, "another": reopen(t, openDir(t, dir), ring)} {
		if _, err := r.Load(t.Context(), id, KindData, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s process still reads it: %v", name, err)
		}
		if _, ok := r.Locate(id); ok {
			t.Errorf("%s process still finds it", name)
		}
	}
	r2 := reopen(t, openDir(t, dir), ring)
	s := startSession(t, r2, SessionOptions{})
	if s.Has(id) {
		t.Error("a session would reuse it")
	}
	mustSave(t, s, KindData, content(8, 20_000))
	if mustSave(t, s, KindData, want); s.Stats().NewBlobs != 1 {
		t.Errorf("%+v", s.Stats())
	}
	mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, []byte("root"))})

	r3 := reopen(t, openDir(t, dir), ring)
	mustLoad(t, r3, id, KindData, want)
	loc, ok := r3.Locate(id)
	if !ok || loc.Pack.Object() == problems[0].Object {
		t.Fatalf("located in %v", loc.Pack)
	}
	_, err := r3.LoadPack(t.Context(), loc.Pack, []Wanted{{id, loc.Offset, loc.Stored, loc.Raw}}, nil, func(_ Wanted, got []byte, err error) error {
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("LoadPack: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := startSession(t, r3, SessionOptions{}); !s.Has(id) {
		t.Error("it would be stored a third time")
	}
}

// A plan made before the damage was known reads from another place, or fails.
func TestADoubtedPlaceIsNotReadByAnOldPlan(t *testing.T) {
	dir, ring, id, _ := flippedInMemory(t)
	r := reopen(t, openDir(t, dir), ring)
	loc, _ := r.Locate(id)
	checkAll(t, r)
	_, err := r.LoadPack(t.Context(), loc.Pack, []Wanted{{id, loc.Offset, loc.Stored, loc.Raw}}, nil, func(_ Wanted, _ []byte, err error) error {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("it was read: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Doubts end when the pack is found whole again, or is gone.
func TestDoubtsEnd(t *testing.T) {
	d := buildForDamage(t)
	be := openDir(t, d.dir)
	path := filepath.Join(d.dir, d.objects(t, d.dir, packPrefix)[0])
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := func() {
		if err := flipAt(func(n int) int { return n / 3 })(path, ""); err != nil {
			t.Fatal(err)
		}
		r := reopen(t, be, d.ring)
		if len(checkAll(t, r)) != 1 || r.Doubts() != 1 {
			t.Fatalf("%d packs are doubted, want 1", r.Doubts())
		}
		if again := reopen(t, be, d.ring); again.Doubts() != 1 {
			t.Error("others do not know")
		}
	}
	damage()
	damaged := reopen(t, be, d.ring)
	if err := os.WriteFile(path, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	checkAll(t, damaged)
	if again := reopen(t, be, d.ring); damaged.Doubts() != 0 || again.Doubts() != 0 {
		t.Error("a pack that is whole again is still doubted")
	}
	damage()
	gone := reopen(t, be, d.ring)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := gone.CompactLedger(t.Context(), testTime); err != nil {
		t.Fatal(err)
	}
	if again := reopen(t, be, d.ring); gone.Doubts() != 0 || again.Doubts() != 0 {
		t.Error("a pack that is gone is still doubted")
	}
	err = be.List(t.Context(), ledgerPrefix, func(o storage.Info) error { t.Errorf("left behind: %s", o.Name); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever settles doubts deletes no note that a newer key sealed.
func TestDoubtsOfANewerKeyStay(t *testing.T) {
	d := buildForDamage(t)
	be := openDir(t, d.dir)
	packs := d.objects(t, d.dir, packPrefix)
	doubt := func(ring *keyring.Ring, name string) {
		r := reopen(t, be, ring)
		id, _ := parsePackObject(name)
		r.Distrust(ledger.Doubt{Pack: id, Why: ledger.Stored, Blobs: r.blobsIn(id)})
		if err := r.RecordDoubts(t.Context(), testTime, nil); err != nil {
			t.Fatal(err)
		}
	}
	newer := d.ring.Rotated(testTime)
	doubt(d.ring, packs[0])
	doubt(newer, packs[1])
	old := reopen(t, be, d.ring)
	if old.Doubts() != 1 {
		t.Fatalf("%d packs are doubted, want 1", old.Doubts())
	}
	settled, _ := parsePackObject(packs[0])
	if err := old.RecordDoubts(t.Context(), testTime, []PackID{settled}); err != nil {
		t.Fatal(err)
	}
	r := reopen(t, be, newer)
	other, _ := parsePackObject(packs[1])
	if r.Doubts() != 1 || len(r.doubts.Load().packs[other]) == 0 {
		t.Errorf("%d packs are doubted, want the second", r.Doubts())
	}
}

// A pack that the storage reads in no place is not tried blob by blob.
func TestSalvageGivesUp(t *testing.T) {
	o := newOneSnapshot(t)
	s := startSession(t, o.Repository, SessionOptions{PackSize: 1 << 20})
	var id ID
	for seed := range uint64(300) {
		id = mustSave(t, s, KindData, content(seed+500, 900))
	}
	mustCommit(t, s, Snapshot{Time: testTime, Root: id})
	loc, _ := o.Locate(id)
	reads := 0
	o.be.On(faults.Get).Under(loc.Pack.Object()).Times(-1).Do(func(string) { reads++ }).Fail(syscall.EIO)
	p, err := o.CheckPack(t.Context(), loc.Pack)
	if err != nil || p == nil || !errors.Is(p.Err, ErrUnreadable) || len(p.Blobs) != 300 {
		t.Fatalf("%v, %v", p, err)
	}
	if reads == 0 || reads > 40 {
		t.Errorf("%d reads of a pack with 300 blobs", reads)
	}
}
