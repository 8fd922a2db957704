// Package storagetest is what every backend must pass. A backend's own test
// calls [Run] with a function that opens an empty place; wrappers run it around
// a backend that passes.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage"
)

// Run checks a backend against the contract. open returns a backend on an empty
// place of its own, each time it is called.
func Run(t *testing.T, open func(t *testing.T) storage.Backend) {
	for name, test := range map[string]func(*testing.T, storage.Backend){
		"PutGet":          testPutGet,
		"Ranges":          testRanges,
		"Replace":         testReplace,
		"IfAbsent":        testIfAbsent,
		"IfAbsentRace":    testIfAbsentRace,
		"Missing":         testMissing,
		"Delete":          testDelete,
		"List":            testList,
		"ListStops":       testListStops,
		"Names":           testNames,
		"Sync":            testSync,
		"Context":         testContext,
		"Concurrent":      testConcurrent,
		"ReadsWhileWrite": testReadsWhileReplaced,
		"Location":        testLocation,
		"KeepsNoData":     testKeepsNoData,
	} {
		t.Run(name, func(t *testing.T) {
			be := open(t)
			t.Cleanup(func() {
				if err := be.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test(t, be)
		})
	}
}

func put(t *testing.T, be storage.Backend, name string, data []byte, o storage.PutOptions) {
	t.Helper()
	if err := be.Put(t.Context(), name, data, o); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func read(t *testing.T, be storage.Backend, name string, offset, length int64) []byte {
	t.Helper()
	data, err := Read(t.Context(), be, name, offset, length)
	if err != nil {
		t.Fatalf("Get %s [%d, +%d]: %v", name, offset, length, err)
	}
	return data
}

func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return data
}

func testPutGet(t *testing.T, be storage.Backend) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 1<<20 + 13, 5 << 20} {
		for _, sync := range []bool{false, true} {
			name := fmt.Sprintf("packs/%02x/size-%d-%v", n%251, n, sync)
			want := pattern(n)
			put(t, be, name, want, storage.PutOptions{Sync: sync})
			if got := read(t, be, name, 0, -1); !bytes.Equal(got, want) {
				t.Fatalf("%s: other bytes come back", name)
			}
			info, err := be.Stat(t.Context(), name)
			if err != nil || info.Size != int64(n) || info.Name != name {
				t.Fatalf("Stat = %+v, %v; want size %d", info, err, n)
			}
		}
	}
}

func testRanges(t *testing.T, be storage.Backend) {
	want := pattern(10000)
	put(t, be, "a", want, storage.PutOptions{})
	for _, c := range []struct{ offset, length, n int64 }{
		{0, 10000, 10000}, {0, 0, 0}, {10000, 0, 0}, {10000, -1, 0}, {1, 1, 1}, {4095, 4098, 4098}, {9999, -1, 1}, {0, -1, 10000},
	} {
		got := read(t, be, "a", c.offset, c.length)
		if !bytes.Equal(got, want[c.offset:c.offset+c.n]) {
			t.Errorf("range %+v: %d wrong bytes", c, len(got))
		}
	}
	for _, c := range []struct{ offset, length int64 }{{0, 10001}, {10001, 0}, {10001, -1}, {9999, 2}, {20000, 5}, {1 << 62, 1 << 62}} {
		if data, err := Read(t.Context(), be, "a", c.offset, c.length); !errors.Is(err, storage.ErrShort) {
			t.Errorf("range %+v past the end: %d bytes, error %v; want ErrShort", c, len(data), err)
		}
	}
}

func testReplace(t *testing.T, be storage.Backend) {
	put(t, be, "dir/a", pattern(1000), storage.PutOptions{})
	put(t, be, "dir/a", []byte("new"), storage.PutOptions{Sync: true})
	if got := read(t, be, "dir/a", 0, -1); string(got) != "new" {
		t.Fatalf("replaced object = %q", got)
	}
}

func testIfAbsent(t *testing.T, be storage.Backend) {
	for _, sync := range []bool{false, true} {
		name := fmt.Sprintf("x/%v", sync)
		o := storage.PutOptions{IfAbsent: true, Sync: sync}
		put(t, be, name, []byte("first"), o)
		err := be.Put(t.Context(), name, []byte("second"), o)
		if !errors.Is(err, storage.ErrExists) {
			t.Fatalf("second conditional put: %v, want ErrExists", err)
		}
		wantNamed(t, err, name)
		if got := read(t, be, name, 0, -1); string(got) != "first" {
			t.Fatalf("object = %q after a refused put", got)
		}
	}
}

