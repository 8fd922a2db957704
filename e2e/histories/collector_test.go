package histories

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/snapshot/tree"
	"mahavishnu/storage/faults"
)

// keeper is the queue that keeps leases, for sessions that have one.
type keeper struct {
	mu   sync.Mutex
	held map[string]bool
}

// Hold starts a lease.
func (k *keeper) Hold(_ context.Context, session string, _ time.Duration) (func(context.Context) error, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[session] = true
	return func(context.Context) error { k.lose(session); return nil }, nil
}

// Alive tells whether it is there.
func (k *keeper) Alive(_ context.Context, session string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[session], nil
}

func (k *keeper) lose(session string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, session)
}

func (k *keeper) sessions() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.held))
}

// leaseOf draws how a backup's session is kept.
func (w *world) leaseOf(t *rapid.T) lease.Options {
	o := lease.Options{TTL: leaseTTL}
	if rapid.Bool().Draw(t, "lease in the queue") {
		o.Keeper = w.keeper
	}
	return o
}

// loseLease lets the queue forget a lease, of a session that lives or died.
func (w *world) loseLease(t *rapid.T) {
	w.now(t)
	held := w.keeper.sessions()
	if len(held) == 0 {
		t.Skip("the queue keeps no lease")
	}
	id := rapid.SampledFrom(held).Draw(t, "session")
	w.tell("the queue loses the lease of session %s", id)
	w.keeper.lose(id)
}

// collect begins a collection.
func (w *world) collect(t *rapid.T) {
	w.now(t)
	o := prune.Options{
		MaxUnused: rapid.SampledFrom([]float64{0, 0, 30, 100}).Draw(t, "may stay unused"),
		MaxRepack: rapid.SampledFrom([]int64{0, 0, 6 << 10}).Draw(t, "repack at most"),
		Reseal:    rapid.Bool().Draw(t, "reseal"),
		Wait:      rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "wait"),
		TTL:       leaseTTL,
	}
	if rapid.Bool().Draw(t, "asks the queue") {
		o.Keeper = w.keeper
	}
	ring := w.ring
	w.start("prune", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		o.Clock = a.clock
		report, err := prune.Run(ctx, r, o)
		rescued.Add(report.RescuedBytes)
		fenced.Add(int64(len(report.Fenced)))
		published.Add(int64(len(report.Published)))
		removed.Add(int64(report.RemovedPacks))
		return errors.Join(err, errors.Join(report.Troubles...))
	}, func(err error) {
		var busy *lease.BusyError
		switch {
		case err == nil, isInjected(err), errors.As(err, &busy), errors.Is(err, lease.ErrFenced), errors.Is(err, keyring.ErrNoVersion):
		default:
			w.fail("a collection failed: %v", err)
		}
	})
}

// quiet lets everybody end, and then prunes once: nothing may be left that no
// snapshot needs, nothing to do, and every check content. Of killed programs that
// left no packs the first prune need not wait to know that they are dead; the second one knows.
func (w *world) quiet(t *rapid.T) {
	w.now(t)
	w.finish()
	w.tell("all is quiet")
	w.letGoAgain()
	w.pruneNow()
	w.noGarbage()
	before := w.disk.Objects()
	time.Sleep(3 * leaseTTL)
	w.pruneNow()
	w.same("a second prune", before)
	w.noSessions()
	w.verified()
	w.cache = faults.Wrap(w.disk)
	quiets.Add(1)
}

// patience lets it become known who is dead: a prune looks at who shows signs of
// life, and some time passes.
func (w *world) patience() {
	r := w.open()
	defer w.close(r)
	_, err := prune.Run(context.Background(), r, prune.Options{TTL: leaseTTL, Keeper: w.keeper, Clock: clock.System(), MaxUnused: 100})
	if err != nil {
		var busy *lease.BusyError
		if !errors.As(err, &busy) {
			w.fail("a prune that only looks failed: %v\n%s", err, w.listing())
		}
	}
	time.Sleep(3 * leaseTTL)
}

