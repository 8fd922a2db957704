package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mahavishnu/repository/parity"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// packsOf returns the ids of all packs as they were.
func (d protected) packsOf(t *testing.T) []PackID {
	t.Helper()
	var ids []PackID
	for _, name := range d.objects(packPrefix) {
		id, ok := parsePackObject(name)
		if !ok {
			t.Fatal(name)
		}
		ids = append(ids, id)
	}
	return ids
}

// stillProtects removes each pack that stays and its own parity, one at a time,
// and wants it back from its stripe.
func stillProtects(t *testing.T, r *Repository, stay []PackID) {
	t.Helper()
	ctx := context.Background()
	for _, id := range stay {
		data, err := storage.ReadAll(ctx, r.be, id.Object(), 1<<30, nil)
		if err != nil {
			t.Fatal(err)
		}
		own, err := storage.ReadAll(ctx, r.be, parity.Name(id), 1<<30, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.be.Delete(ctx, id.Object()), r.be.Delete(ctx, parity.Name(id))); err != nil {
			t.Fatal(err)
		}
		r.correct.forget()
		k, err := r.rebuild(ctx, id)
		if err != nil || k.by != ByStripe || !slices.Equal(k.data, data) {
			t.Errorf("%s does not come back from its stripe: %v", id.Object(), err)
		} else {
			r.scratch.put(k.buf)
		}
		put := storage.PutOptions{}
		if err := errors.Join(r.be.Put(ctx, id.Object(), data, put), r.be.Put(ctx, parity.Name(id), own, put)); err != nil {
			t.Fatal(err)
		}
	}
}

// noTrace wants no parity of the packs.
func noTrace(t *testing.T, r *Repository, gone []PackID) {
	t.Helper()
	set, err := r.readStripes(t.Context())
	if err != nil || len(set.bad) > 0 {
		t.Fatal(err, set.bad)
	}
	for _, id := range gone {
		if len(set.of(id)) > 0 {
			t.Errorf("%s is still in a stripe", id.Object())
		}
		if _, err := r.be.Stat(t.Context(), parity.Name(id)); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s still has its parity: %v", id.Object(), err)
		}
	}
}

