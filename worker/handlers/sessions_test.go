package handlers

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// keeper keeps leases as the queue does, and counts them.
type keeper struct {
	mu   sync.Mutex
	held map[string]bool // by session; false once it is released
}

func (k *keeper) Hold(_ context.Context, session string, _ time.Duration) (func(context.Context) error, error) {
	k.set(session, true)
	return func(context.Context) error { k.set(session, false); return nil }, nil
}

func (k *keeper) set(session string, held bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[session] = held
}

func (k *keeper) Alive(_ context.Context, session string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[session], nil
}

// count returns how many leases there were, and how many are held still.
func (k *keeper) count() (all, held int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, still := range k.held {
		if still {
			held++
		}
	}
	return len(k.held), held
}

// Every job that reads or writes the repository has its session kept by the queue.
func TestJobsKeepTheirSessionsInTheQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	snapshot := r.backup().Snapshot
	before, _ := r.sessions.count()
	if before == 0 {
		t.Error("the backup had no lease")
	}
	for _, spec := range []messages.Spec{
		&messages.VerifySpec{ReadData: 100},
		&messages.VerifySpec{ReadData: 100, Repair: true},
		&messages.RestoreSpec{Snapshot: snapshot, Target: "here"},
		&messages.RestoreTestSpec{Source: "home"},
		&messages.PruneSpec{},
	} {
		if rec := r.do(spec); rec.State != messages.StateSucceeded {
			t.Fatalf("%s: %s (%s)", spec.Kind(), rec.State, rec.Error)
		}
		all, held := r.sessions.count()
		if all == before || held != 0 {
			t.Errorf("%s: %d leases more, %d are held still", spec.Kind(), all-before, held)
		}
		before = all
	}
	entries, err := filepath.Glob(filepath.Join(r.store, filepath.FromSlash(lease.Prefix), "*.beat"))
	if err != nil || len(entries) > 0 {
		t.Errorf("beats beside the queue: %v, %v", entries, err)
	}
}

// on wraps the storage with a script, the same for every opening.
func (r *rig) on(script func(be storage.Backend, f *faults.Backend)) {
	var once sync.Once
	r.wrap = func(be storage.Backend) storage.Backend {
		f := faults.Wrap(be)
		once.Do(func() { script(be, f) })
		return f
	}
}

// A backup whose snapshot another attempt had committed, and somebody has forgotten
// since, is not tried again.
func TestForgottenBackupIsFinal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.on(func(be storage.Backend, f *faults.Backend) {
		// The mark that keeps its name taken; one that cannot be read stays.
		f.On(faults.Get).Under("gc/forgotten/").Do(func(name string) {
			if err := be.Put(context.Background(), name, []byte("mark"), storage.PutOptions{}); err != nil {
				t.Error(err)
			}
		})
	})
	rec := r.do(&messages.BackupSpec{Source: "home"})
	if rec.State != messages.StateFailed || rec.Attempt != 1 || !strings.Contains(rec.Error, "forgotten") || !strings.Contains(rec.Error, "another attempt") {
		t.Errorf("the job is %s after %d attempts: %s", rec.State, rec.Attempt, rec.Error)
	}
	if n := len(r.snapshots()); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}

// A backup that was taken for dead is tried again, and reuses what it had stored.
func TestFencedBackupIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.on(func(be storage.Backend, f *faults.Backend) {
		f.On(faults.Put).Under(lease.Prefix).After(1).Do(func(ticket string) {
			session, ok := strings.CutSuffix(ticket, ".end")
			if !ok {
				t.Errorf("the session's second object is %s", ticket)
			}
			if err := os.Remove(filepath.Join(r.store, filepath.FromSlash(session))); err != nil {
				t.Error(err)
			}
		})
	})
	rec := r.do(&messages.BackupSpec{Source: "home"})
	var got BackupResult
	if err := json.Unmarshal(rec.Result, &got); err != nil || rec.State != messages.StateSucceeded || rec.Attempt != 2 {
		t.Fatalf("the job is %s after %d attempts: %s, %v", rec.State, rec.Attempt, rec.Error, err)
	}
	if got.StoredBytes != 0 || len(r.snapshots()) != 1 {
		t.Errorf("%d bytes were stored again, %d snapshots", got.StoredBytes, len(r.snapshots()))
	}
}
