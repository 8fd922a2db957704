//go:build !windows

package keeper

import (
	"os/exec"
	"syscall"
)

// apart lets a watchdog outlive what is done to its keeper's terminal and process group.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