// Any packs are taken out, and the others stay protected; also with one of those
// that go or stay damaged.
func TestUnprotect(t *testing.T) {
	d := buildProtected(t, testPack)
	all := d.packsOf(t)
	for name, c := range map[string]struct {
		gone func(i int) bool
		harm int // which pack is lost before; -1 none
	}{
		"one":                  {func(i int) bool { return i == 2 }, -1},
		"every other":          {func(i int) bool { return i%2 == 0 }, -1},
		"all but one":          {func(i int) bool { return i != 1 }, -1},
		"all":                  {func(int) bool { return true }, -1},
		"one that is lost":     {func(i int) bool { return i == 2 }, 2},
		"one of those go lost": {func(i int) bool { return i%3 == 0 }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := d.copied(t)
			var gone, stay []PackID
			for i, id := range all {
				if c.gone(i) {
					gone = append(gone, id)
				} else {
					stay = append(stay, id)
				}
			}
			if c.harm >= 0 {
				if err := os.Remove(filepath.Join(d.dir, all[c.harm].Object())); err != nil {
					t.Fatal(err)
				}
			}
			r := reopen(t, openDir(t, d.dir), d.ring)
			if err := r.Unprotect(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			noTrace(t, r, gone)
			for _, id := range gone {
				if err := r.be.Delete(t.Context(), id.Object()); err != nil {
					t.Fatal(err)
				}
			}
			stillProtects(t, r, stay)
			if err := r.Unprotect(t.Context(), gone); err != nil {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// A pack that stays and is lost can be had back after others of its stripe went.
func TestUnprotectBesideALostPack(t *testing.T) {
	d := buildProtected(t, testPack)
	stripe := d.stripeOfFirst(t)
	lost, gone := stripe[0], stripe[1:3]
	if err := errors.Join(os.Remove(filepath.Join(d.dir, lost.Object())), os.Remove(filepath.Join(d.dir, parity.Name(lost)))); err != nil {
		t.Fatal(err)
	}
	r := reopen(t, openDir(t, d.dir), d.ring)
	if err := r.Unprotect(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	noTrace(t, r, gone)
	for _, id := range gone {
		if err := r.be.Delete(t.Context(), id.Object()); err != nil {
			t.Fatal(err)
		}
	}
	k, err := r.wholePack(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	r.release(k)
}

// Stopped at any step, or with the power cut there, the packs that stay are
// protected, and the next collector finishes.
func TestUnprotectDiesAnywhere(t *testing.T) {
	whole := buildProtected(t, testPack)
	all := whole.packsOf(t)
	gone, stay := all[:len(all)/3], all[len(all)/3:]
	for n := 1; ; n++ {
		d := whole.copied(t)
		be := openDir(t, d.dir)
		broken := faults.Wrap(be)
		r := reopen(t, broken, d.ring)
		broken.StopAt(n)
		err := r.Unprotect(t.Context(), gone)
		if err := broken.PowerCut(t.Context(), faults.LoseMixed); err != nil {
			t.Fatal(err)
		}
		after := reopen(t, be, d.ring)
		stillProtects(t, after, stay)
		if err := after.Unprotect(t.Context(), gone); err != nil {
			t.Fatalf("change %d: the next one: %v", n, err)
		}
		noTrace(t, after, gone)
		stillProtects(t, after, stay)
		if err == nil {
			if n < 3 {
				t.Fatalf("%d changes only", n)
			}
			return
		}
		if !errors.Is(err, faults.ErrStopped) {
			t.Fatal(err)
		}
	}
}

// Two collectors that take out different packs of the same stripes, each between
// any two steps of the other.
func TestTwoCollectorsUnprotect(t *testing.T) {
	whole := buildProtected(t, testPack)
	stripe := whole.stripeOfFirst(t)
	stay := slices.DeleteFunc(whole.packsOf(t), func(id PackID) bool { return id == stripe[0] || id == stripe[1] })
	for n := range 8 {
		d := whole.copied(t)
		be := openDir(t, d.dir)
		first := faults.Wrap(be)
		second := reopen(t, be, d.ring)
		meet := func(string) {
			if err := second.Unprotect(context.Background(), stripe[1:2]); err != nil {
				t.Error(err)
			}
		}
		first.On(faults.Put).Under(parity.StripePrefix).After(n).Do(meet)
		first.On(faults.Delete).Under(parity.Prefix).After(n / 2).Do(meet)
		r := reopen(t, first, d.ring)
		if err := r.Unprotect(t.Context(), stripe[:1]); err != nil {
			t.Fatal(err)
		}
		meet("")
		noTrace(t, r, stripe[:2])
		stillProtects(t, r, stay)
	}
}

// Small stripes of many sessions become few, and dying half-way costs nothing.
func TestMergeStripes(t *testing.T) {
	build := func() (*Repository, protected) {
		d := protected{dir: memoryDir(t), ring: newRing()}
		created, err := Create(t.Context(), openDir(t, d.dir), d.ring, CreateOptions{Parity: smallParity})
		if err != nil {
			t.Fatal(err)
		}
		closeRepo(t, created)
		r := reopen(t, openDir(t, d.dir), d.ring)
		for i := range 20 {
			s := startSession(t, r, SessionOptions{})
			root := mustSave(t, s, KindTree, fmt.Append(nil, "root ", i))
			mustCommit(t, s, Snapshot{Root: root})
		}
		d.sums = sumsOf(t, d.dir)
		return r, d
	}
	for n := 1; ; n += 3 {
		r, d := build()
		broken := faults.Wrap(r.be)
		merging := reopen(t, broken, d.ring)
		broken.StopAt(n)
		err := merging.MergeStripes(t.Context())
		if err := broken.PowerCut(t.Context(), faults.LoseHalf); err != nil {
			t.Fatal(err)
		}
		stillProtects(t, r, d.packsOf(t))
		if err == nil {
			set, err := r.readStripes(t.Context())
			if err != nil || len(set.all) != 5 {
				t.Errorf("%d stripes of 20 packs, %v", len(set.all), err)
			}
			return
		}
	}
}
