//go:build !windows

package pgtest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"mahavishnu/postgres/sandbox"
)

// directory makes a directory that the servers' owner may use.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg-") // t.TempDir is closed to others
	if err == nil {
		err = sandbox.Give(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
