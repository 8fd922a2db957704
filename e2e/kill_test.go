package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages/bus"
)

// trials is how often a process is killed at a random moment.
const trials = 20

// mixed is big enough that a kill lands in the middle of things.
func mixed() corpus.Spec {
	return corpus.Spec{Kind: corpus.Mixed, Files: 15, FileSize: 12 << 20, Seed: 3}
}

// TestWorkerKilledAtAnyMoment kills a worker with SIGKILL while it makes a
// backup, twenty times at random moments. Another worker finishes the job: one
// snapshot, bit for bit, and what the dead attempt had stored is not stored
// again.
func TestWorkerKilledAtAnyMoment(t *testing.T) {
	source := tree(t, mixed())
	took := calibrate(t, source)
	t.Logf("a whole job takes %v", took.Round(time.Millisecond))
	t.Run("trials", func(t *testing.T) {
		for n := range trials {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				// From before the claim to after the commit.
				after := time.Duration(rand.Int64N(int64(took * 5 / 4)))
				killWorker(t, source, after)
			})
		}
	})
}

// calibrate measures a whole job, claim to commit, as it runs here and now, beside as many others as
// trials run at a time: their mean.
func calibrate(t *testing.T, source string) time.Duration {
	t.Helper()
	var sum atomic.Int64
	t.Run("calibrate", func(t *testing.T) {
		for n := range testsAtATime() {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				s := newSystem(t, source, "")
				_, b := s.lead("scheduler")
				s.worker("w")
				entry := s.succeeded(b, s.submit(b))
				sum.Add(int64(entry.Finished.Sub(entry.Created)))
			})
		}
	})
	return time.Duration(sum.Load()) / time.Duration(testsAtATime())
}

func killWorker(t *testing.T, source string, after time.Duration) {
	s := newSystem(t, source, "")
	_, b := s.lead("scheduler")
	first := s.worker("first")
	s.until("the first worker", func() bool {
		info, err := b.Info(t.Context())
		return err == nil && slices.ContainsFunc(info.Consumers, func(c bus.ConsumerInfo) bool { return c.Workers > 0 })
	})
	id := s.submit(b)
	time.Sleep(after)
	first.Kill()
	stored := s.packs()
	s.worker("second")
	entry := s.succeeded(b, id)
	snap := s.snapshotOf(id)
	s.restores(snap.ID)
	s.storedOnce(stored)
	t.Logf("killed after %v with %d packs stored; attempt %d by %s finished; %d bytes reused",
		after.Round(time.Millisecond), len(stored), entry.Attempt, entry.Worker, snap.Totals.ReusedBytes)
}
