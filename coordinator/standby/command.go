package standby

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

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
	// Stop, when set, is what ends a member that Fence does not stop.
	Stop Stop `json:"stop,omitzero"`
	// ProbeTimeout bounds one look; 0 is one second.
	ProbeTimeout time.Duration `json:"probe_timeout,omitempty"`
}

// What is done to a member, as errors say it.
const (
	healthVerb  = "look at"
	fenceVerb   = "fence"
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
	out, err := d.caller().run(ctx, healthVerb, d.o.Health, 0, nil)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return decodeHealth(out), nil
	case errors.As(err, &exit) && ctx.Err() == nil && len(bytes.TrimSpace(out)) == 0:
		return Health{Role: Unknown, Detail: errors.Unwrap(err).Error()}, nil
	}
	return Health{Role: Unknown}, err
}

func (d *Command) caller() caller { return caller{d.o.Service, d.o.Member} }

// Fence runs the fence command, and ends the member if that fails and there is a program for it:
// the error is [ErrUndelivered] then.
func (d *Command) Fence(ctx context.Context, epoch uint64) error {
	return d.o.Stop.after(ctx, d.caller(), epoch, func(ctx context.Context) error {
		_, err := d.caller().run(ctx, fenceVerb, d.o.Fence, epoch, nil)
		return err
	})
}

// Promote runs the promote command.
func (d *Command) Promote(ctx context.Context, epoch uint64) error {
	_, err := d.caller().run(ctx, promoteVerb, d.o.Promote, epoch, nil)
	return err
}

// Demote runs the demote command.
func (d *Command) Demote(ctx context.Context, epoch uint64) error {
	_, err := d.caller().run(ctx, "demote", d.o.Demote, epoch, nil)
	return err
}

// Rejoin runs the rejoin command.
func (d *Command) Rejoin(ctx context.Context, primary Peer, epoch uint64) error {
	if len(d.o.Rejoin) == 0 {
		return fault.New("rejoin the service", d.o.Service, errors.New("no command for rejoin is given"), "bring the member back by hand, or name a command")
	}
	_, err := d.caller().run(ctx, rejoinVerb, d.o.Rejoin, epoch, &primary)
	return err
}
