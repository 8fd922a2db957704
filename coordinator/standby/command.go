package standby

import (
	"bytes"
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

// CommandOptions are the programs that control a member, each with its arguments. All but
// Rejoin are required.
type CommandOptions struct {
	Service string   `json:"service"`
	Member  string   `json:"member"`
	Health  []string `json:"health"`
	Fence   []string `json:"fence"`
	Promote []string `json:"promote"`
	Demote  []string `json:"demote"`
	Rejoin  []string `json:"rejoin,omitempty"`
	// ProbeTimeout bounds one look; 0 is one second.
	ProbeTimeout time.Duration `json:"probe_timeout,omitempty"`
}

// What is done to a member, as errors say it.
const (
	promoteVerb = "promote"
	rejoinVerb  = "rejoin"
)

// Command is a member that programs control.
type Command struct{ o CommandOptions }

// NewCommand returns the driver of a member that programs control.
func NewCommand(o CommandOptions) (*Command, error) {
	for verb, argv := range map[string][]string{"health": o.Health, "fence": o.Fence, "promote": o.Promote, "demote": o.Demote} {
		if len(argv) == 0 || argv[0] == "" {
			return nil, fault.New("control the service", o.Service, fmt.Errorf("no command for %s is given", verb), "")
		}
	}
	if o.ProbeTimeout <= 0 {
		o.ProbeTimeout = defaultProbe
	}
	return &Command{o: o}, nil
}

// Health runs the health command. One that fails and prints nothing tells of a member that is down.
func (d *Command) Health(ctx context.Context) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.ProbeTimeout)
	defer cancel()
	out, err := d.run(ctx, "look at", d.o.Health, 0, nil)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return decodeHealth(out), nil
	case errors.As(err, &exit) && ctx.Err() == nil && len(bytes.TrimSpace(out)) == 0:
		return Health{Role: Unknown, Detail: err.Error()}, nil
	}
	return Health{Role: Unknown}, err
}

// Fence runs the fence command.
func (d *Command) Fence(ctx context.Context, epoch uint64) error {
	_, err := d.run(ctx, "fence", d.o.Fence, epoch, nil)
	return err
}

// Promote runs the promote command.
func (d *Command) Promote(ctx context.Context, epoch uint64) error {
	_, err := d.run(ctx, promoteVerb, d.o.Promote, epoch, nil)
	return err
}

// Demote runs the demote command.
func (d *Command) Demote(ctx context.Context, epoch uint64) error {
	_, err := d.run(ctx, "demote", d.o.Demote, epoch, nil)
	return err
}

// Rejoin runs the rejoin command.
func (d *Command) Rejoin(ctx context.Context, primary Peer, epoch uint64) error {
	if len(d.o.Rejoin) == 0 {
		return fault.New("rejoin the service", d.o.Service, errors.New("no command for rejoin is given"), "bring the member back by hand, or name a command")
	}
	_, err := d.run(ctx, rejoinVerb, d.o.Rejoin, epoch, &primary)
	return err
}

func (d *Command) run(ctx context.Context, verb string, argv []string, epoch uint64, primary *Peer) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "MAHAVISHNU_SERVICE="+d.o.Service, "MAHAVISHNU_MEMBER="+d.o.Member,
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
	if errors.As(err, &exit) && exit.ExitCode() == program.Stale {
		err = fmt.Errorf("%w: %w", ErrStale, err)
	}
	return out.data, fault.New(verb+" the service", d.o.Service, fmt.Errorf("%s: %w: %s", argv[0], err, quote(complaints.data)), "")
}

// capped keeps the beginning of what a program prints.
type capped struct{ data []byte }

func (c *capped) Write(b []byte) (int, error) {
	c.data = append(c.data, b[:min(len(b), answerMax-len(c.data))]...)
	return len(b), nil
}
