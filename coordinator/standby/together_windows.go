package standby

import "os/exec"

// together has nothing to do: the program itself is ended when its time is up.
func together(*exec.Cmd) {}
