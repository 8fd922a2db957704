//go:build !windows

package process

import "syscall"

// wake lets a process go on that was frozen.
func wake(pid int) { signal(pid, syscall.SIGCONT) }
