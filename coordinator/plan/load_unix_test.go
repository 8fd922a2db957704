//go:build unix

package plan

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe among the plans is an error of that plan; nobody waits for what comes out of it.
func TestAPipeIsNoPlan(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err := LoadDir(dir, Standard())
	if err == nil || !strings.Contains(err.Error(), pipe+": it is no file") || !strings.Contains(err.Error(), "dangling.yaml: ") {
		t.Errorf("%v", err)
	}
}
