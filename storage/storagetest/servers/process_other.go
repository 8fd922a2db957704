//go:build !linux

package servers

import (
	"os"
	"os/exec"
	"runtime"
)

func dieWithParent(*exec.Cmd) {}

func askToEnd(p *os.Process) {
	if runtime.GOOS == "windows" {
		_ = p.Kill() // there is nothing gentler
		return
	}
	_ = p.Signal(os.Interrupt)
}
