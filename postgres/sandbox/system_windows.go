package sandbox

import (
	"os/exec"
	"syscall"

	"mahavishnu/fault"
	"mahavishnu/postgres"
)

// Owner is the user that servers run as.
type Owner struct {
	Name     string
	UID, GID int
}

// FindOwner finds nobody: PostgreSQL is controlled on Unix only.
func FindOwner() (Owner, bool, error) { return Owner{}, false, unsupported("find the owner of") }

// Give gives nothing.
func Give(string) error { return unsupported("give a directory to") }

func become(*exec.Cmd) error { return unsupported("run") }

func unsupported(op string) error { return fault.New(op, "PostgreSQL", postgres.ErrPlatform, "") }

func signal(int, syscall.Signal) {}

// Freeze does nothing.
func Freeze(int) {}

// Thaw does nothing.
func Thaw(int) {}

// End does nothing.
func End(int) {}