// pruneNow prunes past the stage; time passes as it likes.
func (w *world) pruneNow() prune.Report {
	r := w.open()
	defer w.close(r)
	report, err := prune.Run(context.Background(), r, prune.Options{
		Wait: 48 * time.Hour, TTL: leaseTTL, Keeper: w.keeper, Clock: clock.System(),
	})
	if err != nil {
		w.fail("a quiet prune failed: %v\n%s", err, w.listing())
	}
	if !report.Clean() || len(report.Troubles) > 0 {
		w.fail("a quiet prune leaves work: %+v, %v\n%s", report, report.Troubles, w.listing())
	}
	w.tell("pruned: %+v", report.Plan)
	return report
}

// tiered is a blob and whether it belongs to archival backups, which keep to
// packs of their own.
type tiered struct {
	id       repository.ID
	archival bool
}

// needed returns every blob that some snapshot needs.
func (w *world) needed(r *repository.Repository) map[tiered]bool {
	ctx := context.Background()
	snaps, _, err := r.Snapshots(ctx, "")
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	needed := map[tiered]bool{}
	for _, snap := range snaps {
		note := func(id tree.ID) { needed[tiered{repository.ID(id), snap.Type == repository.TypeArchival}] = true }
		note(tree.ID(snap.Root))
		root, err := tree.LoadRoot(ctx, loader{r}, tree.ID(snap.Root))
		var walk func(n tree.Node) error
		walk = func(n tree.Node) error {
			for _, e := range n.Content.Extents { // contents here are never deeper
				note(e.ID)
			}
			if n.Type != tree.Dir {
				return nil
			}
			return eachEntry(ctx, r, n, walk)
		}
		if err == nil {
			err = walk(root)
		}
		if err != nil {
			w.fail("walk snapshot %s: %v", snap.ID, err)
		}
	}
	return needed
}

// noGarbage wants nothing stored that no snapshot needs, and nothing twice.
func (w *world) noGarbage() {
	w.t.Helper()
	r := w.open()
	defer w.close(r)
	needed, at := w.needed(r), map[tiered]repository.PackID{}
	objects := w.disk.Objects()
	r.EachBlob(func(id repository.ID, loc repository.Location) bool {
		data, there := objects[loc.Pack.Object()]
		if !there {
			w.fail("the index names %s, which is not there\n%s", loc.Pack.Object(), w.listing())
		}
		b := tiered{id, data[7]&1 == 1}
		if !needed[b] {
			w.fail("no snapshot needs blob %s in %s\n%s", id, loc.Pack.Object(), w.listing())
		}
		if other, twice := at[b]; twice && other != loc.Pack {
			w.fail("blob %s is in %s and in %s\n%s", id, loc.Pack.Object(), other.Object(), w.listing())
		}
		at[b] = loc.Pack
		return true
	})
	err := r.Packs(context.Background(), func(p repository.PackInfo) error {
		if !p.Indexed {
			w.fail("no index names %s\n%s", p.ID.Object(), w.listing())
		}
		delete(objects, p.ID.Object())
		delete(objects, "parity"+strings.TrimPrefix(p.ID.Object(), "packs"))
		return nil
	})
	if err != nil {
		w.fail("list packs: %v", err)
	}
	for name := range objects {
		if strings.HasPrefix(name, "packs/") || strings.HasPrefix(name, "parity/") && !strings.HasPrefix(name, "parity/stripes/") {
			w.fail("%s belongs to nothing\n%s", name, w.listing())
		}
	}
	for name := range w.disk.Objects() {
		for _, passing := range []string{"gc/condemned/", "copies/gc/condemned/"} {
			if strings.HasPrefix(name, passing) {
				w.fail("%s is left after a quiet prune\n%s", name, w.listing())
			}
		}
	}
}

// noSessions wants nobody to be known as being at work.
func (w *world) noSessions() {
	w.t.Helper()
	for name := range w.disk.Objects() {
		if rest, ok := strings.CutPrefix(name, "gc/sessions/"); ok && !strings.Contains(rest, ".") {
			w.fail("session %s is left after a quiet prune\n%s", rest, w.listing())
		}
	}
}

