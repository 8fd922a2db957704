package standby

import (
	"os/exec"
	"syscall"
)

// leash makes a program end when the thread that starts it does, which is when this
// process is killed. What the program itself started goes on.
func leash(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }
