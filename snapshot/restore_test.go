package snapshot

import "mahavishnu/repository"

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
