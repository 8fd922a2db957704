package snapshot

import "testing"

func TestVerifyFindsAGoodRepositoryGood(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, sample())
	s.backup(src)
	s.backup(src)
	report, err := Verify(t.Context(), s.repo, VerifyOptions{ReadData: 100})
	s.must(err)
	if report.Snapshots != 2 || report.PacksRead != report.Packs || report.Packs == 0 || report.ProblemsTotal != 0 {
		t.Errorf("%+v", report)
	}
}
