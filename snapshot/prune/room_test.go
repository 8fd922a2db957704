package prune_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// quota is a storage with so much room. What is put needs its room beside what it
// replaces. The reserve counts as 16 KiB, so that these tests need no large files.
type quota struct {
	*faults.Memory
	limit int
}

func (q *quota) used() (n int) {
	for name, data := range q.Objects() {
		if name == "gc/reserve" {
			n += min(len(data), 16<<10)
			continue
		}
		n += len(data)
	}
	return n
}

func (q *quota) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	size := len(data)
	if name == "gc/reserve" {
		size = min(size, 16<<10)
	}
	if q.used()+size > q.limit {
		return &storage.Error{Op: "put", Object: name, Err: storage.ErrFull}
	}
	return q.Memory.Put(ctx, name, data, o)
}

// on opens the repository on a storage that can run out of room.
func (w *world) on(be storage.Backend) *repository.Repository {
	w.t.Helper()
	repo, err := repository.Open(context.Background(), be, w.ring, repository.OpenOptions{CacheDir: w.cache, Reserve: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := repo.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return repo
}

// crammed is a world with parity and a reserve. Of one pack a part is needed, and
// with garbage nothing of another.
func crammed(t *testing.T, garbage bool) *world {
	t.Helper()
	w := &world{t: t, ring: keyring.Generate(time.Now()), dir: tempDir(t), cache: tempDir(t), want: map[string]map[string]string{}, disk: faults.NewMemory()}
	repo, err := repository.Create(t.Context(), w.disk, w.ring, repository.CreateOptions{
		CacheDir: w.cache, Reserve: true, Parity: repository.Parity{Data: 16, Shards: 2, Stripe: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Close(); err != nil {
		t.Fatal(err)
	}
	backup := func() repository.Snapshot {
		t.Helper()
		made, err := snapshot.Backup(t.Context(), w.on(w.disk), w.options())
		if err != nil {
			t.Fatal(err)
		}
		w.want[made.Snapshot.ID] = w.files(w.dir)
		return made.Snapshot
	}
	var gone []repository.Snapshot
	w.write("kept", content(1, 120_000))
	w.write("partly", content(2, 70_000))
	gone = append(gone, backup())
	w.remove("partly")
	if garbage {
		w.write("garbage", content(3, 300_000))
		gone = append(gone, backup())
		w.remove("garbage")
	}
	w.write("new", content(4, 30_000))
	backup()
	for _, s := range gone {
		w.forget(s)
	}
	return w
}

// With no room left at all a prune removes what needs no rewriting, rewrites the
// rest in the room that this made, and leaves the reserve as it was.
func TestPruneInAFullStorage(t *testing.T) {
	w := crammed(t, true)
	full := &quota{Memory: w.disk}
	full.limit = full.used()
	if _, err := snapshot.Backup(t.Context(), w.on(full), w.options()); !errors.Is(err, storage.ErrFull) {
		t.Fatalf("a backup in a full storage: %v", err)
	}
	o := patient()
	o.MaxUnused = 0
	r, err := prune.Run(t.Context(), w.on(full), o)
	if err != nil || len(r.NoRoom) > 0 || !r.Clean() || r.RemovedBytes < 300_000+120_000 || r.RepackedBytes < 120_000 || r.RepackedBytes > 250_000 {
		t.Fatalf("%v, %+v", err, r)
	}
	for _, l := range r.Plan {
		if l.Action == prune.Later {
			t.Errorf("%+v", l)
		}
	}
	w.whole()
	w.tidy("gc/reserve")
	if n := len(w.disk.Objects()["gc/reserve"]); n != 2<<20 {
		t.Errorf("%d bytes are in reserve", n)
	}
}

// What finds no room is told, with how much must be free; nothing is lost, and with
// that much room the next run does it.
func TestPruneSaysWhatFindsNoRoom(t *testing.T) {
	w := crammed(t, false)
	full := &quota{Memory: w.disk}
	full.limit = full.used()
	o := patient()
	o.MaxUnused = 0
	r, err := prune.Run(t.Context(), w.on(full), o)
	if !errors.Is(err, storage.ErrFull) || len(r.NoRoom) == 0 || r.Clean() {
		t.Fatalf("%v, %+v", err, r)
	}
	short := r.NoRoom[0]
	if short.Bytes < 120_000 || short.Bytes > 500_000 || !strings.Contains(short.What, "rewrite what is needed of 1 pack, packs/") {
		t.Errorf("%+v", short)
	}
	if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, "free ") || !strings.Contains(hints, "KiB or more there, or forget more snapshots") {
		t.Errorf("hints %q", hints)
	}
	w.whole()
	w.checked(false)
	if again, err := prune.Run(t.Context(), w.on(full), o); !errors.Is(err, storage.ErrFull) || len(again.NoRoom) != len(r.NoRoom) {
		t.Errorf("once more: %v, %+v", err, again)
	}
	full.limit = full.used() + int(short.Bytes)
	if r, err := prune.Run(t.Context(), w.on(full), o); err != nil || !r.Clean() {
		t.Errorf("with that much room: %v, %+v", err, r)
	}
	w.whole()
	w.tidy("gc/reserve")
}

// However little room there is, and wherever a prune stops, every snapshot restores
// and the next prune goes on; with room, nothing is left of it.
func TestStopAtEveryChangeInAFullStorage(t *testing.T) {
	start := crammed(t, true)
	for _, room := range []int{0, 40_000, 160_000} {
		for n := 1; ; n++ {
			w := start.copyOf(t)
			full := &quota{Memory: w.disk}
			full.limit = full.used() + room
			broken := faults.Wrap(full)
			broken.StopAt(n)
			o := patient()
			o.MaxUnused = 0
			_, stopped := prune.Run(t.Context(), w.on(broken), o)
			if stopped != nil && !errors.Is(stopped, faults.ErrStopped) {
				t.Fatal(stopped)
			}
			if err := broken.PowerCut(t.Context(), faults.LoseAll); err != nil {
				t.Fatal(err)
			}
			w.whole()
			if stopped == nil && n < 30 {
				t.Fatalf("%d changes only", n)
			}
			next := patient()
			next.MaxUnused = 0
			if _, err := prune.Run(t.Context(), w.on(full), next); err != nil && !errors.Is(err, storage.ErrFull) {
				t.Fatalf("%d bytes of room, stopped at change %d: the next: %v", room, n, err)
			}
			w.whole()
			w.prune(patient())
			w.whole()
			w.tidy("gc/reserve")
			if t.Failed() {
				t.Fatalf("%d bytes of room, stopped at change %d", room, n)
			}
			if stopped == nil {
				break
			}
		}
	}
}

// A sealing anew that died is gone on with by a prune that was not asked to, told in
// a dry run, and forgotten when that is said.
func TestResealingIsResumed(t *testing.T) {
	start := newWorld(t)
	start.write("a", content(1, 40_000))
	start.backup()
	start.ring = start.ring.Rotated(time.Now())
	start.write("b", content(3, 10_000))
	start.backup()
	before := start.old()
	broken := faults.Wrap(start.disk)
	broken.On(faults.Put).Under("packs/").Fail(errStopped)
	o := patient()
	o.Reseal = true
	if _, err := prune.Run(t.Context(), start.open(broken), o); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}

	w := start.copyOf(t)
	if r := w.prune(prune.Options{DryRun: true}); r.Resumed == nil || r.Resumed.Host == "" || r.Dropped || !plans(r, prune.Repack, "version 1 of the key") {
		t.Errorf("dry run: %+v", r)
	}
	if r := w.prune(patient()); r.Resumed == nil || r.Dropped || r.Resealed == 0 {
		t.Errorf("the next: %+v", r)
	}
	if left := w.old(); left != 0 {
		t.Errorf("%d of %d objects are sealed with the old key", left, before)
	}
	if r := w.prune(patient()); r.Resumed != nil {
		t.Errorf("the one after it: %+v", r)
	}
	w.whole()
	w.tidy()

	w = start.copyOf(t)
	dropping := patient()
	dropping.DropReseal = true
	if r := w.prune(dropping); r.Resumed == nil || !r.Dropped || r.Resealed != 0 || w.old() == 0 {
		t.Errorf("told not to: %+v", r)
	}
	if r := w.prune(patient()); r.Resumed != nil || r.Resealed != 0 {
		t.Errorf("after that: %+v", r)
	}
	w.whole()
	w.tidy()
}

// plans tells whether packs are dealt with so, for a reason.
func plans(r prune.Report, a prune.Action, reason string) bool {
	for _, l := range r.Plan {
		if l.Action == a && strings.Contains(l.Reason, reason) {
			return true
		}
	}
	return false
}

// A note that is damaged still says that there is something to go on with.
func TestDamagedNoteOfResealing(t *testing.T) {
	w := newWorld(t)
	w.write("a", content(1, 4_000))
	w.backup()
	w.disk.Set("gc/resealing", []byte("?"))
	if r := w.prune(patient()); r.Resumed == nil || r.Resumed.String() != "begun some time ago" {
		t.Errorf("%+v", r)
	}
	w.tidy()
}