// same wants the storage to be as it was.
func (w *world) same(after string, before map[string][]byte) {
	w.t.Helper()
	now := w.disk.Objects()
	for _, objects := range []map[string][]byte{before, now} {
		for name := range objects {
			if strings.HasPrefix(name, "gc/") {
				delete(objects, name) // who was at work is no content
			}
		}
	}
	var differ []string
	for name, data := range before {
		switch other, there := now[name]; {
		case !there:
			differ = append(differ, "gone: "+name)
		case !bytes.Equal(data, other):
			differ = append(differ, "changed: "+name)
		}
	}
	for name := range now {
		if _, there := before[name]; !there {
			differ = append(differ, "new: "+name)
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		w.fail("%s changes the storage: %s", after, strings.Join(differ, ", "))
	}
}

// verified wants every check to find nothing.
func (w *world) verified() {
	r := w.open()
	defer w.close(r)
	// A first look may store again the second copies that somebody who died did
	// not come to store.
	for look := range 2 {
		report, err := snapshot.Verify(context.Background(), r, snapshot.VerifyOptions{ReadData: 100})
		if err != nil || report.ProblemsTotal > report.HarmlessTotal || look > 0 && report.ProblemsTotal > 0 {
			w.fail("verify: %v: %s\n%s", err, problems(report), w.listing())
		}
	}
}

func problems(report snapshot.VerifyReport) string {
	var all []string
	for _, p := range report.Problems {
		all = append(all, fmt.Sprintf("%s: %v", p.Object, p.Err))
	}
	return strings.Join(all, "; ")
}

// rotate gives the key ring a new version: programs that run keep the old one.
func (w *world) rotate(t *rapid.T) {
	w.now(t)
	if w.ring.Current() > 4 {
		t.Skip("rotated often enough")
	}
	w.tell("the key is rotated")
	w.ring = w.ring.Rotated(fileTime.Add(time.Hour))
}

// harm damages a pack, all being quiet, in a way that its parity promises to mend;
// the repair makes the storage what it was, bit for bit.
func (w *world) harm(t *rapid.T) {
	w.now(t)
	if !w.parity {
		t.Skip("no parity")
	}
	w.quiet(t)
	before := w.disk.Objects()
	var packs []string
	for name := range before {
		if strings.HasPrefix(name, "packs/") {
			packs = append(packs, name)
		}
	}
	if len(packs) == 0 {
		t.Skip("nothing is stored")
	}
	slices.Sort(packs)
	victim := rapid.SampledFrom(packs).Draw(t, "pack")
	data := bytes.Clone(before[victim])
	switch how := rapid.SampledFrom([]string{"flip", "zero", "cut", "empty", "missing"}).Draw(t, "damage"); how {
	case "flip":
		data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= 1
		w.disk.Set(victim, data)
	case "zero":
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		clear(data[at:min(len(data), at+4096)])
		w.disk.Set(victim, data)
	case "cut":
		w.disk.Set(victim, data[:rapid.IntRange(0, len(data)-1).Draw(t, "left")])
	case "empty":
		w.disk.Set(victim, []byte{})
	case "missing":
		w.disk.Set(victim, nil)
	}
	w.tell("%s is damaged", victim)
	w.check() // reading corrects
	w.repairNow()
	w.same("damage and repair of "+victim, before)
}

// verify checks everything while others work: what they are at must not look like
// damage.
func (w *world) verify(t *rapid.T) {
	w.now(t)
	ring := w.ring
	var report snapshot.VerifyReport
	w.start("verify", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		report, err = snapshot.Verify(ctx, r, snapshot.VerifyOptions{ReadData: 100, Clock: a.clock})
		return err
	}, func(err error) {
		// What it could read nothing of, because it was killed, it says of each object.
		stopped := len(report.Problems) > 0 && !slices.ContainsFunc(report.Problems, func(p snapshot.VerifyProblem) bool { return !isInjected(p.Err) })
		if err != nil && !isInjected(err) && !stopped && !errors.Is(err, keyring.ErrNoVersion) && !w.injected {
			w.fail("a verify saw damage where there is none: %v: %s", err, problems(report))
		}
	})
}

// mend repairs while others work.
func (w *world) mend(t *rapid.T) {
	w.now(t)
	ring, packs := w.ring, rapid.Bool().Draw(t, "packs")
	w.start("repair", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		_, err = r.Repair(ctx, repository.RepairOptions{Packs: packs, Parity: true})
		return err
	}, func(err error) {
		if err != nil && !isInjected(err) && !errors.Is(err, keyring.ErrNoVersion) && !w.injected {
			w.fail("a repair failed: %v", err)
		}
	})
}
