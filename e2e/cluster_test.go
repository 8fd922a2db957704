package e2e

import (
	"sync/atomic"
	"testing"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
	"mahavishnu/messages/natsserver/natstest"
)

// TestJobSurvivesTheDeathOfItsStreamsLeader kills, in the middle of a job, the
// server that leads the job stream of a three-node cluster.
func TestJobSurvivesTheDeathOfItsStreamsLeader(t *testing.T) {
	t.Parallel()
	source := tree(t, corpus.Spec{Kind: corpus.Mixed, Files: 60, FileSize: 12 << 20, Seed: 5})
	cluster := natstest.StartProcesses(t, 3)
	s := newSystem(t, source, cluster.URL())
	_, b := s.lead("scheduler")
	s.worker("w1")
	s.worker("w2")

	var read atomic.Int64
	go b.WatchProgress(t.Context(), "*", func(p messages.ProgressReport) { //nolint:errcheck // ends with the test
		read.Store(p.Bytes)
	})
	id := s.submit(b)
	s.until("the middle of the job", func() bool { return read.Load() > 32<<20 })
	leader := cluster.StreamLeader(messages.StreamJobs)
	cluster.Kill(leader)

	entry := s.succeeded(b, id)
	s.restores(s.snapshotOf(id).ID)
	s.storedOnce(nil)
	t.Logf("killed %s after %d bytes were read; attempt %d by %s finished the job", leader, read.Load(), entry.Attempt, entry.Worker)

	// The cluster goes on with two of three.
	s.succeeded(b, s.submit(b))
}
