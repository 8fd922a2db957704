package standby

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"mahavishnu/coordinator/program"
	"mahavishnu/fault"
)

// caller runs the programs by which a member is controlled.
type caller struct{ service, member string }

func (c caller) run(ctx context.Context, verb string, argv []string, epoch uint64, primary *Peer) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "MAHAVISHNU_SERVICE="+c.service, "MAHAVISHNU_MEMBER="+c.member,
		"MAHAVISHNU_EPOCH="+strconv.FormatUint(epoch, 10))
	if primary != nil {
		cmd.Env = append(cmd.Env, "MAHAVISHNU_PRIMARY_NAME="+primary.Name, "MAHAVISHNU_PRIMARY_ADDRESS="+primary.Address())
	}
	var out, complaints capped
	cmd.Stdout, cmd.Stderr = &out, &complaints
	// What it started may hold the pipes; nobody waits for that.
	cmd.WaitDelay = 100 * time.Millisecond
	program.Together(cmd)
	if verb == promoteVerb || verb == rejoinVerb {
		// One that outlives this process would make the member writable after the
		// watchdog has stopped it.
		leash(cmd)
		runtime.LockOSThread() // the leash is the thread's
		defer runtime.UnlockOSThread()
	}
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.data, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	var exit *exec.ExitError
	if verb != healthVerb && errors.As(err, &exit) && exit.ExitCode() == program.Stale {
		err = fmt.Errorf("%w: %w", ErrStale, err)
	}
	return out.data, fault.New(verb+" the service", c.service, fmt.Errorf("%s: %w%s", argv[0], err, says(complaints.data)), "")
}

// capped keeps the beginning of what a program prints.
type capped struct{ data []byte }

func (c *capped) Write(b []byte) (int, error) {
	c.data = append(c.data, b[:min(len(b), answerMax-len(c.data))]...)
	return len(b), nil
}
