package repository

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mahavishnu/repository/pack"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// distant is a storage that says it is reached over a network, and counts how often
// packs are asked for.
type distant struct {
	storage.Backend
	asked  atomic.Int64
	broken atomic.Bool // packs cannot be read now
}

func (*distant) Location() string { return "s3://backups" }

func (d *distant) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if strings.HasPrefix(name, packPrefix) {
		d.asked.Add(1)
		if d.broken.Load() {
			return nil, &storage.Error{Op: "read", Object: name, Err: errors.New("no answer")}
		}
	}
	return d.Backend.Get(ctx, name, offset, length)
}

// Trees of a storage that is far away are read many at a time, and come back as
// they were whoever asks, whatever else is read, and after a failure.
func TestTreesOfDistantStorage(t *testing.T) {
	be, ring := &distant{Backend: faults.NewMemory()}, newRing()
	r, err := Create(t.Context(), be, ring, CreateOptions{Parity: StandardParity()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	s := startSession(t, r, SessionOptions{PackSize: 512 << 10})
	const trees = 1500
	ids := make([]ID, trees)
	want := func(i int) []byte { return content(uint64(i), 1000+i%700) }
	for i := range ids {
		ids[i] = mustSave(t, s, KindTree, want(i))
		mustSave(t, s, KindData, content(uint64(trees+i), 200))
	}
	mustCommit(t, s, Snapshot{Root: ids[trees-1]})

	fresh := reopen(t, be, ring)
	be.asked.Store(0)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range ids {
				i = (i + w*trees/8) % trees
				if got, err := fresh.Load(t.Context(), ids[i], KindTree, nil); err != nil || string(got) != string(want(i)) {
					t.Errorf("tree %d: %d bytes, %v", i, len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
	if asked := be.asked.Load(); asked == 0 || asked > 16 {
		t.Errorf("%d trees were read with %d requests", trees, asked)
	}
	if _, err := fresh.Load(t.Context(), ids[0], KindData, nil); !errors.Is(err, ErrBlobMissing) {
		t.Errorf("a tree loaded as data: %v", err)
	}
	if _, err := fresh.Load(t.Context(), ID{1}, KindTree, nil); !errors.Is(err, ErrBlobMissing) {
		t.Errorf("a tree that nobody stored: %v", err)
	}

	// A failure is not remembered.
	late := reopen(t, be, ring)
	be.broken.Store(true)
	if _, err := late.Load(t.Context(), ids[0], KindTree, nil); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a tree of a storage that does not answer: %v, want ErrUnreadable", err)
	}
	be.broken.Store(false)
	be.asked.Store(0)
	for i := range 20 {
		mustLoad(t, late, ids[i], KindTree, want(i))
	}
	if asked := be.asked.Load(); asked > 3 {
		t.Errorf("20 trees that lie together were read with %d requests after a failure", asked)
	}
}

// A tree that is damaged in its window is made whole like any other blob.
func TestDamagedTreeOfDistantStorage(t *testing.T) {
	disk := faults.NewMemory()
	be, ring := &distant{Backend: disk}, newRing()
	r, err := Create(t.Context(), be, ring, CreateOptions{Parity: StandardParity()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	s := startSession(t, r, SessionOptions{})
	var ids []ID
	for i := range 50 {
		ids = append(ids, mustSave(t, s, KindTree, content(uint64(i), 5000)))
	}
	mustCommit(t, s, Snapshot{Root: ids[0]})
	fresh := reopen(t, be, ring)
	for i, id := range ids {
		if i%10 != 0 {
			continue
		}
		loc, ok := fresh.Locate(id)
		if !ok {
			t.Fatalf("no tree %d", i)
		}
		data, err := storage.ReadAll(t.Context(), disk, loc.Pack.Object(), pack.MaxSize, nil)
		if err != nil {
			t.Fatal(err)
		}
		data[loc.Offset+loc.Stored/2] ^= 1
		if err := disk.Put(t.Context(), loc.Pack.Object(), data, storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		mustLoad(t, fresh, id, KindTree, content(uint64(i), 5000))
	}
}
