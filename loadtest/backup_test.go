package loadtest

import (
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/lab/process"
	"mahavishnu/loadtest/corpus"
)

func program(t *testing.T) string {
	t.Helper()
	path, err := process.Build(t.Context(), ".", "mahavishnu/cmd/mahavishnu", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunMeasuresEveryStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	var said []string
	report, err := Run(t.Context(), Options{
		Program: program(t), Dir: dir, Restore: true,
		Tree:     corpus.Spec{Kind: corpus.Mixed, Files: 5, FileSize: 1 << 20},
		Progress: func(step string) { said = append(said, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Bytes != 5<<20 {
		t.Errorf("the tree has %d bytes, want %d", report.Bytes, 5<<20)
	}
	names := []string{"first backup", "nothing changed", "verify all data", "restore"}
	if len(report.Steps) != len(names) {
		t.Fatalf("%d steps, want %d", len(report.Steps), len(names))
	}
	for i, s := range report.Steps {
		if s.Name != names[i] || s.Wall <= 0 || s.CPU() <= 0 || s.Stored == 0 || s.Rate() <= 0 {
			t.Errorf("step %d was not measured: %+v", i, s)
		}
	}
	if len(said) != len(names)+2 {
		t.Errorf("told of %q", said)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestRunTellsWhatTheProgramSaid(t *testing.T) {
	_, err := Run(t.Context(), Options{
		Program: "/nonexistent/mahavishnu", Dir: filepath.Join(t.TempDir(), "work"),
		Tree: corpus.Spec{Kind: corpus.Small, Files: 1, FileSize: 10},
	})
	if err == nil {
		t.Fatal("a program that is not there was measured")
	}
}
