package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/storage/faults"
)

// The check after a backup reads a table for each pack that the backup stored, and
// lists no more, however many snapshots and packs there are.
func TestVerifyStructureDoesNotGrowWithTheRepository(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	var gets, lists [12]int64
	for i := range gets {
		fill(t, src, map[string]string{"file": noise(byte(i), 60<<10)})
		before := s.packs()
		snap := s.backup(src).Snapshot
		repo, f := s.failing(t)
		var got, listed atomic.Int64
		f.On(faults.Get).Under("packs/").Times(-1).Do(func(string) { got.Add(1) })
		f.On(faults.List).Times(-1).Do(func(string) { listed.Add(1) })
		report, err := Verify(t.Context(), repo, VerifyOptions{New: true, Structure: true, Snapshots: []repository.Snapshot{snap}, Clock: s.options("").Clock})
		s.must(err)
		if fresh := len(s.packs()) - len(before); report.Packs != fresh || fresh == 0 || report.PacksRead != 0 || report.Snapshots != 1 || report.Entries == 0 {
			t.Errorf("backup %d stored %d packs: %+v", i, fresh, report)
		}
		gets[i], lists[i] = got.Load(), listed.Load()
	}
	for i := 2; i < len(gets); i++ {
		if gets[i] > gets[1] || lists[i] > lists[1] {
			t.Errorf("check %d reads packs %d times and lists %d times, the second %d and %d", i, gets[i], lists[i], gets[1], lists[1])
		}
	}
}

// It finds what is missing or not as large as it was, of what the backup stored and of
// what the snapshot needs beside.
func TestVerifyStructureFindsWhatIsNotThere(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"missing":       os.Remove,
		"cut off":       func(path string) error { return os.Truncate(path, 100) },
		"without table": func(path string) error { return os.WriteFile(path, make([]byte, 70<<10), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			src := damageSource(t)
			snap := s.backup(src).Snapshot
			n, _, err := find(t.Context(), treeLoader{s.repo}, snap, "dir-3/file")
			s.must(err)
			loc, _ := s.repo.Locate(repository.ID(n.Content.Extents[0].ID))
			if err := change(filepath.Join(s.dir, loc.Pack.Object())); err != nil {
				t.Fatal(err)
			}
			report, err := s.tryVerify(VerifyOptions{New: true, Structure: true, Snapshots: []repository.Snapshot{snap}})
			if !errors.Is(err, repository.ErrDamaged) || report.ProblemsTotal == 0 || report.Problems[0].Object != loc.Pack.Object() || len(report.Problems[0].Affected) != 1 {
				t.Errorf("%v: %+v", err, report)
			}
		})
	}
	s := newStore(t)
	if _, err := Verify(t.Context(), s.repo, VerifyOptions{Structure: true}); err == nil {
		t.Error("the structure alone, of nothing new, is taken for a verification")
	}
}
