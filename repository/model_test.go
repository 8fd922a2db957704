package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// model is what must be true of a repository whatever happens to the programs
// that work on it: every snapshot that was confirmed and not deleted loads, and
// so does every other one that shows.
type model struct {
	be        storage.Backend // the disk
	broken    *faults.Backend // what running programs see of it
	ring      *keyring.Ring
	cache     string
	repos     []*Repository
	sessions  []*modelSession
	confirmed map[string]bool // snapshot ids
	jobs      int
}

type modelSession struct {
	s     *Session
	job   string
	seeds map[uint64]bool
}

const modelPack = 8 << 10

func blobOf(seed uint64) []byte { return content(seed, 200+int(seed*97%3000)) }

func (m *model) open(t *rapid.T, be storage.Backend) *Repository {
	r, err := Open(context.Background(), be, m.ring, OpenOptions{CacheDir: m.cache})
	if err != nil {
		t.Fatal(err)
	}
	m.repos = append(m.repos, r)
	return r
}

// restart is what is left after all programs died, as the next one finds it.
func (m *model) restart(t *rapid.T) {
	for _, s := range m.sessions {
		_, _ = s.s.Abort(context.Background()) // the storage is gone for it
	}
	m.sessions = nil
	for _, r := range m.repos {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m.repos = nil
	m.broken = faults.Wrap(m.be)
}

func (m *model) start(t *rapid.T) {
	s, err := m.open(t, m.broken).Session(context.Background(), SessionOptions{PackSize: modelPack})
	if err != nil {
		t.Fatal(err)
	}
	m.jobs++
	job := fmt.Sprint("job-", m.jobs)
	if m.jobs > 1 && rapid.Bool().Draw(t, "another attempt") {
		job = fmt.Sprint("job-", rapid.IntRange(1, m.jobs-1).Draw(t, "job"))
	}
	m.sessions = append(m.sessions, &modelSession{s: s, job: job, seeds: map[uint64]bool{}})
}

func (m *model) pick(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		m.start(t)
	}
	return m.sessions[rapid.IntRange(0, len(m.sessions)-1).Draw(t, "session")]
}

func (m *model) drop(x *modelSession) {
	for i, s := range m.sessions {
		if s == x {
			m.sessions = append(m.sessions[:i:i], m.sessions[i+1:]...)
			return
		}
	}
}

func (m *model) save(t *rapid.T) {
	x := m.pick(t)
	for _, seed := range rapid.SliceOfN(rapid.Uint64Range(0, 60), 1, 12).Draw(t, "blobs") {
		if _, _, err := x.s.Save(context.Background(), KindData, blobOf(seed)); err != nil {
			t.Fatal(err)
		}
		x.seeds[seed] = true
	}
}

