package histories

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// works is what is cut off at every change it makes to the storage.
var works = map[string]func(ctx context.Context, w *world, r *repository.Repository) error{
	"backup": func(ctx context.Context, w *world, r *repository.Repository) error {
		return w.backupNow(ctx, r, 9, content{"d0/f0": 1, "d0/f1": 30, "d1/f0": 31, "d2/f2": 32, "d2/f3": 4}, "again")
	},
	"prune": func(ctx context.Context, _ *world, r *repository.Repository) error {
		_, err := prune.Run(ctx, r, prune.Options{Wait: 48 * time.Hour, TTL: leaseTTL, Reseal: true, Clock: clock.System()})
		return err
	},
	"repair": func(ctx context.Context, _ *world, r *repository.Repository) error {
		_, err := r.Repair(ctx, repository.RepairOptions{Packs: true, Parity: true})
		return err
	},
}

// backupNow makes a whole backup of small packs.
func (w *world) backupNow(ctx context.Context, r *repository.Repository, number int, c content, job string) (err error) {
	x := w.attempts[number]
	if x == nil {
		x = &attempt{number: number, content: c}
		w.attempts[number] = x
	}
	s, err := r.Session(ctx, repository.SessionOptions{
		PackSize: 4 << 10, Budget: 3 * 4 << 10, Lease: lease.Options{TTL: leaseTTL, Clock: clock.System()},
	})
	if err != nil {
		return err
	}
	defer func() {
		_, abortErr := s.Abort(context.WithoutCancel(ctx))
		err = errors.Join(err, abortErr)
	}()
	root, err := c.store(ctx, s)
	if err != nil {
		return err
	}
	snap, err := s.Commit(ctx, repository.Snapshot{Source: "s0", Type: "full", Time: fileTime, Root: root, Job: job, Attempt: number})
	if err == nil {
		w.concluded(x, snap, nil)
	}
	return err
}

// newWorld is a repository in memory with parity, where nothing is left to chance.
func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{
		t: t, dir: dir, ring: keyring.Generate(fileTime), disk: faults.NewMemory(), stage: faults.NewStage(),
		attempts: map[int]*attempt{}, keeper: &keeper{held: map[string]bool{}}, parity: true,
	}
	o := repository.CreateOptions{CacheDir: dir + "/look", Parity: repository.StandardParity()}
	o.Parity.Stripe = 3
	r, err := repository.Create(t.Context(), w.disk, w.ring, o)
	if err != nil {
		t.Fatal(err)
	}
	w.close(r)
	return w
}

