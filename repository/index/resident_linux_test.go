package index

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/repository/blob"
)

// resident is how much of a mapped file is in this process's memory, in bytes.
func resident(t testing.TB, path string) int {
	t.Helper()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	total, ours := 0, false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		if fields := strings.Fields(line); strings.Contains(fields[0], "-") { // the next mapping
			ours = len(fields) > 5 && fields[5] == path
		}
		var kib int
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 && ours {
			total += kib << 10
		}
	}
	return total
}

// openSample writes a fragment of n blobs to a file and opens that.
func openSample(t testing.TB, n int, seed uint64) (f *File, path string, ids []blob.ID) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	b := &Builder{}
	for left := n; left > 0; {
		list := make([]Entry, min(left, 200))
		for i := range list {
			list[i] = Entry{ID: randomID(rng), Offset: rng.Uint32(), Stored: 100, Raw: 200}
			ids = append(ids, list[i].ID)
		}
		b.AddPack(Pack{ID: blob.NewPackID([4]byte{1}), Blobs: uint32(len(list)), Kind: blob.KindData}, list)
		left -= len(list)
	}
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "fragment")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = OpenFile(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, path, ids
}

func TestAShrunkFragmentStaysOutOfMemory(t *testing.T) {
	const blobs = 128 << 10
	f, path, ids := openSample(t, blobs, 1)
	want := make([]Entry, len(ids))
	for i, id := range ids {
		e, ok := f.Lookup(id)
		if !ok {
			t.Fatalf("blob %d is not found", i)
		}
		want[i] = e
	}
	if n := resident(t, path); n < blobs*EntrySize/2 {
		t.Errorf("%d bytes are resident after every blob was looked up where it is mapped", n)
	}
	f.Shrink()
	rng := rand.New(rand.NewPCG(3, 3))
	for i, id := range ids {
		if e, ok := f.Lookup(id); !ok || e != want[i] {
			t.Fatalf("blob %d: %+v, %v; want %+v", i, e, ok, want[i])
		}
		if _, ok := f.Lookup(randomID(rng)); ok {
			t.Fatal("a blob that is not there was found")
		}
	}
	if n := resident(t, path); n >= 8*blobs {
		t.Errorf("%d bytes are resident, %.1f a blob", n, float64(n)/blobs)
	}
}

// BenchmarkTenMillionBlobs tells what an index of ten million blobs takes, on disk
// and in memory, after it was asked for as many.
func BenchmarkTenMillionBlobs(b *testing.B) {
	const fragments, blobs = 10, 1_000_000
	files, paths := make([]*File, fragments), make([]string, fragments)
	var ids []blob.ID
	for i := range files {
		var all []blob.ID
		files[i], paths[i], all = openSample(b, blobs, uint64(i))
		files[i].Shrink()
		ids = append(ids, all[:blobs/50]...)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, test := range []struct {
		name string
		id   func(i int) blob.ID
	}{
		{"miss", func(int) blob.ID { return randomID(rng) }},
		{"hit", func(i int) blob.ID { return ids[i%len(ids)] }},
	} {
		b.Run(test.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				id := test.id(i)
				for _, f := range files {
					if _, ok := f.Lookup(id); ok {
						break
					}
				}
			}
			inMemory, onDisk := 0, int64(0)
			for _, path := range paths {
				inMemory += resident(b, path)
				info, err := os.Stat(path)
				if err != nil {
					b.Fatal(err)
				}
				onDisk += info.Size()
			}
			b.ReportMetric(float64(inMemory)/(fragments*blobs), "resident-B/blob")
			b.ReportMetric(float64(onDisk)/(fragments*blobs), "disk-B/blob")
		})
	}
}
