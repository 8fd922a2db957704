package pgtest

import (
	"os/exec"
	"syscall"
	"testing"
)

func directory(t testing.TB) string {
	t.Helper()
	t.Fatal("PostgreSQL is controlled on Unix only")
	return ""
}

func become(testing.TB, *exec.Cmd) {}
func detach(*exec.Cmd)             {}
func signal(int, syscall.Signal)   {}
func freeze(int)                   {}
func thaw(int)                     {}
