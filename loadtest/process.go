package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// Usage is what a finished process took.
type Usage struct {
	Wall time.Duration `json:"wall_ns"`
	CPU  time.Duration `json:"cpu_ns"`
	// PeakMemory is bytes; 0 where the system does not tell.
	PeakMemory int64 `json:"peak_memory"`
}

// measure runs a command to its end and returns what it took and printed. An
// exit code other than zero is an error that ends with what it said.
func measure(ctx context.Context, c clock.Clock, name string, args ...string) (Usage, []byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := c.Now()
	err := cmd.Run()
	usage := Usage{Wall: c.Now().Sub(start)}
	if state := cmd.ProcessState; state != nil {
		usage.CPU = state.UserTime() + state.SystemTime()
		usage.PeakMemory = peakMemory(state)
	}
	if err != nil {
		return usage, nil, fault.New("run", strings.Join(cmd.Args, " "), fmt.Errorf("%w\n%s%s", err, out.Bytes(), errs.Bytes()), "")
	}
	return usage, out.Bytes(), nil
}
