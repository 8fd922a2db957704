package snapshot

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/storage/faults"
)

func TestVerifyFindsAGoodRepositoryGood(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, sample())
	s.backup(src)
	s.backup(src)
	report, err := Verify(t.Context(), s.repo, VerifyOptions{ReadData: 100})
	s.must(err)
	if report.Snapshots != 2 || report.PacksRead != report.Packs || report.Packs == 0 || report.ProblemsTotal != 0 {
		t.Errorf("%+v", report)
	}
}

// A pack on a bad sector is named with what it holds, apart from damage, and
// does not keep the rest from being verified.
func TestVerifyGoesOnPastAPackThatCannotBeRead(t *testing.T) {
	for _, kind := range []repository.Kind{repository.KindData, repository.KindTree} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newStore(t)
			src := damageSource(t)
			first := s.backup(src).Snapshot
			fill(t, src, map[string]string{"new/file": noise(99, 50<<10)})
			second := s.backup(src).Snapshot
			id := second.Root
			if kind == repository.KindData {
				n, _, err := find(t.Context(), treeLoader{s.repo}, first, "dir-3/file")
				s.must(err)
				id = repository.ID(n.Content.Extents[0].ID)
			}
			loc, _ := s.repo.Locate(id)
			repo, f := s.failing(t)
			f.On(faults.Get).Under(loc.Pack.Object()).Times(-1).Fail(syscall.EIO)
			report, err := Verify(t.Context(), repo, VerifyOptions{ReadData: 100})
			if !errors.Is(err, repository.ErrUnreadable) || errors.Is(err, repository.ErrDamaged) {
				t.Errorf("verify: %v", err)
			}
			if len(report.Problems) != 1 || report.PacksRead != report.Packs-1 || report.Packs < 4 || report.Snapshots != 2 {
				t.Fatalf("%+v", report)
			}
			p := report.Problems[0]
			if p.Object != loc.Pack.Object() || !p.Unreadable || p.Harmless || p.LostBlobs == 0 ||
				!slices.ContainsFunc(p.Affected, func(a Affected) bool { return a.Snapshot == second.ID }) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestAStorageOutOfReachEndsAVerify(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	for i := range 20 { // a pack of data and one of trees each
		fill(t, src, map[string]string{"file": noise(byte(i), 100)})
		s.backup(src)
	}
	repo, f := s.failing(t)
	f.On(faults.Get).Under("packs/").Times(-1).Fail(syscall.ETIMEDOUT)
	report, err := Verify(t.Context(), repo, VerifyOptions{ReadData: 100})
	if !errors.Is(err, repository.ErrUnreachable) || errors.Is(err, repository.ErrUnreadable) || report.Snapshots != 0 {
		t.Errorf("%v: %+v", err, report)
	}
}
