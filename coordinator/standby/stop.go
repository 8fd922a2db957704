package standby

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// Stop is a program that ends a member's process, for one that does not stop by itself.
type Stop struct {
	// Program has its arguments. Exit code 0 means that the member takes no writes.
	Program []string `json:"program,omitempty"`
	// After is how long the member has to carry out a fence itself; 0 is half of the time there is.
	After time.Duration `json:"after,omitempty"`
}

// stopVerb is what errors call it.
const stopVerb = "stop"

// after stops a member by fence, or, when that does not succeed in time, by the program.
func (s Stop) after(ctx context.Context, c caller, epoch uint64, fence func(context.Context) error) error {
	if len(s.Program) == 0 {
		return fence(ctx)
	}
	patience := s.After
	if deadline, ok := ctx.Deadline(); ok && patience <= 0 {
		patience = deadline.Sub(clock.System().Now()) / 2
	}
	if patience <= 0 {
		patience = defaultProbe
	}
	own, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %v", patience.Round(time.Millisecond)))
	err := fence(own)
	cancel()
	if err == nil || errors.Is(err, ErrStale) || errors.Is(err, ErrUndelivered) {
		return err
	}
	if _, serr := c.run(ctx, stopVerb, s.Program, epoch, nil); serr != nil {
		return errors.Join(err, serr)
	}
	return fault.New(fenceVerb+" the service", c.service, fmt.Errorf("%s ended it, because it could not be fenced (%w): %w", s.Program[0], err, ErrUndelivered), "")
}

// Check tells whether the service could be ordered to stop, and ended.
func (d *HTTP) Check() (unstoppable, lacking error) {
	if d.o.TokenFile != "" {
		if _, err := os.ReadFile(d.o.TokenFile); err != nil {
			unstoppable = fault.New("read the token of", d.o.Service, err, "give the file, or take token_file out of the configuration")
		}
	}
	return errors.Join(unstoppable, runnable(d.o.Service, stopVerb, d.o.Stop.Program)), nil
}

// Check tells which programs are not there.
func (d *Command) Check() (unstoppable, lacking error) {
	unstoppable = errors.Join(runnable(d.o.Service, fenceVerb, d.o.Fence), runnable(d.o.Service, stopVerb, d.o.Stop.Program))
	lacking = errors.Join(runnable(d.o.Service, "health", d.o.Health), runnable(d.o.Service, promoteVerb, d.o.Promote),
		runnable(d.o.Service, "demote", d.o.Demote), runnable(d.o.Service, rejoinVerb, d.o.Rejoin))
	return unstoppable, lacking
}

// runnable returns an error when a program of a service is not there, or is none.
func runnable(service, verb string, argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return fault.New("find the program "+verb+" of", service, err, "install it, or correct its path in the configuration")
	}
	return nil
}
