package repository

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"mahavishnu/storage/faults"
)

// Snapshots that are forgotten together have one note in the ledger, and each its
// own fate: one is pinned, another one cannot be deleted now.
func TestForgetAll(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), newOneSnapshot(t)
	snaps := []Snapshot{o.snap}
	for i := range 2*forgetters + 2 {
		s, err := someWork(2).run(ctx, startSession(t, o.Repository, SessionOptions{}), fmt.Sprint("job", i))
		if err != nil {
			t.Fatal(err)
		}
		snaps = append(snaps, s)
	}
	const pinned, stuck = 3, 5
	if err := o.Pin(ctx, snaps[pinned], Keep{}); err != nil {
		t.Fatal(err)
	}
	object := snapshotObject(snaps[stuck].Source, snaps[stuck].Time, snaps[stuck].ID)
	o.be.On(faults.Delete).Under(object).Fail(syscall.EIO)
	notes := func() int {
		names, err := o.listLedgers(ctx, false)
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}

	before := notes()
	for i, err := range o.ForgetAll(ctx, snaps) {
		want := map[int]error{pinned: ErrPinned, stuck: syscall.EIO}[i]
		if !errors.Is(err, want) {
			t.Errorf("snapshot %d: %v, want %v", i, err, want)
		}
	}
	if n := notes() - before; n != 1 {
		t.Errorf("%d notes in the ledger, want 1", n)
	}
	left, bad, err := o.Snapshots(ctx, "")
	if err != nil || len(bad) > 0 || len(left) != 1 || left[0].ID != snaps[pinned].ID {
		t.Errorf("left are %v, %v, %v", left, bad, err)
	}
	if errs := o.ForgetAll(ctx, snaps[stuck:stuck+1]); errs[0] != nil {
		t.Errorf("once more: %v", errs[0])
	}
	if problems := o.problems(t); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	if err := storedTwice(o.disk, 1); err != nil {
		t.Error(err)
	}
	if errs := o.ForgetAll(ctx, nil); len(errs) > 0 {
		t.Errorf("none: %v", errs)
	}
}
