//go:build unix

package process

import (
	"os"
	"runtime"
	"syscall"
)

// peakMemory reads the peak resident size, which Linux counts in KiB and
// macOS in bytes.
func peakMemory(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
