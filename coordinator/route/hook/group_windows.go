package hook

import "os/exec"

// asGroup does nothing: the command alone is ended here.
func asGroup(*exec.Cmd) {}
