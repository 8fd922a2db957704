package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// verify runs with the clock of the last backup.
func (s *store) verify(o VerifyOptions) VerifyReport {
	s.Helper()
	report, err := s.tryVerify(o)
	s.must(err)
	return report
}

func (s *store) tryVerify(o VerifyOptions) (VerifyReport, error) {
	o.Clock = s.options("").Clock
	return Verify(s.Context(), s.repo, o)
}

func (s *store) packs() map[repository.PackID]int64 {
	s.Helper()
	all := map[repository.PackID]int64{}
	s.must(s.repo.Packs(s.Context(), func(p repository.PackInfo) error { all[p.ID] = p.Size; return nil }))
	return all
}

// Every run goes on where the ones before stopped, until all is verified; then
// it begins with what waits longest.
func TestVerifyOldestComesRoundToEverything(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	for i := range 6 {
		fill(t, src, map[string]string{"file": noise(byte(i), 40<<10)})
		s.backup(src)
		s.later += 24 * time.Hour
	}
	packs := len(s.packs())
	never := func(c *repository.Coverage) int { return c.NeverPacks }
	left := packs
	for round := 0; left > 0; round++ {
		report := s.verify(VerifyOptions{Oldest: 30 << 10, MaxAge: 3 * 24 * time.Hour})
		if report.PacksRead == 0 || report.PacksRead == packs || never(report.Coverage) >= left {
			t.Fatalf("round %d: %d of %d packs read, %d were never verified, before %d", round, report.PacksRead, packs, never(report.Coverage), left)
		}
		left = never(report.Coverage)
		s.later += 24 * time.Hour
	}
	before, err := s.repo.Ledger(t.Context(), s.options("").Clock.Now())
	s.must(err)
	s.verify(VerifyOptions{Oldest: 1})
	after, err := s.repo.Ledger(t.Context(), s.options("").Clock.Now())
	s.must(err)
	oldest := slices.MinFunc(before.Marks, func(a, b ledger.Mark) int { return int(a.Full - b.Full) })
	if m := after.Mark(oldest.ID); m.Full == oldest.Full {
		t.Errorf("what waited longest was not read: %+v", m)
	}
}

// Packs that never were verified wait since they were stored, and the newest are
// read first.
func TestWhatWasNeverVerifiedWaitsSinceItWasStored(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"old": noise(1, 40<<10)})
	s.backup(src)
	first := s.packs()
	s.later += 10 * 24 * time.Hour
	fill(t, src, map[string]string{"new": noise(2, 40<<10)})
	s.backup(src)
	report := s.verify(VerifyOptions{MaxAge: 7 * 24 * time.Hour})
	c := report.Coverage
	if c.NeverPacks != c.Packs || c.Packs != len(s.packs()) || c.NeverBytes != c.Bytes || c.Oldest < 9.9*24*3600 || c.Oldest > 10.1*24*3600 ||
		c.OverdueBytes == 0 || c.OverdueBytes == c.Bytes || c.Within() <= 0 || c.Within() >= 1 {
		t.Errorf("%+v, within %v", c, c.Within())
	}
	s.verify(VerifyOptions{Oldest: 1}) // one pack
	l, err := s.repo.Ledger(t.Context(), s.options("").Clock.Now())
	s.must(err)
	if len(l.Marks) != 1 || first[l.Marks[0].ID] != 0 {
		t.Errorf("the first to be verified is not a new one: %+v", l.Marks)
	}
	if c := s.verify(VerifyOptions{ReadData: 100, MaxAge: time.Hour}).Coverage; c.NeverPacks != 0 || c.OverdueBytes != 0 || c.Within() != 1 || c.Oldest > 3600 {
		t.Errorf("after reading everything: %+v", c)
	}
}

// A verification of what is new reads what that backup stored and nothing else,
// however many snapshots and packs there are.
func TestVerifyNewDoesNotGrowWithTheRepository(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	cost := func(snap repository.Snapshot) (int, VerifyReport) {
		var reads atomic.Int64
		repo, f := s.failing(t)
		f.On(faults.Get).Times(-1).Do(func(string) { reads.Add(1) })
		report, err := Verify(t.Context(), repo, VerifyOptions{New: true, Snapshots: []repository.Snapshot{snap}, Clock: s.options("").Clock})
		s.must(err)
		return int(reads.Load()), report
	}
	var first, last int
	for i := range 12 {
		fill(t, src, map[string]string{"file": noise(byte(i), 60<<10)})
		before := s.packs()
		snap := s.backup(src).Snapshot
		reads, report := cost(snap)
		fresh := len(s.packs()) - len(before)
		if report.PacksRead != fresh || report.Packs != fresh || fresh == 0 || report.Snapshots != 1 {
			t.Errorf("backup %d stored %d packs: %+v", i, fresh, report)
		}
		if i == 1 {
			first = reads
		}
		last = reads
	}
	if last > first+2*12 { // ledgers of the runs before are read for the figures
		t.Errorf("%d reads for the last one, %d for the second", last, first)
	}
	if c := s.verify(VerifyOptions{}).Coverage; c.NeverPacks != 0 {
		t.Errorf("not everything was new once: %+v", c)
	}
}