// commit ends a session; with stop, the power goes at one of its changes.
func (m *model) commit(t *rapid.T, stop int) {
	x := m.pick(t)
	seeds := bytes.Buffer{}
	for seed := range uint64(61) {
		if x.seeds[seed] {
			fmt.Fprintf(&seeds, "%d ", seed)
		}
	}
	// The root lists the blobs, so that a snapshot tells what it must load.
	root, _, err := x.s.Save(context.Background(), KindTree, seeds.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if stop > 0 {
		m.broken.StopAt(stop)
	}
	snap, err := x.s.Commit(context.Background(), Snapshot{Source: "home", Time: testTime, Job: x.job, Root: root})
	switch {
	case err == nil:
		m.confirmed[snap.ID] = true
		m.drop(x)
	case errors.Is(err, ErrForgotten): // by another attempt, and then by somebody
		if _, err := x.s.Abort(context.Background()); err != nil && !errors.Is(err, faults.ErrStopped) {
			t.Fatal(err)
		}
		m.drop(x)
	case stop == 0 || !errors.Is(err, faults.ErrStopped):
		t.Fatal(err)
	}
}

func (m *model) crash(t *rapid.T) {
	loss := rapid.SampledFrom([]faults.Loss{faults.LoseAll, faults.LoseHalf, faults.LoseBytes, faults.LoseMixed, nil}).Draw(t, "loss")
	if loss != nil {
		if err := m.broken.PowerCut(context.Background(), loss); err != nil {
			t.Fatal(err)
		}
	} else {
		m.broken.StopAt(1)
	}
	m.restart(t)
	m.check(t)
}

// check is the promise.
func (m *model) check(t *rapid.T) {
	r := m.open(t, m.be)
	snaps, bad, err := r.Snapshots(context.Background(), "")
	if err != nil || len(bad) > 0 {
		t.Fatalf("snapshots: %v, damaged: %v", err, bad)
	}
	shown := map[string]bool{}
	jobs := map[string]bool{}
	for _, snap := range snaps {
		shown[snap.ID] = true
		if jobs[snap.Job] {
			t.Fatalf("two snapshots of %s", snap.Job)
		}
		jobs[snap.Job] = true
		list, err := r.Load(context.Background(), snap.Root, KindTree, nil)
		if err != nil {
			t.Fatal(err)
		}
		var seed uint64
		for in := bytes.NewReader(list); ; {
			if _, err := fmt.Fscan(in, &seed); err != nil {
				break
			}
			want := blobOf(seed)
			got, err := r.Load(context.Background(), r.ids.id(KindData, want), KindData, nil)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("snapshot of %s: blob %d: %v", snap.Job, seed, err)
			}
		}
	}
	for id := range m.confirmed {
		if !shown[id] {
			t.Fatalf("snapshot %s was confirmed and is gone", id)
		}
	}
}

// mended wants the next session to leave every snapshot stored twice.
func (m *model) mended(t *rapid.T) {
	m.restart(t)
	m.start(t)
	snaps, _, err := m.open(t, m.be).Snapshots(context.Background(), "")
	if err = errors.Join(err, storedTwice(m.be, len(snaps))); err != nil {
		t.Fatal(err)
	}
}

// TestModel runs random histories of sessions, commits, interruptions, power
// cuts and deletions, several sessions at a time.
func TestModel(t *testing.T) {
	dir := memoryDir(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{
			be: openDir(t, fmt.Sprintf("%s/%d", dir, runs)), ring: newRing(), cache: dir + "/cache",
			confirmed: map[string]bool{},
		}
		m.broken = faults.Wrap(m.be)
		r, err := Create(context.Background(), m.be, m.ring, CreateOptions{CacheDir: m.cache})
		if err != nil {
			rt.Fatal(err)
		}
		m.repos = append(m.repos, r)
		defer m.restart(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"start":  m.start,
			"save":   m.save,
			"commit": func(t *rapid.T) { m.commit(t, 0) },
			"commit and die": func(t *rapid.T) {
				m.commit(t, rapid.IntRange(1, 8).Draw(t, "change"))
				m.crash(t)
			},
			"interrupt": func(t *rapid.T) {
				x := m.pick(t)
				if _, err := x.s.Abort(context.Background()); err != nil {
					t.Fatal(err)
				}
				m.drop(x)
			},
			"crash": m.crash,
			"forget": func(t *rapid.T) {
				r := m.open(t, m.be)
				snaps, _, err := r.Snapshots(context.Background(), "")
				if err != nil || len(snaps) == 0 {
					t.Skip()
				}
				snap := rapid.SampledFrom(snaps).Draw(t, "snapshot")
				if err := r.DeleteSnapshot(context.Background(), snap); err != nil {
					t.Fatal(err)
				}
				delete(m.confirmed, snap.ID)
			},
			"forget and die": func(t *rapid.T) {
				snaps, _, err := m.open(t, m.be).Snapshots(context.Background(), "")
				if err != nil || len(snaps) == 0 {
					t.Skip()
				}
				snap := rapid.SampledFrom(snaps).Draw(t, "snapshot")
				forgetting := m.open(t, m.broken)
				m.broken.StopAt(rapid.IntRange(1, 3).Draw(t, "change"))
				if err := forgetting.DeleteSnapshot(context.Background(), snap); !errors.Is(err, faults.ErrStopped) {
					t.Fatal(err)
				}
				delete(m.confirmed, snap.ID)
				m.crash(t)
			},
		})
		m.check(rt)
		m.mended(rt)
	})
}