func testIfAbsentRace(t *testing.T, be storage.Backend) {
	const writers = 16
	for round := range 8 {
		name := fmt.Sprintf("race/%d", round)
		var won atomic.Int64
		var winner atomic.Int64
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				data := bytes.Repeat([]byte{byte(i)}, 8192)
				err := be.Put(t.Context(), name, data, storage.PutOptions{IfAbsent: true})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(int64(i))
				case !errors.Is(err, storage.ErrExists):
					t.Errorf("conditional put: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d conditional puts succeeded, want 1", won.Load(), writers)
		}
		if got := read(t, be, name, 0, -1); !bytes.Equal(got, bytes.Repeat([]byte{byte(winner.Load())}, 8192)) {
			t.Fatal("the object is not the winner's")
		}
	}
}

func testMissing(t *testing.T, be storage.Backend) {
	put(t, be, "file", []byte("x"), storage.PutOptions{})
	for _, name := range []string{"nothing", "no/dir/here", "file/below"} {
		_, err := be.Get(t.Context(), name, 0, -1)
		wantMissing(t, "Get", name, err)
		_, err = be.Stat(t.Context(), name)
		wantMissing(t, "Stat", name, err)
		wantMissing(t, "Sync", name, be.Sync(t.Context(), []string{name}))
		if err := be.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete of a missing object: %v", err)
		}
	}
	put(t, be, "d/e/f", []byte("x"), storage.PutOptions{})
	_, err := be.Stat(t.Context(), "d/e")
	wantMissing(t, "Stat", "d/e", err)
	_, err = be.Get(t.Context(), "d/e", 0, -1)
	wantMissing(t, "Get", "d/e", err)
}

func wantMissing(t *testing.T, op, name string, err error) {
	t.Helper()
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%s of missing %s: %v, want ErrNotFound", op, name, err)
	}
	wantNamed(t, err, name)
}

// wantNamed checks that an error says which object it is about.
func wantNamed(t *testing.T, err error, name string) {
	t.Helper()
	var e *storage.Error
	if !errors.As(err, &e) || e.Op == "" || !bytes.Contains([]byte(e.Object), []byte(name)) {
		t.Errorf("error %q does not name its operation and %s", err, name)
	}
}

func testDelete(t *testing.T, be storage.Backend) {
	put(t, be, "a/b", []byte("x"), storage.PutOptions{})
	put(t, be, "a/c", []byte("y"), storage.PutOptions{})
	if err := be.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	_, err := be.Stat(t.Context(), "a/b")
	wantMissing(t, "Stat", "a/b", err)
	if got := read(t, be, "a/c", 0, -1); string(got) != "y" {
		t.Fatalf("the neighbour = %q", got)
	}
	put(t, be, "a/b", []byte("again"), storage.PutOptions{IfAbsent: true})
}

func list(t *testing.T, be storage.Backend, prefix string) []string {
	t.Helper()
	names := []string{}
	err := be.List(t.Context(), prefix, func(i storage.Info) error {
		if want := int64(len(i.Name)); i.Size != want {
			t.Errorf("List tells size %d of %s, want %d", i.Size, i.Name, want)
		}
		names = append(names, i.Name)
		return nil
	})
	if err != nil {
		t.Fatalf("List %q: %v", prefix, err)
	}
	slices.Sort(names)
	return names
}

func testList(t *testing.T, be storage.Backend) {
	if got := list(t, be, ""); len(got) != 0 {
		t.Fatalf("an empty place lists %q", got)
	}
	all := []string{"config", "index/1", "packs/00/a", "packs/00/b", "packs/ff/c", "packs-x/d", "snapshots/a%20b/1"}
	for _, name := range all {
		put(t, be, name, []byte(name), storage.PutOptions{})
	}
	for i := range 1100 { // more than one page of any store
		name := fmt.Sprintf("many/%05d", i)
		put(t, be, name, []byte(name), storage.PutOptions{})
	}
	if got := list(t, be, "many/"); len(got) != 1100 || got[1099] != "many/01099" {
		t.Fatalf("listed %d of 1100", len(got))
	}
	for prefix, want := range map[string][]string{
		"packs/": all[2:5], "packs/00/": all[2:4], "index/": all[1:2], "nothing/": {}, "snapshots/a%20b/": all[6:],
	} {
		if diff := cmp.Diff(want, list(t, be, prefix)); diff != "" {
			t.Errorf("List %q (-want +got):\n%s", prefix, diff)
		}
	}
	if got := list(t, be, ""); len(got) != 1100+len(all) {
		t.Errorf("List of everything: %d names, want %d", len(got), 1100+len(all))
	}
	if err := be.List(t.Context(), "pack", nil); !errors.Is(err, storage.ErrBadName) {
		t.Errorf("List of a prefix without a slash: %v, want ErrBadName", err)
	}
}

func testListStops(t *testing.T, be storage.Backend) {
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		put(t, be, name, nil, storage.PutOptions{})
	}
	stop := errors.New("enough")
	calls := 0
	err := be.List(t.Context(), "", func(storage.Info) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("List = %v after %d calls, want the callback's own error after 1", err, calls)
	}
}

