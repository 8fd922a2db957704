package repository

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/parity"
)

// smallParity is a scheme that small tests fill several stripes of.
var smallParity = Parity{Data: 16, Shards: 3, Stripe: 4}

// protected is a repository with parity, for damaging.
type protected struct {
	dir  string
	ring *keyring.Ring
	work [2]work
	sums map[string][32]byte // of all objects as they were
}

func buildProtected(t testing.TB, packSize int) protected {
	t.Helper()
	d := protected{dir: memoryDir(t), ring: keyring.Generate(testTime), work: [2]work{someWork(1), someWork(1000)}}
	r, err := Create(t.Context(), openDir(t, d.dir), d.ring, CreateOptions{Parity: smallParity})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	for i, w := range d.work {
		s := startSession(t, r, SessionOptions{PackSize: packSize})
		if _, err := w.run(t.Context(), s, fmt.Sprint("job-", i)); err != nil {
			t.Fatal(err)
		}
	}
	d.sums = sumsOf(t, d.dir)
	return d
}

// copied returns a copy of it to be damaged.
func (d protected) copied(t testing.TB) protected {
	t.Helper()
	to := memoryDir(t)
	if err := os.CopyFS(to, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	d.dir = to
	return d
}

// sumsOf returns the hashes of all objects.
func sumsOf(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(rel, ".tmp") {
			return err
		}
		data, err := os.ReadFile(path)
		sums[filepath.ToSlash(rel)] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func (d protected) objects(prefix string) []string {
	var names []string
	for name := range d.sums {
		if strings.HasPrefix(name, prefix) && (prefix != parity.Prefix || !strings.HasPrefix(name, parity.StripePrefix)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// same compares all objects with what they were.
func (d protected) same(t *testing.T) {
	t.Helper()
	got := sumsOf(t, d.dir)
	for name, sum := range d.sums {
		if now, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if now != sum {
			t.Errorf("%s is not what it was", name)
		}
	}
	for name := range got {
		if _, ok := d.sums[name]; !ok {
			t.Errorf("%s was not there before", name)
		}
	}
}

// repairAll repairs with everything read, and wants all of it mended.
func repairAll(t testing.TB, r *Repository) []Action {
	t.Helper()
	var actions []Action
	_, err := r.Repair(context.Background(), RepairOptions{Packs: true, Parity: true, OnAction: func(a Action) { actions = append(actions, a) }})
	if err != nil {
		t.Errorf("Repair: %v", err)
		for _, a := range actions {
			t.Logf("%v", a)
		}
	}
	return actions
}

var protectedKinds = []string{configName, configCopy, indexPrefix, snapshotPrefix, copyPrefix + indexPrefix, copyPrefix + snapshotPrefix, packPrefix, parity.Prefix, parity.StripePrefix}

// moreHarms are those of damage_test.go and what larger faults of disks do.
var moreHarms = append(slices.Clone(harms),
	harm{"4 KiB zeroed", zeroed(4 << 10)}, harm{"a megabyte zeroed", zeroed(1 << 20)}, harm{"all zeros", zeroed(1 << 30)})

// smallHarms are those that differ for small objects, of which any change is all.
var smallHarms = []string{"flip in the magic", "flip in the middle", "longer", "half", "empty", "missing", "swapped", "all zeros"}

func zeroed(n int) func(string, string) error {
	return func(path, _ string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		clear(data[len(data)/3 : min(len(data)/3+n, len(data))])
		if n >= 1<<30 {
			clear(data)
		}
		return os.WriteFile(path, data, 0o600)
	}
}

// checkParityOf wants every pack in the index to have parity and a stripe that
// are whole: whatever happened, nothing is left to Repair but what a loss of power
// left of stripes that others replace.
func checkParityOf(t *testing.T, r *Repository) {
	t.Helper()
	ctx := t.Context()
	set, err := r.readStripes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.indexedPacks() {
		if err := scrubParity(ctx, r.be, parity.Name(p.ID)); err != nil {
			t.Errorf("%s: %v", parity.Name(p.ID), err)
		}
		if !slices.ContainsFunc(set.of(p.ID), func(s *stripe) bool { return scrubParity(ctx, r.be, s.object) == nil }) {
			t.Errorf("%s is in no whole stripe", p.ID.Object())
		}
	}
	repairAll(t, r)
	for _, a := range repairAll(t, r) {
		if a.Mended() { // what is left is harmless: packs and stripes in part
			t.Errorf("a second repair finds %v", a)
		}
	}
}

// TestRepairMatrix damages each kind of object in each way: everything is still
// read right, the damage is named, and Repair brings back every byte.
func TestRepairMatrix(t *testing.T) {
	d := buildProtected(t, testPack)
	for _, prefix := range protectedKinds {
		for _, h := range moreHarms {
			objects := d.objects(prefix)
			if prefix == configName || prefix == configCopy {
				objects = []string{prefix, prefix}
			}
			small := !strings.HasPrefix(prefix, packPrefix) && !strings.HasPrefix(prefix, parity.Prefix)
			if h.name == "swapped" && objects[0] == objects[1] || small && !slices.Contains(smallHarms, h.name) {
				continue
			}
			t.Run(prefix+" "+h.name, func(t *testing.T) {
				t.Parallel()
				d := d.copied(t)
				victim, other := objects[0], objects[1]
				if err := h.do(filepath.Join(d.dir, victim), filepath.Join(d.dir, other)); err != nil {
					t.Fatal(err)
				}
				r := reopen(t, openDir(t, d.dir), d.ring)
				for _, w := range d.work {
					w.check(t, r)
				}
				if strings.HasPrefix(victim, packPrefix) && r.Corrections() == 0 && readsPack(h.name) {
					t.Error("no correction is counted")
				}
				if sumsOf(t, d.dir)[victim] == d.sums[victim] {
					t.Fatal("not damaged")
				}
				if _, err := readAllPacks(r); err != nil { // notes what it doubts, too
					t.Fatal(err)
				}
				actions := repairAll(t, r)
				if r.Doubts() != 0 {
					t.Errorf("%d packs are doubted still", r.Doubts())
				}
				if !slices.ContainsFunc(actions, func(a Action) bool { return a.Object == victim && a.Mended() && a.Found != nil }) {
					t.Errorf("%s is not among what was mended: %v", victim, actions)
				}
				d.same(t)
				if again := repairAll(t, r); len(again) != 0 {
					t.Errorf("a second repair finds %v", again)
				}
				fresh := reopen(t, openDir(t, d.dir), d.ring)
				checkWhole(t, fresh)
				for _, w := range d.work {
					w.check(t, fresh)
				}
				if fresh.Corrections() != 0 {
					t.Error("a repaired repository needs corrections")
				}
			})
		}
	}
}

// readAllPacks reads every pack, and returns how many have problems.
func readAllPacks(r *Repository) (problems int, err error) {
	ctx := context.Background()
	err = r.Packs(ctx, func(p PackInfo) error {
		problem, err := r.CheckPack(ctx, p.ID)
		if problem != nil {
			problems++
		}
		return err
	})
	return problems, err
}

// readsPack tells whether damage of that kind is met by reading all blobs.
func readsPack(how string) bool {
	return !slices.Contains([]string{
		"flip in the magic", "flip in the format", "flip in the header", "flip near the end", "flip at the end", "longer", "one byte short",
	}, how)
}

// Damage that is beyond the parity is told with what is lost, and nothing is
// changed for the worse.
func TestRepairBeyondParity(t *testing.T) {
	d := buildProtected(t, testPack)
	set := slices.DeleteFunc(d.stripeOfFirst(t), func(id PackID) bool {
		info, err := os.Stat(filepath.Join(d.dir, id.Object()))
		return err != nil || info.Size() <= 3*4096 // comes back from its own parity alone
	})
	for _, m := range set[:2] {
		if err := os.Remove(filepath.Join(d.dir, m.Object())); err != nil {
			t.Fatal(err)
		}
	}
	r := reopen(t, openDir(t, d.dir), d.ring)
	var left []Action
	report, err := r.Repair(t.Context(), RepairOptions{Packs: true, Parity: true, OnAction: func(a Action) {
		if !a.Mended() {
			left = append(left, a)
		}
	}})
	if !errors.Is(err, ErrLeft) || report.Left != 2 || len(left) != 2 {
		t.Fatalf("%+v, %v: %v", report, err, left)
	}
	for _, a := range left {
		if len(a.Blobs) == 0 || a.Harmless || !strings.Contains(a.String(), "cannot be mended") {
			t.Errorf("%v: %d blobs", a, len(a.Blobs))
		}
	}
}

// stripeOfFirst returns the packs of one stripe.
func (d protected) stripeOfFirst(t *testing.T) []PackID {
	t.Helper()
	r := reopen(t, openDir(t, d.dir), d.ring)
	set, err := r.readStripes(t.Context())
	if err != nil || len(set.bad) > 0 {
		t.Fatal(err, set)
	}
	for _, s := range set.all {
		if len(s.head.Members) == smallParity.Stripe {
			var ids []PackID
			for _, m := range s.head.Members {
				ids = append(ids, m.ID)
			}
			return ids
		}
	}
	t.Fatal("no full stripe")
	return nil
}

// Both objects of a fragment lost: the packs say what was in it.
func TestRepairLostFragment(t *testing.T) {
	for _, gone := range []bool{true, false} {
		d := buildProtected(t, testPack)
		victim := d.objects(indexPrefix)[0]
		for _, name := range []string{victim, copyOf(victim)} {
			path := filepath.Join(d.dir, name)
			if err := errors.Join(os.Remove(path)); err != nil {
				t.Fatal(err)
			}
			if !gone {
				if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		be := openDir(t, d.dir)
		repairAll(t, reopen(t, be, d.ring))
		fresh := reopen(t, be, d.ring)
		checkWhole(t, fresh)
		for _, w := range d.work {
			w.check(t, fresh)
		}
		if again := repairAll(t, fresh); len(again) != 0 {
			t.Errorf("a second repair finds %v", again)
		}
	}
}

// Packs without parity get it.
func TestRepairGivesParity(t *testing.T) {
	d := buildProtected(t, testPack)
	if err := os.RemoveAll(filepath.Join(d.dir, "parity")); err != nil {
		t.Fatal(err)
	}
	be := openDir(t, d.dir)
	r := reopen(t, be, d.ring)
	actions := repairAll(t, r)
	if want := len(d.objects(packPrefix)); len(actions) < want {
		t.Errorf("%d actions for %d packs", len(actions), want)
	}
	if again := repairAll(t, r); len(again) != 0 {
		t.Errorf("a second repair finds %v", again)
	}
	covered := d.objects(packPrefix)
	for _, name := range covered {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
		fresh := reopen(t, be, d.ring)
		for _, w := range d.work {
			w.check(t, fresh)
		}
		repairAll(t, fresh)
	}
	now := sumsOf(t, d.dir)
	for _, name := range covered {
		if now[name] != d.sums[name] {
			t.Errorf("%s is not what it was", name)
		}
	}
}
