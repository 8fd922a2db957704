package snapshot

import (
	"testing"

	"mahavishnu/repository"
	"mahavishnu/snapshot/torturetest"
)

// restore brings a snapshot back, and expects nothing to be amiss.
func (s *store) restore(snap repository.Snapshot, o RestoreOptions) RestoreReport {
	s.Helper()
	report, err := Restore(s.Context(), s.repo, snap, o)
	for _, i := range report.Issues {
		s.Errorf("%s %q: %v", i.Kind, i.Path, i.Err)
	}
	s.must(err)
	return report
}

func TestTortureTreeComesBackTheSame(t *testing.T) { restoreTorture(t) }

func TestTortureTreeComesBackTheSameForAnOrdinaryUser(t *testing.T) {
	torturetest.AsUser(t, restoreTorture)
}

func restoreTorture(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	s := newStore(t)
	res := s.backup(src)
	report := s.restore(res.Snapshot, RestoreOptions{Target: dst, Verify: true})
	t.Logf("%+v", report)
	torturetest.Same(t, src, dst)
}
