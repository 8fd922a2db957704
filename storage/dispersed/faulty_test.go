package dispersed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/storagetest"
)

func noise(seed, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n), byte(n >> 8)})
	_, _ = r.Read(data)
	return data
}

func get(ctx context.Context, be storage.Backend, name string, offset, length int64) ([]byte, error) {
	r, err := be.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func mustPut(t *testing.T, be storage.Backend, name string, data []byte) {
	t.Helper()
	if err := be.Put(t.Context(), name, data, storage.PutOptions{Sync: true}); err != nil {
		t.Fatal(err)
	}
}

func wantData(t *testing.T, be storage.Backend, name string, want []byte) {
	t.Helper()
	got, err := get(t.Context(), be, name, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
	}
}

// wantRepaired checks that everything is as it should be after a repair, with every
// byte read.
func wantRepaired(t *testing.T, p *place) {
	t.Helper()
	var seen []string
	o := dispersed.CheckOptions{Depth: dispersed.Cells, Found: func(f dispersed.Finding) error {
		seen = append(seen, fmt.Sprintf("%s at %d: %s, repaired %v, %v", f.Name, f.Storage, f.Problem, f.Repaired, f.Err))
		return nil
	}}
	if r, err := p.Repair(t.Context(), o); err != nil || !r.Whole() {
		t.Fatalf("repair: %+v, %v\n%s", r, err, strings.Join(seen, "\n"))
	}
	seen = nil
	if r, err := p.Check(t.Context(), o); err != nil || len(r.Problems) != 0 {
		t.Fatalf("check after the repair: %+v, %v\n%s", r, err, strings.Join(seen, "\n"))
	}
}

// damages are what a storage may do to a shard, and how a check calls it.
var damages = map[string]struct {
	do    func(shard []byte) []byte
	found dispersed.Problem
}{
	"lost":          {func([]byte) []byte { return nil }, dispersed.Missing},
	"empty":         {func([]byte) []byte { return []byte{} }, dispersed.Damaged},
	"garbage":       {func(b []byte) []byte { return noise(1, len(b)) }, dispersed.Damaged},
	"cut":           {func(b []byte) []byte { return b[:len(b)-len(b)/3] }, dispersed.Damaged},
	"longer":        {func(b []byte) []byte { return append(slices.Clone(b), "more"...) }, dispersed.Damaged},
	"bit in a cell": {func(b []byte) []byte { b = slices.Clone(b); b[len(b)/2] ^= 4; return b }, dispersed.Damaged},
	"bit in a sum":  {func(b []byte) []byte { b = slices.Clone(b); b[128+16<<10] ^= 1; return b }, dispersed.Damaged},
	"bit in a head": {func(b []byte) []byte { b = slices.Clone(b); b[20] ^= 1; return b }, dispersed.Damaged},
	"zeros":         {func(b []byte) []byte { return make([]byte, len(b)) }, dispersed.Damaged},
}

// Whatever any two storages do to their shards is noticed, read past and repaired.
func TestDamage(t *testing.T) {
	const name = "packs/00/x"
	data := noise(0, 300000)
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			for a := range 6 {
				b := (a + 1 + a%3) % 6
				p := newPlace(t, 4, 2)
				mustPut(t, p, name, data)
				p.settle(t)
				for _, i := range []int{a, b} {
					p.memory[i].Set(name, damage.do(p.memory[i].Objects()[name]))
				}
				p.open(t)
				wantData(t, p, name, data)
				for _, r := range []struct{ offset, length int64 }{{0, 1}, {100, 5000}, {16000, 1000}, {65000, 70000}, {299999, 1}} {
					got, err := get(t.Context(), p, name, r.offset, r.length)
					if err != nil || !bytes.Equal(got, data[r.offset:r.offset+r.length]) {
						t.Fatalf("storages %d and %d, range %+v: %v", a, b, r, err)
					}
				}
				found := map[dispersed.Problem]int{}
				_, err := p.Check(t.Context(), dispersed.CheckOptions{Depth: dispersed.Cells, Found: func(f dispersed.Finding) error {
					found[f.Problem]++
					return nil
				}})
				if diff := cmp.Diff(map[dispersed.Problem]int{damage.found: 2}, found); diff != "" || err != nil {
					t.Fatalf("check of storages %d and %d: %v (-want +got):\n%s", a, b, err, diff)
				}
				wantRepaired(t, p)
				p.settle(t)
			}
		})
	}
}

