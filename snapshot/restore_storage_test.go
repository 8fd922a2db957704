package snapshot

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/local"
)

// failing opens the repository through a storage that fails on demand.
func (s *store) failing(t *testing.T) (*repository.Repository, *faults.Backend) {
	t.Helper()
	be, err := local.Open(s.dir)
	s.must(err)
	f := faults.Wrap(be)
	repo, err := repository.Open(t.Context(), f, s.ring, repository.OpenOptions{})
	s.must(err)
	t.Cleanup(func() { s.must(errors.Join(repo.Close(), f.Close())) })
	return repo, f
}

// A bad sector is not damage of the repository, and costs only what is on it.
func TestReadErrorsAreNotTakenForDamage(t *testing.T) {
	s := newStore(t)
	src, dst := damageSource(t), t.TempDir()
	snap := s.backup(src).Snapshot
	n, _, err := find(t.Context(), treeLoader{s.repo}, snap, "dir-3/file")
	s.must(err)
	loc, _ := s.repo.Locate(repository.ID(n.Content.Extents[0].ID))
	repo, f := s.failing(t)
	f.On(faults.Get).Under(loc.Pack.Object()).Times(-1).Fail(syscall.EIO)
	report, err := Restore(t.Context(), repo, snap, RestoreOptions{Target: dst})
	if err == nil || errors.Is(err, repository.ErrDamaged) || report.Failed == 0 || report.Damaged != 0 {
		t.Errorf("%v: %+v", err, report)
	}
	s.restore(snap, RestoreOptions{Target: dst})
	for _, left := range s.compare(t, snap, dst) {
		if !strings.HasSuffix(left, damagedSuffix) && left != "changed dir  time" {
			t.Error(left)
		}
	}
}

func TestAStorageOutOfReachEndsTheRestore(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	files := map[string]string{}
	for i := range 2 * patience {
		files["f"+strings.Repeat("x", i)] = noise(byte(i), 200+i)
	}
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	repo, f := s.failing(t)
	root, ok := repo.Locate(snap.Root)
	if !ok {
		t.Fatal("the root is not stored")
	}
	for _, object := range s.objects("packs/") {
		if object != root.Pack.Object() {
			f.On(faults.Get).Under(object).Times(-1).Fail(syscall.ETIMEDOUT)
		}
	}
	report, err := Restore(t.Context(), repo, snap, RestoreOptions{Target: t.TempDir()})
	if !errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, repository.ErrDamaged) || errors.Is(err, ErrIncomplete) {
		t.Errorf("%v: %+v", err, report)
	}
}
