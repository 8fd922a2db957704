package replication

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// place is a storage in memory with a name of its own.
type place struct {
	*faults.Memory
	name string
}

func (p *place) Location() string { return p.name }

func newPlace(name string) *place { return &place{faults.NewMemory(), name} }

// tester is what tests and rapid checks have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// jumps is a clock that is ahead of the machine's, and further with every wait.
type jumps struct {
	clock.Clock
	ahead time.Duration
}

func (j *jumps) Now() time.Time { return time.Now().Add(j.ahead) }

func (j *jumps) Sleep(ctx context.Context, d time.Duration) error {
	j.ahead += d
	return ctx.Err()
}

// world is a primary, a replica, and what backups hold.
type world struct {
	t        tester
	ring     *keyring.Ring
	from, to *place
	dir      string // what is backed up
	scratch  string
	seed     uint64
	clock    *jumps
	want     map[string]map[string]string // snapshot id -> path -> content, of all there ever were
	live     map[string]bool              // those that were not forgotten
}

func newWorld(t testing.TB) *world { return newWorldIn(t, memoryDir(t)) }

func newWorldIn(t tester, dir string) *world {
	t.Helper()
	w := &world{
		t: t, ring: keyring.Generate(time.Now()), from: newPlace("primary"), to: newPlace("replica"),
		dir: filepath.Join(dir, "files"), scratch: filepath.Join(dir, "scratch"),
		clock: &jumps{Clock: clock.System()}, want: map[string]map[string]string{}, live: map[string]bool{},
	}
	w.must(os.MkdirAll(w.dir, 0o755))
	w.must(os.MkdirAll(w.scratch, 0o755))
	repo, err := repository.Create(context.Background(), w.from, w.ring, repository.CreateOptions{Parity: repository.StandardParity()})
	w.must(err)
	w.must(repo.Close())
	return w
}

// memoryDir is a directory in memory where there is such a place.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "replication-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// within calls fn with a repository.
func (w *world) within(be storage.Backend, fn func(*repository.Repository) error) {
	w.t.Helper()
	repo, err := repository.Open(context.Background(), be, w.ring, repository.OpenOptions{})
	if err != nil {
		w.t.Fatalf("open %s: %v", be.Location(), err)
	}
	w.must(errors.Join(fn(repo), repo.Close()))
}

// write changes a file. Contents do not compress.
func (w *world) write(name string, n int) {
	w.t.Helper()
	w.seed++
	r := rand.New(rand.NewPCG(w.seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	w.must(os.WriteFile(filepath.Join(w.dir, name), b, 0o600))
}

func (w *world) files(dir string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	w.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return all
}

// backup makes a snapshot in a place and returns its id.
func (w *world) backup(be storage.Backend) (id string) {
	w.t.Helper()
	w.seed++
	w.within(be, func(repo *repository.Repository) error {
		r, err := snapshot.Backup(context.Background(), repo, snapshot.BackupOptions{
			Source: "s", Path: w.dir, AllowEmpty: true, Job: fmt.Sprint("job-", w.seed), JobTime: time.Unix(1_700_000_000+int64(w.seed), 0),
		})
		id = r.Snapshot.ID
		return err
	})
	w.want[id], w.live[id] = w.files(w.dir), true
	return id
}

func (w *world) forget(id string) {
	w.t.Helper()
	w.within(w.from, func(repo *repository.Repository) error {
		s, err := repo.FindSnapshot(context.Background(), id)
		if err != nil {
			return err
		}
		return repo.DeleteSnapshot(context.Background(), s)
	})
	delete(w.live, id)
}

// prune removes everything that is not needed, and rewrites what is hardly used.
func (w *world) prune(be storage.Backend) {
	w.t.Helper()
	w.within(be, func(repo *repository.Repository) error {
		_, err := prune.Run(context.Background(), repo, prune.Options{Clock: &jumps{Clock: clock.System()}, Wait: time.Hour})
		return err
	})
}

func (w *world) options() Options {
	return Options{From: w.from, To: w.to, Clock: w.clock, DeleteAfter: time.Hour, Parallel: 2}
}

// replicate runs to the end.
func (w *world) replicate(change ...func(*Options)) Result {
	w.t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	w.clock.ahead += time.Second
	r, err := Run(context.Background(), o)
	if err != nil {
		w.t.Fatalf("replicate: %v", err)
	}
	return r
}

// restores restores every snapshot that a place shows, and returns how many. The place
// itself is left as it is.
func (w *world) restores(p *place) int {
	w.t.Helper()
	if _, ok := p.Objects()[configName]; !ok && len(p.Objects()[configCopy]) == 0 {
		return 0
	}
	n := 0
	w.within(&place{p.Clone(), p.name}, func(repo *repository.Repository) error {
		snaps, bad, err := repo.Snapshots(context.Background(), "")
		if len(bad) > 0 {
			w.t.Fatalf("%s has damaged snapshots: %v", p.name, bad)
		}
		for _, s := range snaps {
			n++
			to := filepath.Join(w.scratch, s.ID)
			if _, err := snapshot.Restore(context.Background(), repo, s, snapshot.RestoreOptions{Target: to}); err != nil {
				w.t.Fatalf("restore %s from %s: %v", s.ID, p.name, err)
			}
			got, want := w.files(to), w.want[s.ID]
			if len(got) != len(want) {
				w.t.Fatalf("snapshot %s of %s has %d files, want %d", s.ID, p.name, len(got), len(want))
			}
			for name, text := range want {
				if got[name] != text {
					w.t.Fatalf("snapshot %s of %s restored %s wrong", s.ID, p.name, name)
				}
			}
			w.must(os.RemoveAll(to))
		}
		return err
	})
	return n
}

// equal wants every object of the primary in the replica, bit for bit.
func (w *world) equal() {
	w.t.Helper()
	to := w.to.Objects()
	for name, data := range w.from.Objects() {
		if classOf(name) == classNone {
			continue
		}
		if string(to[name]) != string(data) {
			w.t.Errorf("%s of %d bytes is one of %d bytes in the replica", name, len(data), len(to[name]))
		}
	}
}

// has counts the objects below a prefix.
func (p *place) has(prefix string) (n int) {
	for name := range p.Objects() {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// some returns an object below a prefix.
func (p *place) some(t tester, prefix string) string {
	t.Helper()
	for name := range p.Objects() {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	t.Fatalf("%s has nothing below %s", p.name, prefix)
	return ""
}

// flip damages an object.
func (p *place) flip(name string) {
	data := append([]byte(nil), p.Objects()[name]...)
	data[len(data)/2] ^= 1
	p.Set(name, data)
}
