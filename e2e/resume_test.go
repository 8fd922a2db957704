package e2e

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/snapshot/fsmeta"
)

// TestRestoreKilledHalfWay kills a restore with SIGKILL when half of the bytes are
// in the target, most of them in large files that are not finished, and runs it
// again. The second run may fetch what is missing and no more than 5 % of all
// bytes besides; the figure is printed.
func TestRestoreKilledHalfWay(t *testing.T) {
	spec := corpus.Spec{Kind: corpus.Incompressible, Files: 6, FileSize: 100 << 20, Seed: 9}
	source := tree(t, spec)
	s := newSystem(t, source, "")
	access := []string{"--json", "--repository", s.access.Location, "--key", s.access.KeyPath}
	s.must(append([]string{"backup", source, "--direct"}, access...)...)
	target := filepath.Join(s.dir, "target")
	restore := append([]string{"restore", "latest", "--target", target}, access...)
	first := s.start("restore", restore...)
	s.until("half of the restore", func() bool { return allocated(t, target) >= spec.Bytes()/2 })
	first.Kill()
	there := allocated(t, target)
	report := restored(t, s.must(restore...))
	if _, differ, err := corpus.Compare(t.Context(), source, target); err != nil || len(differ) > 0 {
		t.Errorf("%v differ, %v", differ, err)
	}
	missing := spec.Bytes() - there
	again := float64(report.Fetched-missing) / float64(spec.Bytes())
	t.Logf("killed with %d of %d bytes in place; the second run fetched %d: %.2f %% of all bytes were fetched again",
		there, spec.Bytes(), report.Fetched, 100*again)
	if again > 0.05 {
		t.Errorf("%.2f %% were fetched again", 100*again)
	}
	if there >= spec.Bytes()*9/10 || report.Files != int64(spec.Files) {
		t.Errorf("killed too late to tell anything: %d bytes were in place", there)
	}
	// Once more: nothing is missing, nothing is fetched but the tree.
	if again := restored(t, s.must(restore...)); again.Written != 0 || again.Fetched > 1<<20 {
		t.Errorf("a third run fetched %d and wrote %d bytes", again.Fetched, again.Written)
	}
}

// allocated is what files below a directory have of a disk: large files have
// their full size from the beginning, and holes where nothing is written yet.
func allocated(t *testing.T, dir string) (total int64) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // not there yet, or renamed meanwhile
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		n, err := fsmeta.Allocated(f)
		total += n
		return err
	})
	return total
}

// restoreReport is what the test needs of a restore's last event.
type restoreReport struct {
	Event   string `json:"event"`
	Files   int64  `json:"files"`
	Fetched int64  `json:"fetched_bytes"`
	Written int64  `json:"written_bytes"`
}

func restored(t *testing.T, out string) restoreReport {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var r restoreReport
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Event == "restore" {
			return r
		}
	}
	t.Fatalf("no report of a restore in %s", out)
	return restoreReport{}
}
