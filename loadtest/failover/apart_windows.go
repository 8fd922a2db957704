package failover

import "os/exec"

func apart(*exec.Cmd) {}