// With three of six shards gone nothing that is said is wrong.
func TestTooMuchDamage(t *testing.T) {
	p := newPlace(t, 4, 2)
	mustPut(t, p, "a", noise(0, 100000))
	p.settle(t)
	for i := range 3 {
		p.memory[i].Set("a", noise(1, 25000))
	}
	p.open(t)
	if _, err := get(t.Context(), p, "a", 0, -1); !errors.Is(err, storage.ErrDamaged) {
		t.Fatalf("Get = %v, want ErrDamaged", err)
	}
	r, err := p.Repair(t.Context(), dispersed.CheckOptions{Depth: dispersed.Cells})
	if err != nil || r.Whole() || r.Problems[dispersed.Unreadable] != 1 {
		t.Fatalf("repair: %+v, %v", r, err)
	}
}

// A shard of another object, of another place or of an older version is no shard of
// this one, although nothing is wrong with its checksums.
func TestSwappedShards(t *testing.T) {
	for what, swap := range map[string]func(p *place){
		"of another name":    func(p *place) { p.memory[1].Set("a", p.memory[1].Objects()["b"]) },
		"of another storage": func(p *place) { p.memory[1].Set("a", p.memory[2].Objects()["a"]) },
	} {
		p := newPlace(t, 2, 1)
		mustPut(t, p, "a", noise(1, 50000))
		mustPut(t, p, "b", noise(2, 50000))
		p.settle(t)
		swap(p)
		p.open(t)
		wantData(t, p, "a", noise(1, 50000))
		if got, err := get(t.Context(), p, "a", 20000, 100); err != nil || !bytes.Equal(got, noise(1, 50000)[20000:20100]) {
			t.Errorf("%s: range %v", what, err)
		}
		wantRepaired(t, p)
		p.settle(t)
	}
}

// A storage that was away while an object was replaced has the older one.
func TestStaleShards(t *testing.T) {
	p := newPlace(t, 4, 2, quorum(4))
	mustPut(t, p, "a", noise(1, 50000))
	p.settle(t)
	p.stop(0, 3)
	p.open(t)
	mustPut(t, p, "a", noise(2, 60000))
	p.settle(t)
	p.start()
	p.open(t)
	for range 20 {
		wantData(t, p, "a", noise(2, 60000))
	}
	if info, err := p.Stat(t.Context(), "a"); err != nil || info.Size != 60000 {
		t.Errorf("Stat = %+v, %v", info, err)
	}
	wantRepaired(t, p)
	p.settle(t)
}

// A storage that was away when an object was deleted brings nothing back, also not
// when those that know of the deletion go away.
func TestNoResurrection(t *testing.T) {
	for _, conditional := range []bool{false, true} {
		p := newPlace(t, 4, 2, quorum(4))
		err := p.Put(t.Context(), "d/a", noise(1, 5000), storage.PutOptions{IfAbsent: conditional})
		if err != nil {
			t.Fatal(err)
		}
		p.settle(t)
		p.stop(0, 1)
		p.open(t)
		if err := p.Delete(t.Context(), "d/a"); err != nil {
			t.Fatal(err)
		}
		wantGone(t, p, "d/a")
		p.start()
		wantGone(t, p, "d/a")
		p.stop(2, 3)
		wantGone(t, p, "d/a")
		p.start()
		o := dispersed.CheckOptions{KeepUnfinished: time.Nanosecond}
		if r, err := p.Repair(t.Context(), o); err != nil || !r.Whole() || r.Cleaned == 0 {
			t.Fatalf("repair: %+v, %v", r, err)
		}
		for i, m := range p.memory {
			for name := range m.Objects() {
				if name == dispersed.RecordName || strings.HasPrefix(name, dispersed.HistoryDir) {
					continue
				}
				t.Errorf("storage %d has %s after the repair", i, name)
			}
		}
		wantGone(t, p, "d/a")
		if err := p.Put(t.Context(), "d/a", []byte("new"), storage.PutOptions{IfAbsent: true}); err != nil {
			t.Fatal(err)
		}
		wantData(t, p, "d/a", []byte("new"))
		p.settle(t)
	}
}

func wantGone(t *testing.T, be storage.Backend, name string) {
	t.Helper()
	if _, err := be.Stat(t.Context(), name); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Stat of a deleted object: %v", err)
	}
	if _, err := be.Get(t.Context(), name, 0, -1); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get of a deleted object: %v", err)
	}
	if err := be.Sync(t.Context(), []string{name}); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Sync of a deleted object: %v", err)
	}
	if all := listed(t, be, ""); slices.Contains(all, name) {
		t.Fatalf("%s is listed", name)
	}
}

