package repository

import (
	"errors"
	"syscall"
	"testing"

	"mahavishnu/storage/faults"
)

// checkAllPacks checks packs until a check fails itself.
func checkAllPacks(t *testing.T, r *Repository) (problems map[PackID]*Problem, packs int, err error) {
	t.Helper()
	problems = map[PackID]*Problem{}
	err = r.Packs(t.Context(), func(p PackInfo) error {
		packs++
		problem, err := r.CheckPack(t.Context(), p.ID)
		if problem != nil {
			problems[p.ID] = problem
		}
		return err
	})
	return problems, packs, err
}

// One pack on a bad sector is named, apart from damage, and the rest is checked.
func TestAnUnreadablePackIsNamed(t *testing.T) {
	o := newOneSnapshot(t)
	loc, _ := o.Locate(o.BlobID(KindData, o.work.data[0]))
	o.be.On(faults.Get).Under(loc.Pack.Object()).Times(-1).Fail(syscall.EIO)
	problems, packs, err := checkAllPacks(t, o.Repository)
	if err != nil || packs < 3 || len(problems) != 1 {
		t.Fatalf("%d packs, %v, %v; want one problem", packs, problems, err)
	}
	for _, p := range []*Problem{problems[loc.Pack], new(o.problems(t)[loc.Pack.Object()])} {
		if p == nil || p.Harmless || len(p.Blobs) == 0 || !errors.Is(p.Err, ErrUnreadable) || !errors.Is(p.Err, syscall.EIO) || errors.Is(p.Err, ErrDamaged) {
			t.Errorf("problem %v", p)
		}
	}
	lost := new(BlobError)
	if _, err := o.Load(t.Context(), o.BlobID(KindData, o.work.data[0]), KindData, nil); !errors.As(err, &lost) ||
		!errors.Is(err, ErrUnreadable) || lost.Pack != loc.Pack {
		t.Errorf("Load = %v", err)
	}
}

// A table that can be read and a pack that then cannot is the same.
func TestAPackThatEndsInABadSector(t *testing.T) {
	o := newOneSnapshot(t)
	loc, _ := o.Locate(o.BlobID(KindData, o.work.data[0]))
	o.be.On(faults.Get).Under(loc.Pack.Object()).After(1).Fail(syscall.EIO)
	p, err := o.CheckPack(t.Context(), loc.Pack)
	if err != nil || p == nil || !errors.Is(p.Err, ErrUnreadable) {
		t.Errorf("CheckPack = %v, %v", p, err)
	}
}

// A storage that reads nothing any more makes no pack look lost.
func TestAStorageOutOfReachEndsTheCheck(t *testing.T) {
	o := newOneSnapshot(t)
	s := startSession(t, o.Repository, SessionOptions{PackSize: minPackSize})
	var root ID
	for seed := range uint64(2 * patience) {
		root = mustSave(t, s, KindData, content(seed, minPackSize/2))
	}
	mustCommit(t, s, Snapshot{Source: "home", Time: testTime, Root: root})
	o.be.On(faults.Get).Under(packPrefix).Times(-1).Fail(syscall.ETIMEDOUT)
	problems, packs, err := checkAllPacks(t, o.Repository)
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, ErrUnreadable) ||
		packs != patience || len(problems) != patience-1 {
		t.Errorf("%d problems in %d packs, %v", len(problems), packs, err)
	}
	if err := o.CheckObjects(t.Context(), func(Problem) error { return nil }); !errors.Is(err, ErrUnreachable) {
		t.Errorf("CheckObjects = %v", err)
	}
	if _, err := o.Load(t.Context(), root, KindData, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Load = %v", err)
	}
}

// One pack that can be read shows that the storage is there.
func TestReachStartsAnewWithEverySuccess(t *testing.T) {
	var x reach
	for n := range byte(10 * patience) {
		var err error
		if n%(patience-1) > 0 {
			err = syscall.EIO
		}
		if got := x.heard(t.Context(), PackID{n}, err); errors.Is(got, ErrUnreachable) || errors.Is(got, ErrUnreadable) != (err != nil) {
			t.Errorf("after %d: %v", n, got)
		}
		x.heard(t.Context(), PackID{n}, err) // again: the same pack counts once
	}
}