// before is the repository that each work begins with: three snapshots that
// share much, one more that was forgotten, an older version of the key; for the
// repair, damage of every kind that it mends.
func before(t *testing.T, dir, work string) *world {
	t.Helper()
	w := newWorld(t, dir)
	for i, c := range []content{
		{"d0/f0": 1, "d0/f1": 2, "d0/f2": 3, "d1/f0": 4, "d1/f1": 5},
		{"d0/f0": 11, "d0/f1": 12, "d0/f2": 13, "d1/f0": 4, "d1/f1": 15, "d2/f0": 16},
		{"d0/f0": 1, "d0/f1": 12, "d2/f0": 23},
		{"d0/f0": 1, "d1/f0": 4, "d2/f0": 24},
	} {
		if i == 2 {
			w.ring = w.ring.Rotated(fileTime.Add(time.Hour))
		}
		r := w.open()
		if err := w.backupNow(t.Context(), r, i+1, c, fmt.Sprint("job-", i)); err != nil {
			t.Fatal(err)
		}
		w.close(r)
	}
	r := w.open()
	defer w.close(r)
	snaps, _, err := r.Snapshots(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, snap := range snaps {
		if snap.Attempt == 2 {
			w.attempts[2].forgotten, w.attempts[2].gone = true, true
			if err := r.DeleteSnapshot(t.Context(), snap); err != nil {
				t.Fatal(err)
			}
		}
	}
	if work == "repair" {
		w.harmAll()
	}
	return w
}

// harmAll damages one object of each kind, no two that stand in for each other.
func (w *world) harmAll() {
	objects := w.disk.Objects()
	first := func(prefix string) string { return sortedUnder(objects, prefix)[0] }
	last := func(prefix string) string {
		names := sortedUnder(objects, prefix)
		return names[len(names)-1]
	}
	w.disk.Set("config", nil)
	w.disk.Set(first("index/"), nil)
	w.disk.Set(last("copies/index/"), []byte{})
	w.disk.Set(first("snapshots/"), objects[first("snapshots/")][:100])
	w.disk.Set(last("copies/snapshots/"), nil)
	pack := first("packs/")
	w.disk.Set(pack, objects[pack][:len(objects[pack])/2])
	w.disk.Set(last("parity/"), nil) // a stripe
	parity := strings.Replace(last("packs/"), "packs/", "parity/", 1)
	w.disk.Set(parity, objects[parity][:len(objects[parity])/3])
}

func sortedUnder(objects map[string][]byte, prefix string) []string {
	return slices.DeleteFunc(sortedNames(objects), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// TestPowerCutAtEveryWrite cuts off a backup, a prune and a repair at each of
// their changes to the storage, by a kill and by each kind of power loss. Every
// retained snapshot must restore from what is left, the work must come to its end
// when it is done again, and a prune then leave no garbage and nothing to find.
func TestPowerCutAtEveryWrite(t *testing.T) {
	kinds := map[string]faults.Loss{"killed": nil, "lose mixed": faults.LoseMixed}
	if soaking() {
		kinds["lose all"], kinds["lose half"], kinds["lose bytes"] = faults.LoseAll, faults.LoseHalf, faults.LoseBytes
	}
	for work := range works {
		t.Run(work, func(t *testing.T) {
			dir := memoryDir(t)
			base := before(t, dir, work)
			cases, writes := 0, 0
			for how, loss := range kinds {
				for n := 1; ; n++ {
					finished := false
					inBubble(t, func(t *testing.T) { finished = cutOff(t, base, work, n, how, loss) })
					cases++
					if finished {
						writes = n - 1
						break
					}
				}
			}
			if writes < 8 {
				t.Errorf("the %s changes the storage %d times only", work, writes)
			}
			t.Logf("%d changes, %d cases", writes, cases)
		})
	}
}

// cutOff runs one case and tells whether the work was finished before.
func cutOff(t *testing.T, base *world, work string, n int, how string, loss faults.Loss) (finished bool) {
	w := *base
	w.t = t
	w.disk, w.attempts = base.disk.Clone(), map[int]*attempt{}
	for number, x := range base.attempts {
		y := *x
		w.attempts[number] = &y
	}
	w.story = []string{fmt.Sprintf("%s, %s at change %d", work, how, n)}
	disk := faults.Wrap(w.disk)
	disk.StopAt(n)
	err := w.do(disk, work)
	finished = err == nil
	if err != nil && !errors.Is(err, faults.ErrStopped) {
		w.fail("the %s failed by itself: %v", work, err)
	}
	if loss != nil {
		if err := disk.PowerCut(t.Context(), loss); err != nil {
			t.Fatal(err)
		}
	}
	w.check()
	if err := w.do(w.disk, work); err != nil {
		w.fail("the %s, done again, failed: %v\n%s", work, err, w.listing())
	}
	w.check()
	w.patience()
	w.pruneNow()
	w.noGarbage()
	w.noSessions()
	if loss != nil {
		w.repairNow() // parity that was lost with the power
	}
	w.verified()
	w.check()
	return finished
}

// do does a work on a storage, in a process of its own.
func (w *world) do(be storage.Backend, work string) (err error) {
	r, err := repository.Open(context.Background(), be, w.ring, repository.OpenOptions{CacheDir: w.dir + "/cache"})
	if err != nil {
		return err
	}
	defer closing(r, &err)
	return works[work](context.Background(), w, r)
}

// repairNow repairs what can be.
func (w *world) repairNow() {
	r := w.open()
	defer w.close(r)
	if _, err := r.Repair(context.Background(), repository.RepairOptions{Packs: true, Parity: true}); err != nil {
		w.fail("repair: %v\n%s", err, w.listing())
	}
}

// soaking tells whether the long run is wanted.
func soaking() bool { return os.Getenv("HISTORIES_STEPS") != "" }
