//go:build !windows

package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// directory makes a directory that the servers' owner may use.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid, ok := owner(t); ok {
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// owner returns the user postgres, or false when this process is an ordinary user.
func owner(t testing.TB) (uid, gid uint32, ok bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id), uint32(group), true
}

func become(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if uid, gid, ok := owner(t); ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
}

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// What is gone cannot be signalled, and that is fine.
func signal(pid int, s syscall.Signal) { _ = syscall.Kill(pid, s) }
func freeze(pid int)                   { signal(pid, syscall.SIGSTOP) }
func thaw(pid int)                     { signal(pid, syscall.SIGCONT) }
