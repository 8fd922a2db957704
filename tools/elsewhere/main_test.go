package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What compiles here and not there is found, in a test as well; what nobody compiles there is not.
func TestWhatDoesNotCompileElsewhereIsFound(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module example\n\ngo 1.26\n",
		"a.go":              "package example\n\nimport \"os\"\n\nvar _ = os.Getpid()\n",
		"a_windows.go":      "package example\n\nvar _ int = \"one\"\n",
		"a_windows_test.go": "package example\n\nvar _ = missing\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if problems, err := check(dir, "darwin"); err != nil || len(problems) > 0 {
		t.Errorf("darwin: %v, %q", err, problems)
	}
	problems, err := check(dir, "windows")
	all := strings.Join(problems, "\n")
	if err != nil || len(problems) != 2 || !strings.Contains(all, "a_windows.go:3") || !strings.Contains(all, "missing") {
		t.Errorf("windows: %v, %q", err, problems)
	}
}
