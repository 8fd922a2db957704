package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// storedTwice checks that there are so many snapshots, each stored twice with
// the same bytes.
func storedTwice(be storage.Backend, want int) error {
	ctx := context.Background()
	first, copies := map[string][]byte{}, 0
	forgotten := map[string]bool{}
	err := be.List(ctx, forgottenPrefix, func(info storage.Info) error {
		forgotten[strings.TrimPrefix(info.Name, forgottenPrefix)] = true
		return nil
	})
	if err != nil {
		return err
	}
	err = be.List(ctx, snapshotPrefix, func(info storage.Info) (err error) {
		if forgotten[info.Name] {
			return nil
		}
		first[info.Name], err = storage.ReadAll(ctx, be, info.Name, maxSnapshotSize, nil)
		return err
	})
	if err != nil {
		return err
	}
	err = be.List(ctx, copyPrefix+snapshotPrefix, func(info storage.Info) error {
		if forgotten[strings.TrimPrefix(info.Name, copyPrefix)] {
			return nil
		}
		copies++
		data, err := storage.ReadAll(ctx, be, info.Name, maxSnapshotSize, nil)
		if err == nil && !bytes.Equal(data, first[strings.TrimPrefix(info.Name, copyPrefix)]) {
			err = fmt.Errorf("%s differs from its snapshot", info.Name)
		}
		return err
	})
	if err == nil && (len(first) != want || copies != want) {
		err = fmt.Errorf("%d snapshots and %d copies, want %d of each", len(first), copies, want)
	}
	return err
}

// oneSnapshot is a repository behind a storage that fails on demand, and its
// only snapshot.
type oneSnapshot struct {
	*Repository
	disk storage.Backend
	be   *faults.Backend
	ring *keyring.Ring
	snap Snapshot
	name string
	work work
}

