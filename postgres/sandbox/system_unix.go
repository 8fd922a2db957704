//go:build !windows

package sandbox

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"mahavishnu/fault"
)

// Owner is the user that servers run as.
type Owner struct {
	Name     string
	UID, GID int
}

// FindOwner returns the user postgres, or false when this process is an ordinary user,
// as whom servers run then.
func FindOwner() (Owner, bool, error) {
	if os.Geteuid() != 0 {
		return Owner{}, false, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return Owner{}, false, fault.New("find user", "postgres", err, "install PostgreSQL: .ci/packages does")
	}
	uid, err := strconv.ParseInt(u.Uid, 10, 32)
	if err != nil {
		return Owner{}, false, err
	}
	gid, err := strconv.ParseInt(u.Gid, 10, 32)
	if err != nil {
		return Owner{}, false, err
	}
	return Owner{Name: u.Username, UID: int(uid), GID: int(gid)}, true, nil
}

// Give makes the servers' owner that of a file or directory.
func Give(path string) error {
	o, ok, err := FindOwner()
	if err != nil || !ok {
		return err
	}
	return os.Chown(path, o.UID, o.GID)
}

func become(cmd *exec.Cmd) error {
	o, ok, err := FindOwner()
	if err == nil && ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID)}}
	}
	return err
}

// What is gone cannot be signalled, and that is fine.
func signal(pid int, s syscall.Signal) { _ = syscall.Kill(pid, s) }

// Freeze stops a process, which stays where it is.
func Freeze(pid int) { signal(pid, syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func Thaw(pid int) { signal(pid, syscall.SIGCONT) }

// End ends a process with SIGKILL.
func End(pid int) { signal(pid, syscall.SIGKILL) }
