package histories

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
)

// idle picks a source that nobody reads, and changes it.
func (w *world) idle(t *rapid.T) *source {
	for i := range w.sources {
		s := &w.sources[(i+rapid.IntRange(0, len(w.sources)-1).Draw(t, "source"))%len(w.sources)]
		if s.busy != nil && !s.busy.running.Load() {
			s.busy = nil
		}
		if s.busy == nil {
			next := drawContent(t, s.content)
			if err := next.write(w.dir+"/"+s.name, s.content); err != nil {
				t.Fatal(err)
			}
			s.content = next
			return s
		}
	}
	t.Skip("every source is being read")
	return nil
}

// attempt begins to be known to the model.
func (w *world) attempt(c content) *attempt {
	x := &attempt{number: len(w.attempts) + 1, content: c}
	w.attempts[x.number] = x
	return x
}

// concluded tells the model how an attempt ended. snap is what it got.
func (w *world) concluded(x *attempt, snap repository.Snapshot, err error) {
	x.ended = true
	switch {
	case err == nil:
		won := w.attempts[snap.Attempt] // perhaps another attempt of the job
		won.id, won.committed = snap.ID, true
	case errors.Is(err, lease.ErrFenced):
		x.fenced = true
	}
}

// job draws the job of a backup: a new one, or one that was tried before.
func (w *world) job(t *rapid.T, s *source) string {
	if w.jobs > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		return fmt.Sprint(s.name, "-", rapid.IntRange(1, w.jobs).Draw(t, "job"))
	}
	w.jobs++
	return fmt.Sprint(s.name, "-", w.jobs)
}

// leaseTTL is the time to live of sessions here.
const leaseTTL = 2 * time.Minute

// backupRaw is a backup of many small packs: it stores what it has, always.
func (w *world) backupRaw(t *rapid.T) {
	w.now(t)
	s := w.idle(t)
	x, job := w.attempt(s.content), w.job(t, s)
	kind := rapid.SampledFrom([]string{"full", "full", "full", repository.TypeArchival}).Draw(t, "type")
	name, c, at, ring, held := s.name, s.content, w.jobTime(), w.ring, w.leaseOf(t)
	var snap repository.Snapshot
	s.busy = w.start("backup", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		held.Clock = a.clock
		session, err := r.Session(ctx, repository.SessionOptions{PackSize: 4 << 10, Type: kind, Budget: 3 * 4 << 10, Lease: held})
		if err != nil {
			return err
		}
		defer func() {
			_, abortErr := session.Abort(context.WithoutCancel(ctx))
			err = errors.Join(err, abortErr)
		}()
		root, err := c.store(ctx, session)
		if err != nil {
			return err
		}
		snap, err = session.Commit(ctx, repository.Snapshot{
			Source: name, Type: kind, Time: at, Start: a.clock.Now(), Root: root, Job: job, Attempt: x.number,
		})
		return err
	}, func(err error) { w.concluded(x, snap, err) })
}

// jobTime is the time of all jobs: what their snapshots are called then rests on
// the job alone.
func (w *world) jobTime() time.Time { return fileTime }

// backup is a backup of files as the program makes it: incremental, it trusts the
// newest snapshot of the source.
func (w *world) backup(t *rapid.T) {
	w.now(t)
	s := w.idle(t)
	x, job := w.attempt(s.content), w.job(t, s)
	kind := rapid.SampledFrom([]string{snapshot.Incremental, snapshot.Incremental, snapshot.Full}).Draw(t, "type")
	name, at, ring, held := s.name, w.jobTime(), w.ring, w.leaseOf(t)
	var res snapshot.Result
	s.busy = w.start("file backup", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		held.Clock = a.clock
		res, err = snapshot.Backup(ctx, r, snapshot.BackupOptions{
			Source: name, Path: w.dir + "/" + name, Type: kind, Job: job, JobTime: at, Attempt: x.number, Host: "host",
			Readers: 1, Clock: a.clock, Lease: held,
		})
		return err
	}, func(err error) { w.concluded(x, res.Snapshot, err) })
}

// openAs opens the repository as a program does, with a cache of its own host.
func (w *world) openAs(ctx context.Context, a *actor, ring *keyring.Ring) (*repository.Repository, error) {
	return repository.Open(ctx, a, ring, repository.OpenOptions{CacheDir: w.dir + "/cache"})
}

func closing(r *repository.Repository, err *error) { *err = errors.Join(*err, r.Close()) }

// forget begins to forget a snapshot.
func (w *world) forget(t *rapid.T) {
	w.now(t)
	r := w.open()
	snaps, _, err := r.Snapshots(context.Background(), "")
	w.close(r)
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	if len(snaps) == 0 {
		t.Skip("no snapshot")
	}
	snap := rapid.SampledFrom(snaps).Draw(t, "snapshot")
	x := w.attempts[snap.Attempt]
	x.forgotten = true
	final, ring := x.ended, w.ring
	w.start("forget", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		return r.DeleteSnapshot(ctx, snap)
	}, func(err error) {
		if err == nil && final {
			x.gone = true
		}
	})
}

// read restores a snapshot while others work: with an index that may be old.
func (w *world) read(t *rapid.T) {
	w.now(t)
	r := w.open()
	snaps, _, err := r.Snapshots(context.Background(), "")
	w.close(r)
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	if len(snaps) == 0 {
		t.Skip("no snapshot")
	}
	snap := rapid.SampledFrom(snaps).Draw(t, "snapshot")
	x, ring := w.attempts[snap.Attempt], w.ring
	w.start("restore", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		return x.content.restores(ctx, r, snap)
	}, func(err error) {
		if err != nil && !x.forgotten && !isInjected(err) && !errors.Is(err, keyring.ErrNoVersion) {
			w.fail("a restore of snapshot %s, which nobody forgot, failed: %v", snap.ID, err)
		}
	})
}