func newOneSnapshot(t *testing.T) oneSnapshot {
	t.Helper()
	disk := openDir(t, memoryDir(t))
	o := oneSnapshot{disk: disk, be: faults.Wrap(disk), ring: newRing(), work: someWork(1)}
	r, err := Create(t.Context(), o.be, o.ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	o.Repository = r
	if o.snap, err = o.work.run(t.Context(), startSession(t, r, SessionOptions{}), "job"); err != nil {
		t.Fatal(err)
	}
	o.name = snapshotObject(o.snap.Source, o.snap.Time, o.snap.ID)
	return o
}

func (o oneSnapshot) drop(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := o.disk.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// problems returns what CheckObjects says, by object.
func (o oneSnapshot) problems(t *testing.T) map[string]Problem {
	t.Helper()
	found := map[string]Problem{}
	if err := o.CheckObjects(t.Context(), func(p Problem) error { found[p.Object] = p; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

// The commit is done when the snapshot is there; its copy may follow much later.
func TestASessionThatDiedBeforeTheCopy(t *testing.T) {
	full := errors.New("disk full")
	menders := map[string]func(*testing.T, oneSnapshot){
		"next session": func(t *testing.T, o oneSnapshot) {
			if _, err := startSession(t, o.Repository, SessionOptions{}).Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"check": func(t *testing.T, o oneSnapshot) {
			p, ok := o.problems(t)[copyOf(o.name)]
			if !ok || !p.Harmless || !errors.Is(p.Err, ErrMissing) {
				t.Errorf("the check says %v", p)
			}
		},
		"other attempt": func(t *testing.T, o oneSnapshot) {
			s := startSession(t, o.Repository, SessionOptions{})
			o.drop(t, copyOf(o.name)) // as if the first attempt had died only now
			if again, err := o.work.run(t.Context(), s, "job"); err != nil || again.ID != o.snap.ID {
				t.Errorf("%v, %v", again, err)
			}
		},
	}
	for name, mend := range menders {
		t.Run(name, func(t *testing.T) {
			o := newOneSnapshot(t)
			o.drop(t, o.name, copyOf(o.name))
			o.be.On(faults.Put).Under(copyPrefix).Fail(full)
			s := startSession(t, o.Repository, SessionOptions{})
			if _, err := o.work.run(t.Context(), s, "job"); !errors.Is(err, full) {
				t.Fatalf("Commit = %v", err)
			}
			if _, err := s.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(snapshotsOf(t, o.Repository, "job")); got != 1 {
				t.Fatalf("%d snapshots, want the one that was committed", got)
			}
			mend(t, o)
			if err := storedTwice(o.disk, 1); err != nil {
				t.Error(err)
			}
			checkWhole(t, o.Repository)
		})
	}
}

// A copy that cannot be stored is no harmless matter, unless the place is only
// there to be read.
func TestACopyThatCannotBeStored(t *testing.T) {
	for _, c := range []struct {
		why      error
		harmless bool
	}{{storage.ErrFull, false}, {storage.ErrReadOnly, true}} {
		o := newOneSnapshot(t)
		o.drop(t, copyOf(o.name))
		o.be.On(faults.Put).Under(copyPrefix).Fail(c.why)
		p := o.problems(t)[copyOf(o.name)]
		if p.Harmless != c.harmless || !errors.Is(p.Err, ErrMissing) || !errors.Is(p.Err, c.why) {
			t.Errorf("%v: the check says %v, harmless %v", c.why, p, p.Harmless)
		}
	}
}

// A lost snapshot is read from its copy, by everything that reads snapshots,
// and its name stays taken.
func TestALostSnapshotIsServed(t *testing.T) {
	ways := map[string]func(*testing.T, oneSnapshot){
		"missing": func(t *testing.T, o oneSnapshot) { o.drop(t, o.name) },
		"cannot be read": func(_ *testing.T, o oneSnapshot) {
			o.be.On(faults.Get).Under(o.name).Times(-1).Fail(syscall.EIO)
		},
		"damaged": func(t *testing.T, o oneSnapshot) {
			if err := o.disk.Put(t.Context(), o.name, []byte("MHVs"), storage.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for how, lose := range ways {
		t.Run(how, func(t *testing.T) {
			o := newOneSnapshot(t)
			lose(t, o)
			snaps, bad, err := o.Snapshots(t.Context(), "home")
			if err != nil || len(snaps) != 1 || snaps[0].ID != o.snap.ID || len(bad) != 1 ||
				!errors.Is(bad[0], ErrServed) || !strings.Contains(bad[0].Error(), "read "+o.name) {
				t.Errorf("Snapshots = %v, %v, %v", snaps, bad, err)
			}
			for _, ref := range []string{o.snap.ID, o.snap.ID[:6], "latest", "latest:home"} {
				if got, err := o.FindSnapshot(t.Context(), ref); err != nil || got.ID != o.snap.ID {
					t.Errorf("FindSnapshot %s = %v, %v", ref, got.ID, err)
				}
			}
			found := o.problems(t)
			if p := found[o.name]; len(found) != 1 || p.Harmless || !errors.Is(p.Err, ErrServed) {
				t.Errorf("the check says %v", found)
			}
			again, err := o.work.run(t.Context(), startSession(t, o.Repository, SessionOptions{}), "job")
			if err != nil || again.ID != o.snap.ID || !again.End.Equal(o.snap.End) {
				t.Errorf("another attempt = %v, %v", again, err)
			}
			if err := o.DeleteSnapshot(t.Context(), o.snap); err != nil {
				t.Fatal(err)
			}
			if err := storedTwice(o.disk, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBothCopiesDamaged names both and hides neither.
func TestBothCopiesDamaged(t *testing.T) {
	o := newOneSnapshot(t)
	for _, name := range []string{o.name, copyOf(o.name)} {
		if err := o.disk.Put(t.Context(), name, []byte("torn"), storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		snaps, bad, err := o.Snapshots(t.Context(), "")
		if err != nil || len(snaps) != 0 || len(bad) != 1 || errors.Is(bad[0], ErrServed) || !errors.Is(bad[0], ErrDamaged) ||
			!strings.Contains(bad[0].Error(), "read "+o.name) || !strings.Contains(bad[0].Error(), "second copy") {
			t.Errorf("Snapshots = %v, %v, %v", snaps, bad, err)
		}
		if _, err := o.FindSnapshot(t.Context(), "latest"); !errors.Is(err, ErrDamaged) {
			t.Errorf("FindSnapshot = %v", err)
		}
		if found := o.problems(t); len(found) != 2 || found[o.name].Harmless || found[copyOf(o.name)].Harmless {
			t.Errorf("the check says %v", found)
		}
		o.drop(t, o.name) // the second time it is missing
	}
}

// A copy is sealed under its snapshot's name and opens as nothing else.
func TestACopyIsOfItsSnapshotOnly(t *testing.T) {
	o := newOneSnapshot(t)
	s := startSession(t, o.Repository, SessionOptions{})
	other := mustCommit(t, s, Snapshot{Source: "home", Time: testTime, Root: mustSave(t, s, KindTree, nil)})
	data, err := storage.ReadAll(t.Context(), o.disk, copyOf(o.name), maxSnapshotSize, nil)
	if err == nil {
		err = o.disk.Put(t.Context(), copyOf(snapshotObject("home", other.Time, other.ID)), data, storage.PutOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	found := o.problems(t)
	if p := found[copyOf(snapshotObject("home", other.Time, other.ID))]; len(found) != 1 || !errors.Is(p.Err, ErrDamaged) {
		t.Errorf("the check says %v", found)
	}
}

// Whenever forgetting stops, the snapshot is there or it is not; it is never
// taken for lost.
func TestForgetStopsAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		o := newOneSnapshot(t)
		o.be.StopAt(n)
		err := o.DeleteSnapshot(t.Context(), o.snap)
		if err == nil {
			if n != 9 {
				t.Errorf("forgetting made %d changes", n-1)
			}
			return
		}
		after := reopen(t, o.disk, o.ring)
		left := len(snapshotsOf(t, after, "job"))
		if want := map[bool]int{true: 1, false: 0}[n <= 4]; left != want {
			t.Errorf("stopped at change %d: %d snapshots, want %d", n, left, want)
		}
		checkWhole(t, after)
		if err := errors.Join(after.Mend(t.Context()), storedTwice(o.disk, left)); err != nil {
			t.Errorf("stopped at change %d: %v", n, err)
		}
	}
}

// Forgetting and mending may meet at any point: nothing is left of the snapshot.
func TestForgetMeetsMend(t *testing.T) {
	for _, op := range []faults.Op{faults.List, faults.Get, faults.Stat, faults.Put} {
		t.Run(string(op), func(t *testing.T) {
			for n, met := 0, true; met; n++ {
				o := newOneSnapshot(t)
				o.drop(t, copyOf(o.name))
				met = false
				forgetting := reopen(t, o.disk, o.ring)
				o.be.On(op).After(n).Do(func(string) {
					met = true
					if err := forgetting.DeleteSnapshot(context.Background(), o.snap); err != nil {
						t.Error(err)
					}
				})
				if err := o.Mend(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !met {
					if n == 0 {
						t.Error("they never met")
					}
					return
				}
				if err := storedTwice(o.disk, 0); err != nil {
					t.Errorf("forgotten at %s number %d: %v", op, n+1, err)
				}
			}
		})
	}
	for n := range 3 {
		o := newOneSnapshot(t)
		mending := reopen(t, o.disk, o.ring)
		o.be.On(faults.Delete).After(n).Do(func(string) {
			if err := mending.Mend(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if err := o.DeleteSnapshot(t.Context(), o.snap); err != nil {
			t.Fatal(err)
		}
		if err := storedTwice(o.disk, 0); err != nil {
			t.Errorf("mended before deletion %d: %v", n+1, err)
		}
	}
}

// Two configurations that are whole and differ cannot both be right.
func TestConfigurationsDiffer(t *testing.T) {
	o := newOneSnapshot(t)
	cfg := o.Config()
	cfg.Chunker.Avg *= 2
	data, err := encodeConfig(cfg)
	if err == nil {
		err = o.disk.Put(t.Context(), configCopy, data, storage.PutOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if found := o.problems(t); len(found) != 1 || found[configCopy].Harmless || !errors.Is(found[configCopy].Err, ErrDamaged) {
		t.Errorf("the check says %v", found)
	}
}

// What lies among the copies and is none is named as a stranger.
func TestCopiesAreNoStrangers(t *testing.T) {
	o := newOneSnapshot(t)
	for _, name := range []string{copyPrefix + "snapshots/home/x", copyPrefix + "packs/aa/x"} {
		if err := o.disk.Put(t.Context(), name, nil, storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if p, ok := o.problems(t)[name]; !ok || !p.Harmless || p.Kind != ObjectUnknown {
			t.Errorf("%s: %v", name, p)
		}
		o.drop(t, name)
	}
	if found := o.problems(t); len(found) != 0 {
		t.Errorf("the check says %v", found)
	}
}