// TestConformanceWithLies has one storage damage everything that it keeps.
func TestConformanceWithLies(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		return newPlace(t, 4, 2, func(c *dispersed.Config) { c.Backends[2] = liar{c.Backends[2]} })
	})
}

// liar returns garbage of the right length for whatever it is asked, and forgets
// what it lists.
type liar struct{ storage.Backend }

func (l liar) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	data, err := get(ctx, l.Backend, name, offset, length)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(noise(3, len(data)))), nil
}

func (l liar) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	n := 0
	return l.Backend.List(ctx, prefix, func(i storage.Info) error {
		if n++; n%3 == 0 {
			return nil
		}
		i.Size += int64(n % 2)
		return fn(i)
	})
}

// Too few storages for an answer is an error that may be tried again and says which
// are missing, never "no such object".
func TestTooFewStorages(t *testing.T) {
	p := newPlace(t, 4, 2)
	mustPut(t, p, "a", []byte("x"))
	p.settle(t)
	p.stop(0, 2, 5)
	p.open(t)
	ctx := t.Context()
	_, getErr := p.Get(ctx, "a", 0, -1)
	_, statErr := p.Stat(ctx, "a")
	for op, err := range map[string]error{
		"get": getErr, "stat": statErr, "put": p.Put(ctx, "b", nil, storage.PutOptions{}),
		"create": p.Put(ctx, "c", nil, storage.PutOptions{IfAbsent: true}), "sync": p.Sync(ctx, []string{"a"}),
		"list": p.List(ctx, "", func(storage.Info) error { return nil }),
	} {
		var temporary *storage.TemporaryError
		if !errors.As(err, &temporary) || errors.Is(err, storage.ErrNotFound) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s with three of six storages: %v", op, err)
			continue
		}
		for _, i := range []string{"storage 1", "storage 3", "storage 6"} {
			if !strings.Contains(err.Error(), i) {
				t.Errorf("%s: %v does not name %s", op, err, i)
			}
		}
	}
	p.settle(t)
}

// What a put left that was stopped half-way is no object; the next put of the name, of
// whatever, goes through, and a repair takes remainders away.
func TestUnfinishedPuts(t *testing.T) {
	for changes := range 6 {
		p := newPlace(t, 4, 2)
		if err := p.Form(t.Context()); err != nil { // later it would not even begin
			t.Fatal(err)
		}
		for i := range p.doors {
			if i >= changes {
				p.stop(i)
			}
		}
		err := p.Put(t.Context(), "a", noise(1, 1000), storage.PutOptions{})
		if (err == nil) != (changes >= 5) {
			t.Fatalf("put with %d storages: %v", changes, err)
		}
		p.settle(t)
		p.start()
		p.open(t)
		// Four shards are an object, although nobody was told so.
		if _, err := p.Stat(t.Context(), "a"); (err == nil) != (changes >= 4) {
			t.Errorf("%d shards: %v", changes, err)
		}
		if changes < 4 {
			o := dispersed.CheckOptions{KeepUnfinished: time.Nanosecond}
			if changes%2 == 0 {
				r, err := p.Repair(t.Context(), o)
				if err != nil || !r.Whole() || r.Problems[dispersed.Unfinished] != changes {
					t.Errorf("repair with %d shards: %+v, %v", changes, r, err)
				}
			}
			if err := p.Put(t.Context(), "a", noise(2, 2000), storage.PutOptions{IfAbsent: changes%2 == 1}); err != nil {
				t.Errorf("put after %d shards were left: %v", changes, err)
			}
			wantData(t, p, "a", noise(2, 2000))
		}
		wantRepaired(t, p)
		p.settle(t)
	}
}

// A stored byte costs (k+m)/k bytes, where full copies that survive as much cost m+1.
func TestStoredBytes(t *testing.T) {
	p := newPlace(t, 4, 2)
	total := int64(0)
	for i := range 8 {
		mustPut(t, p, fmt.Sprint("packs/", i), noise(i, 4<<20))
		total += 4 << 20
	}
	r, err := p.Check(t.Context(), dispersed.CheckOptions{})
	if err != nil || !r.Whole() || r.Bytes != total {
		t.Fatalf("check: %+v, %v", r, err)
	}
	stored := int64(0)
	p.settle(t)
	for _, m := range p.memory {
		for name, data := range m.Objects() {
			if name != dispersed.RecordName {
				stored += int64(len(data))
			}
		}
	}
	if ratio := float64(stored) / float64(total); stored != r.Stored || ratio > 1.502 {
		t.Errorf("stored %d bytes (reported %d) for %d: %.4f", stored, r.Stored, total, ratio)
	}
}
