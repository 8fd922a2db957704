package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/program"
	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

const (
	defaultTimeout = 30 * time.Second
	// keepOutput is how much of what a command wrote is kept, in bytes: its end.
	keepOutput = 64 << 10
	// tellOutput is how much of that an error tells.
	tellOutput = 1 << 10
	// killedIn bounds the wait for the output of what outlives a killed command.
	killedIn = 2 * time.Second
)

// Options say what is run. Service, Command and State are required.
type Options struct {
	// Service names the service for the command.
	Service string
	// Command is the program and its arguments; no shell is between.
	Command []string
	// Current and Rehearse, when set, print what is there and try what can be tried
	// without changing anything.
	Current, Rehearse []string
	// State remembers the highest epoch on this machine.
	State *route.File
	// Timeout bounds one run; 0 is 30 seconds.
	Timeout time.Duration
	// Clock is nil outside tests.
	Clock clock.Clock
}

// Run is how a command ended.
type Run struct {
	// Args are what was run, for which epoch (0: Current and Rehearse).
	Args  []string
	Epoch uint64
	// Output is the end of what it wrote, to both its outputs.
	Output string
	// Took is how long it ran, Err why it failed.
	Took time.Duration
	Err  error
}

// Hook leads clients by commands. It is a route.Router.
type Hook struct {
	o     Options
	clock clock.Clock

	turn sync.Mutex // one command at a time
	mu   sync.Mutex
	last Run
}

// New returns a router by commands; it looks for the programs.
func New(o Options) (*Hook, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	err := func() error {
		switch {
		case len(o.Command) == 0:
			return errors.New("no command is set")
		case o.State == nil:
			return errors.New("no file is set that remembers the epoch")
		}
		var errs []error
		for _, args := range [][]string{o.Command, o.Current, o.Rehearse} {
			if len(args) > 0 {
				_, err := exec.LookPath(args[0])
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}()
	if err != nil {
		return nil, fault.New("route by a command for", o.Service, err, "see the service's route in the configuration")
	}
	return &Hook{o: o, clock: clock.Or(o.Clock)}, nil
}

// Last is the command that ran last, with what it wrote.
func (h *Hook) Last() Run {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Point implements route.Router.
func (h *Hook) Point(ctx context.Context, t route.Target, epoch uint64) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	if ctx.Err() != nil {
		return h.failed("point clients at", t.Member, context.Cause(ctx))
	}
	remembered, err := h.o.State.Load()
	if err != nil {
		return err
	}
	known := remembered.State
	if seen, err := h.current(ctx); err != nil {
		return err
	} else if seen.Epoch > known.Epoch {
		known = seen
	}
	if _, err := known.Admit(t, epoch); err != nil {
		return err
	}
	if remembered.Promised > epoch {
		return &route.StaleError{Held: route.State{Epoch: remembered.Promised, Target: route.Target{Member: "another member"}}, Epoch: epoch}
	}
	// The command is run also when this machine did so already: it is safe to
	// repeat, and others may have undone it.
	if err := h.o.State.Store(route.Remembered{Promised: epoch, State: remembered.State}); err != nil {
		return err
	}
	if err := h.run(ctx, h.o.Command, t, epoch); err != nil {
		return h.failed("point clients at", t.Member, err)
	}
	return h.o.State.Store(route.Remembered{Promised: epoch, State: route.State{Epoch: epoch, Target: t}})
}

// Current implements route.Router.
func (h *Hook) Current(ctx context.Context) (route.Target, uint64, error) {
	h.turn.Lock()
	defer h.turn.Unlock()
	if len(h.o.Current) > 0 {
		s, err := h.current(ctx)
		return s.Target, s.Epoch, err
	}
	r, err := h.o.State.Load()
	return r.Target, r.Epoch, err
}

// Check implements route.Router.
func (h *Hook) Check(ctx context.Context) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	r, err := h.o.State.Load()
	if err != nil {
		return err
	}
	if _, err := h.current(ctx); err != nil {
		return err
	}
	if len(h.o.Rehearse) == 0 {
		return nil
	}
	if err := h.run(ctx, h.o.Rehearse, r.Target, r.Epoch); err != nil {
		return h.failed("rehearse the command that leads clients of", h.o.Service, err)
	}
	return nil
}

// current asks the command that tells what is there; nothing when there is none.
func (h *Hook) current(ctx context.Context) (route.State, error) {
	if len(h.o.Current) == 0 {
		return route.State{}, nil
	}
	if err := h.run(ctx, h.o.Current, route.Target{}, 0); err != nil {
		return route.State{}, h.failed("see where clients are led by", h.o.Current[0], err)
	}
	words := strings.Fields(h.Last().Output)
	if len(words) == 0 {
		return route.State{}, nil
	}
	m, err := route.ParseMark(words)
	if err != nil {
		return route.State{}, h.failed("see where clients are led by", h.o.Current[0], err)
	}
	return route.State{Epoch: m.Epoch, Target: route.Target{Member: m.Member}}, nil
}

func (h *Hook) failed(op, object string, err error) error {
	return fault.New(op, object, err, "run the command by hand; docs/failover-routing.md tells with which variables")
}

// run runs a command and keeps what it wrote.
func (h *Hook) run(ctx context.Context, args []string, t route.Target, epoch uint64) error {
	limited, cancel := context.WithTimeoutCause(ctx, h.o.Timeout, fmt.Errorf("it did not end within %v and was killed", h.o.Timeout))
	defer cancel()
	var out tail
	cmd := exec.CommandContext(limited, args[0], args[1:]...)
	cmd.Env = append(clean(os.Environ()), h.variables(t, epoch)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, killedIn
	program.Together(cmd)
	began := h.clock.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case limited.Err() != nil:
		err = fmt.Errorf("%w: %w", route.ErrUnknown, context.Cause(limited))
	case errors.As(err, &exit) && exit.ExitCode() == program.Stale:
		err = fmt.Errorf("%s found a higher epoch than %d: %w", args[0], epoch, route.ErrStale)
	}
	r := Run{Args: args, Epoch: epoch, Output: out.String(), Took: h.clock.Now().Sub(began), Err: err}
	h.mu.Lock()
	h.last = r
	h.mu.Unlock()
	if said := strings.TrimSpace(r.Output); err != nil && said != "" {
		return fmt.Errorf("%w; it said: %s", err, said[max(0, len(said)-tellOutput):])
	}
	return err
}

func (h *Hook) variables(t route.Target, epoch uint64) []string {
	var addresses []string
	for _, a := range t.Addresses {
		addresses = append(addresses, a.String())
	}
	return []string{
		"MAHAVISHNU_ROUTE_SERVICE=" + h.o.Service,
		"MAHAVISHNU_ROUTE_MEMBER=" + t.Member,
		"MAHAVISHNU_ROUTE_EPOCH=" + strconv.FormatUint(epoch, 10),
		"MAHAVISHNU_ROUTE_ADDRESSES=" + strings.Join(addresses, ","),
		"MAHAVISHNU_ROUTE_HOST=" + t.Host,
		"MAHAVISHNU_ROUTE_PORT=" + strconv.Itoa(int(t.Port)),
	}
}

// clean leaves out this program's own variables: passwords and keys among them.
func clean(environment []string) []string {
	var kept []string
	for _, v := range environment {
		if !strings.HasPrefix(v, "MAHAVISHNU_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write implements io.Writer; exec calls it from one goroutine.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - keepOutput; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.kept), "�") }