func testNames(t *testing.T, be storage.Backend) {
	long := string(bytes.Repeat([]byte("x"), 250))
	for _, name := range []string{"a", "A-b_c.d%20+@=", long, "0/1/2/3/4/5/6/7/8/9", "a..b", "x/" + long} {
		put(t, be, name, []byte(name), storage.PutOptions{})
		if got := read(t, be, name, 0, -1); string(got) != name {
			t.Errorf("%s: other bytes come back", name)
		}
	}
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.tmp", "a b", "a\\b", "ä", "a\x00b",
		"a:b", "a*", long + "x", string(bytes.Repeat([]byte("a/"), 300)) + "a",
	} {
		if err := be.Put(t.Context(), name, nil, storage.PutOptions{}); !errors.Is(err, storage.ErrBadName) {
			t.Errorf("Put %q: %v, want ErrBadName", name, err)
		}
		if _, err := be.Get(t.Context(), name, 0, -1); !errors.Is(err, storage.ErrBadName) {
			t.Errorf("Get %q: %v, want ErrBadName", name, err)
		}
		if err := be.Delete(t.Context(), name); !errors.Is(err, storage.ErrBadName) {
			t.Errorf("Delete %q: %v, want ErrBadName", name, err)
		}
		if _, err := be.Stat(t.Context(), name); !errors.Is(err, storage.ErrBadName) {
			t.Errorf("Stat %q: %v, want ErrBadName", name, err)
		}
		if err := be.Sync(t.Context(), []string{name}); !errors.Is(err, storage.ErrBadName) {
			t.Errorf("Sync %q: %v, want ErrBadName", name, err)
		}
	}
}

func testSync(t *testing.T, be storage.Backend) {
	if err := be.Sync(t.Context(), nil); err != nil {
		t.Fatalf("Sync of nothing: %v", err)
	}
	var names []string
	for i := range 40 {
		name := fmt.Sprintf("packs/%02x/%d", i%7, i)
		put(t, be, name, pattern(i*1000), storage.PutOptions{})
		names = append(names, name)
	}
	if err := be.Sync(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	if err := be.Sync(t.Context(), append(names, "packs/missing")); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Sync with a missing object: %v, want ErrNotFound", err)
	}
}

func testContext(t *testing.T, be storage.Backend) {
	put(t, be, "a", []byte("x"), storage.PutOptions{})
	why := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := be.Put(ctx, "b", nil, storage.PutOptions{}); !errors.Is(err, why) {
		t.Errorf("Put after the context ended: %v", err)
	}
	if _, err := be.Get(ctx, "a", 0, -1); !errors.Is(err, why) {
		t.Errorf("Get after the context ended: %v", err)
	}
	if _, err := be.Stat(ctx, "a"); !errors.Is(err, why) {
		t.Errorf("Stat after the context ended: %v", err)
	}
	if err := be.Delete(ctx, "a"); !errors.Is(err, why) {
		t.Errorf("Delete after the context ended: %v", err)
	}
	if err := be.List(ctx, "", func(storage.Info) error { return nil }); !errors.Is(err, why) {
		t.Errorf("List after the context ended: %v", err)
	}
	if err := be.Sync(ctx, []string{"a"}); !errors.Is(err, why) {
		t.Errorf("Sync after the context ended: %v", err)
	}
	if got := read(t, be, "a", 0, -1); string(got) != "x" {
		t.Errorf("object = %q after operations whose context had ended", got)
	}
}

func testConcurrent(t *testing.T, be storage.Backend) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 12 {
				name := fmt.Sprintf("packs/%02x/%d-%d", j, i, j)
				want := pattern(i*5000 + j)
				if err := be.Put(t.Context(), name, want, storage.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
				got, err := Read(t.Context(), be, name, 0, -1)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
				if err := be.Sync(t.Context(), []string{name}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// testReadsWhileReplaced: a reader sees one whole object or another, never a
// mixture and never nothing.
func testReadsWhileReplaced(t *testing.T, be storage.Backend) {
	const size = 64 << 10
	put(t, be, "a", bytes.Repeat([]byte{0}, size), storage.PutOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := be.Put(t.Context(), "a", bytes.Repeat([]byte{byte(2*n + i)}, size), storage.PutOptions{})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		got := read(t, be, "a", 0, -1)
		if len(got) != size || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
			t.Error("a reader saw a mixture of two objects")
			break
		}
	}
	cancel()
	wg.Wait()
}

func testLocation(t *testing.T, be storage.Backend) {
	if be.Location() == "" {
		t.Error("Location is empty")
	}
}

func testKeepsNoData(t *testing.T, be storage.Backend) {
	data := []byte("as it was")
	put(t, be, "a", data, storage.PutOptions{})
	copy(data, "XXXXXXXXX")
	if got := read(t, be, "a", 0, -1); string(got) != "as it was" {
		t.Fatalf("object = %q: the backend kept the caller's bytes", got)
	}
}
