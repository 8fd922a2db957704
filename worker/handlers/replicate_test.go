package handlers

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// copies is the one pair of regions that a test has.
type copies struct {
	r       *rig
	dir     string
	target  func(storage.Backend) storage.Backend
	change  func(*Replica)
	held    int
	opened  int
	closed  int
	holdErr error
}

const away = "eu-west-1"

// Replica implements Replicas.
func (c *copies) Replica(ctx context.Context, from, to string) (*Replica, error) {
	if from != region || to != away {
		return nil, &messages.RefusedError{Reason: "no such pair: " + from + " to " + to, Field: "to"}
	}
	primary, err := storage.Open(ctx, "file://"+c.r.store)
	if err != nil {
		return nil, err
	}
	replica, err := storage.Open(ctx, "file://"+c.dir)
	if err != nil {
		return nil, errors.Join(err, primary.Close())
	}
	ends := &Replica{From: primary, To: replica, Close: func() error {
		c.closed++
		return errors.Join(primary.Close(), replica.Close())
	}}
	ends.Hold = func(context.Context) (func(context.Context) error, error) {
		c.held++
		return func(context.Context) error { c.held--; return nil }, c.holdErr
	}
	if c.target != nil {
		ends.To = c.target(ends.To)
	}
	if c.change != nil {
		c.change(ends)
	}
	c.opened++
	return ends, nil
}

func replicating(t *testing.T) (*rig, *copies) {
	t.Helper()
	c := &copies{dir: filepath.Join(t.TempDir(), "copy")}
	c.r = newRig(t, func(r *rig) { r.replicas = c })
	return c.r, c
}

func TestReplicateJob(t *testing.T) {
	t.Parallel()
	r, c := replicating(t)
	snap := r.backup()
	spec := &messages.ReplicateSpec{From: region, To: away}
	got := result[ReplicateResult](r, spec, messages.StateSucceeded)
	if !got.Finished || got.Snapshots != 1 || got.Copied == 0 || got.From != region || got.To != away {
		t.Errorf("the first copy: %+v", got)
	}
	if c.opened != c.closed || c.held != 0 {
		t.Errorf("opened %d, closed %d, %d still held", c.opened, c.closed, c.held)
	}
	if got := result[ReplicateResult](r, spec, messages.StateSucceeded); got.Copied != 0 || !got.Finished {
		t.Errorf("with nothing new: %+v", got)
	}
	store := r.store
	r.store = c.dir // restored from the copy alone
	r.change(func(repo *repository.Repository) error {
		s, err := repo.FindSnapshot(t.Context(), snap.Snapshot)
		if err != nil {
			return err
		}
		_, err = snapshot.Restore(t.Context(), repo, s, snapshot.RestoreOptions{Target: filepath.Join(t.TempDir(), "back")})
		return err
	})
	r.store = store
}

func TestReplicateJobInShards(t *testing.T) {
	t.Parallel()
	r, _ := replicating(t)
	for range 3 {
		r.write("a.txt", strings.Repeat("x", 1000)+time.Now().String())
		r.backup()
	}
	finished := false
	for shard := range 2 {
		got := result[ReplicateResult](r, &messages.ReplicateSpec{From: region, To: away, Shard: shard, Shards: 2}, messages.StateSucceeded)
		finished = got.Finished
	}
	if !finished {
		t.Error("the last shard did not finish")
	}
}

func TestReplicateJobThatCannotWork(t *testing.T) {
	t.Parallel()
	r, c := replicating(t)
	r.backup()
	if got := r.refused(&messages.ReplicateSpec{From: away, To: region}); !strings.Contains(got, "no such pair") {
		t.Errorf("a pair that is not configured: %q", got)
	}
	spec := &messages.ReplicateSpec{From: region, To: away}
	c.target = func(be storage.Backend) storage.Backend {
		f := faults.Wrap(be)
		f.On(faults.Put).Under("packs/").Times(-1).Fail(storage.ErrFull)
		return f
	}
	if rec := r.do(spec); rec.State != messages.StateDead || rec.Spent != 2 || !strings.Contains(rec.Error, storage.ErrFull.Error()) {
		t.Errorf("with a full target the job is %s after %d attempts: %s", rec.State, rec.Spent, rec.Error)
	}
	c.target = nil
	c.holdErr = errors.New("read-only")
	if got := result[ReplicateResult](r, spec, messages.StateSucceeded); !got.Finished || got.Unprotected != "read-only" {
		t.Errorf("afterwards: %+v", got)
	}
	be, err := storage.Open(t.Context(), "file://"+c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if _, _, err := replication.Promote(t.Context(), replication.PromoteOptions{Replica: be}); err != nil {
		t.Fatal(err)
	}
	if rec := r.do(spec); rec.State != messages.StateFailed || rec.Attempt != 1 || !strings.Contains(rec.Error, "promoted") {
		t.Errorf("over a promoted replica the job is %s after %d attempts: %s", rec.State, rec.Attempt, rec.Error)
	}
}

func TestReplicateJobDeletesNothingDuringAnAlarm(t *testing.T) {
	t.Parallel()
	r, c := replicating(t)
	r.backup()
	r.write("a.txt", strings.Repeat("another content ", 1000))
	second := r.backupAt(time.Now().Add(time.Minute), messages.BackupIncremental)
	spec := &messages.ReplicateSpec{From: region, To: away}
	result[ReplicateResult](r, spec, messages.StateSucceeded)
	r.change(func(repo *repository.Repository) error {
		s, err := repo.FindSnapshot(t.Context(), second)
		if err != nil {
			return err
		}
		return repo.DeleteSnapshot(t.Context(), s)
	})
	if got := result[ReplicateResult](r, spec, messages.StateSucceeded); got.Pending == 0 {
		t.Errorf("the snapshot is not missed: %+v", got)
	}
	r.clock.by = time.Hour
	c.change = func(ends *Replica) {
		ends.Frozen = func(context.Context) (string, error) { return "entropy of home", nil }
	}
	if got := result[ReplicateResult](r, spec, messages.StateSucceeded); got.Deleted != 0 || got.Kept != "entropy of home" {
		t.Errorf("during an alarm: %+v", got)
	}
	c.change = nil
	if got := result[ReplicateResult](r, spec, messages.StateSucceeded); got.Deleted != 1 {
		t.Errorf("after it: %+v", got)
	}
}
