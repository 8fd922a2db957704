package servers

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent lets no server outlive a test that was killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

func askToEnd(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }
