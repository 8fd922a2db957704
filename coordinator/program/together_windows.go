package program

import "os/exec"

// Together does nothing: the command alone is ended here.
func Together(*exec.Cmd) {}