// A pack that is damaged in memory before it is sealed costs nothing when the
// source is still there: it is found at once, and stored again by the next backup.
func TestVerifyNewFindsDamageOfWhatItLooksAt(t *testing.T) {
	s := newStore(t)
	src := damageSource(t)
	snap := s.backup(src).Snapshot
	n, _, err := find(t.Context(), treeLoader{s.repo}, snap, "dir-3/file")
	s.must(err)
	loc, _ := s.repo.Locate(repository.ID(n.Content.Extents[0].ID))
	edit(t, filepath.Join(s.dir, loc.Pack.Object()), func(b []byte) []byte { b[int(loc.Offset)+100] ^= 1; return b })
	report, err := s.tryVerify(VerifyOptions{New: true, Snapshots: []repository.Snapshot{snap}})
	if !errors.Is(err, repository.ErrDamaged) || len(report.Problems) != 1 || len(report.Problems[0].Affected) != 1 ||
		!slices.Equal(report.Problems[0].Affected[0].Paths, []string{"dir-3/file"}) {
		t.Fatalf("%v: %+v", err, report)
	}
	s.reopen()
	again := s.backup(src) // nothing changed: the parent says so, and yet
	if again.Snapshot.Totals.NewBytes == 0 {
		t.Error("the next backup did not store it again")
	}
	s.reopen()
	if checkRestore(t, s, again.Snapshot, src) {
		t.Error("it is lost still")
	}
	if checkRestore(t, s, snap, src) {
		t.Error("it is lost still to the snapshot that had it")
	}
}

// An indexed pack that nobody needs may go; one that somebody needs may not.
func TestAMissingPackThatNobodyNeedsIsHarmless(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"a": noise(1, 40<<10)})
	snap := s.backup(src).Snapshot
	before := s.packs()
	fill(t, src, map[string]string{"b": noise(2, 40<<10)})
	gone := s.backup(src).Snapshot
	s.must(s.repo.DeleteSnapshot(t.Context(), gone))
	var garbage string
	for id := range s.packs() {
		if before[id] == 0 {
			garbage = id.Object()
			remove(t, filepath.Join(s.dir, garbage))
		}
	}
	s.reopen()
	report := s.verify(VerifyOptions{})
	if report.ProblemsTotal == 0 || report.HarmlessTotal != report.ProblemsTotal {
		t.Errorf("%+v", report.Problems)
	}
	loc, _ := s.repo.Locate(snap.Root)
	remove(t, filepath.Join(s.dir, loc.Pack.Object()))
	s.reopen()
	report, err := s.tryVerify(VerifyOptions{})
	if !errors.Is(err, repository.ErrDamaged) || report.HarmlessTotal == report.ProblemsTotal ||
		len(report.Problems[0].Affected) != 1 || report.Problems[0].Affected[0].Snapshot != snap.ID {
		t.Errorf("%v: %+v", err, report.Problems)
	}
}

// A run that is interrupted keeps what it has verified.
func TestAnInterruptedVerifyIsNotForNothing(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	for i := range 8 {
		fill(t, src, map[string]string{"file": noise(byte(i), 40<<10)})
		s.backup(src)
	}
	ctx, stop := context.WithCancel(t.Context())
	repo, f := s.failing(t)
	f.On(faults.Stat).Under("packs/").After(len(s.packs()) / 2).Do(func(string) { stop() })
	_, err := Verify(ctx, repo, VerifyOptions{ReadData: 100, Clock: s.options("").Clock})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	l, err := s.repo.Ledger(t.Context(), s.options("").Clock.Now())
	s.must(err)
	if n := len(l.Marks); n == 0 || n == len(s.packs()) {
		t.Errorf("%d of %d packs are noted", n, len(s.packs()))
	}
}

// A place that is only to be read is verified all the same.
func TestVerifyWhereNothingCanBeWritten(t *testing.T) {
	for _, refusal := range []error{storage.ErrReadOnly, fs.ErrPermission} {
		s := newStore(t)
		src := t.TempDir()
		fill(t, src, map[string]string{"file": noise(1, 40<<10)})
		s.backup(src)
		repo, f := s.failing(t)
		f.On(faults.Put).Times(-1).Fail(refusal)
		report, err := Verify(t.Context(), repo, VerifyOptions{ReadData: 100})
		if err != nil || report.NotRecorded == "" || report.PacksRead != report.Packs || report.Coverage == nil {
			t.Errorf("%v: %+v", err, report)
		}
	}
}
