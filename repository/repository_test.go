package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/repository/compress"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTime = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

var (
	gzip6 = compress.Setting{Algorithm: compress.Gzip, Level: 6}
	store = compress.Setting{Algorithm: compress.None}
)

// testPack is a pack size that small tests fill several of.
const testPack = 32 << 10

func openDir(t testing.TB, dir string) storage.Backend {
	t.Helper()
	be, err := storage.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return be
}

// memoryDir returns a directory in memory where the system has one: for tests
// that sync thousands of times and are not about the disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mahavishnu-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newRing() *keyring.Ring { return keyring.Generate(testTime) }

// flipCache damages every file of an index cache.
func flipCache(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cache in %s: %v", dir, err)
	}
	for _, path := range files {
		if err := flipAt(func(n int) int { return n / 2 })(path, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// newRepo makes a repository in a new directory.
func newRepo(t testing.TB, o CreateOptions) (*Repository, *keyring.Ring) {
	t.Helper()
	ring := keyring.Generate(testTime)
	r, err := Create(context.Background(), openDir(t, t.TempDir()), ring, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r, ring
}

func closeRepo(t testing.TB, r *Repository) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// reopen opens the repository a second time, from storage alone.
func reopen(t testing.TB, be storage.Backend, ring *keyring.Ring) *Repository {
	t.Helper()
	r, err := Open(context.Background(), be, ring, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r
}

func startSession(t testing.TB, r *Repository, o SessionOptions) *Session {
	t.Helper()
	if o.PackSize == 0 {
		o.PackSize = testPack
	}
	s, err := r.Session(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Abort(context.Background()); err != nil {
			t.Logf("abort: %v", err)
		}
	})
	return s
}

// content returns n bytes that depend on the seed: half of it random, half text.
func content(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, 0, n+16)
	for len(out) < n/2 {
		out = append(out, byte(rng.Uint32()))
	}
	for len(out) < n {
		out = fmt.Appendf(out, "line %d of the text\n", rng.IntN(1000))
	}
	return out[:n]
}

func mustSave(t testing.TB, s *Session, kind Kind, data []byte) ID {
	t.Helper()
	id, _, err := s.Save(context.Background(), kind, data)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustCommit(t testing.TB, s *Session, snap Snapshot) Snapshot {
	t.Helper()
	if snap.Source == "" {
		snap.Source = "home"
	}
	if snap.Time.IsZero() {
		snap.Time = testTime
	}
	out, err := s.Commit(context.Background(), snap)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustLoad(t testing.TB, r *Repository, id ID, kind Kind, want []byte) {
	t.Helper()
	got, err := r.Load(context.Background(), id, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("blob %s: other bytes come back", id)
	}
}

func TestSaveCommitLoad(t *testing.T) {
	for _, o := range []CreateOptions{{}, {Hash: BLAKE3}, {Padding: "none"}} {
		for _, c := range []SessionOptions{
			{}, {Compression: gzip6}, {Compression: store}, {VerifyEvery: 1}, {Type: TypeArchival},
		} {
			t.Run(fmt.Sprintf("%v %v %v %v", o.Hash, o.Padding, c.Compression, c.Type), func(t *testing.T) {
				r, ring := newRepo(t, o)
				s := startSession(t, r, c)
				blobs := map[ID][]byte{}
				for i := range uint64(40) {
					data := content(i, int(i*i*7))
					blobs[mustSave(t, s, KindData, data)] = data
				}
				root := mustSave(t, s, KindTree, []byte("the root"))
				snap := mustCommit(t, s, Snapshot{Root: root, Tags: []string{"a"}})

				fresh := reopen(t, r.Backend(), ring)
				for id, want := range blobs {
					mustLoad(t, fresh, id, KindData, want)
				}
				got, err := fresh.FindSnapshot(context.Background(), snap.ID)
				if err != nil || got.Root != root {
					t.Fatalf("FindSnapshot = %+v, %v", got, err)
				}
				mustLoad(t, fresh, got.Root, KindTree, []byte("the root"))
				if _, err := fresh.Load(context.Background(), root, KindData, nil); !errors.Is(err, ErrBlobMissing) {
					t.Fatalf("a tree loaded as data: %v", err)
				}
				again := startSession(t, fresh, c)
				for _, data := range blobs {
					mustSave(t, again, KindData, data)
				}
				if st := again.Stats(); st.NewBlobs != 0 || st.ReusedBlobs != int64(len(blobs)) {
					t.Fatalf("saved again: %+v", st)
				}
			})
		}
	}
}
