//go:build !windows

package failover

import (
	"os/exec"
	"syscall"
)

// apart keeps signals of a terminal from a process.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
