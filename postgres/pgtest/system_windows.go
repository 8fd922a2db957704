package pgtest

import (
	"os/exec"
	"testing"
)

func directory(t testing.TB) string {
	t.Helper()
	t.Fatal("PostgreSQL is controlled on Unix only")
	return ""
}

func detach(*exec.Cmd) {}
