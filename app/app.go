package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/app/failover"
	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
	"mahavishnu/metrics"
	"mahavishnu/scheduler"
	"mahavishnu/worker"
)

// Roles are what a process does.
type Roles struct {
	// Scheduler decides when work is due, and while it leads keeps records and
	// messages in agreement.
	Scheduler bool
	// Worker does the jobs.
	Worker bool
	// Coordinator watches nodes and services, and votes on who is alive.
	Coordinator bool
}

// names of the roles that are on, as heartbeats carry them.
func (r Roles) names() []string {
	var names []string
	if r.Scheduler {
		names = append(names, "scheduler")
	}
	if r.Worker {
		names = append(names, "worker")
	}
	if r.Coordinator {
		names = append(names, "coordinator")
	}
	return names
}

// Options say what a process is.
type Options struct {
	// Config is the configuration, as loaded.
	Config *config.Config
	// ConfigOptions are those it was loaded with; reloads use them again.
	ConfigOptions []config.Option
	// Roles the process takes.
	Roles Roles
	// Kinds of job a worker takes; nil is every kind it can do.
	Kinds []messages.Kind
	// UpdateStreams changes streams and consumers that are there already to what
	// the configuration says; otherwise a difference is an error.
	UpdateStreams bool
	// Watchdog is the command, with its arguments, that stops a member of a service
	// when this process is gone; nil runs none, which is for tests.
	Watchdog []string
	// Version of the program, shown to people.
	Version string
	// Log is where the process tells what it does. The zero value is silent.
	Log zerolog.Logger
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
}

// App is a process.
type App struct {
	Options

	mu  sync.Mutex
	cfg *config.Config // in force; replaced by a reload

	server  *natsserver.Server
	metrics *metrics.Metrics
	conn    *bus.Conn
	bus     *bus.Bus
	started time.Time
	// instance tells this process from another that has the same name.
	instance string
	// bound is closed when the process has its queue.
	bound chan struct{}
	// alone says that this is the part of a process that goes on while its region is
	// cut off, and island is that part's keeper in a process that has one.
	alone  bool
	island *island

	scheduler   *scheduler.Scheduler
	pool        *worker.Pool
	coordinator *coordinator.Coordinator
	keepers     *failover.Keepers
	httpAddr    net.Addr

	// running holds what has been started, oldest first, to be stopped in the
	// opposite order.
	running []part
	// failed receives the error of a role that ended by itself.
	failed chan error
}

// part is something that was started and must be stopped.
type part struct {
	name string
	stop func(context.Context) error
}

// New returns a process that does nothing until it is started.
func New(o Options) (*App, error) {
	if o.Config == nil {
		return nil, fault.New("start", "", errors.New("there is no configuration"), "")
	}
	if o.Config.NATS.URL == "" && !o.Roles.Scheduler {
		return nil, fault.New("start "+strings.Join(o.Roles.names(), " and "), o.Config.Node.Name, errors.New("it needs a queue, and nats.url is not set"),
			"set nats.url to where `mahavishnu up` or a NATS server listens, or run everything in one process with `mahavishnu up`")
	}
	o.Clock = clock.Or(o.Clock)
	return &App{Options: o, cfg: o.Config, failed: make(chan error, 1), bound: make(chan struct{}), instance: rand.Text()}, nil
}

// Bus is the process's queue; nil before Start.
func (a *App) Bus() *bus.Bus { return a.bus }

// QueueURL is where others reach the process's queue.
func (a *App) QueueURL() string {
	if a.server != nil {
		return a.server.ClientURL()
	}
	return a.Config.NATS.URL
}

// Start brings up the queue where it is embedded, connects, and starts the
// roles. After an error everything is stopped again.
func (a *App) Start(ctx context.Context) (err error) {
	a.started = a.Clock.Now()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, n := range a.cfg.Notices() {
		a.Log.Warn().Str("setting", n.Key).Msg(n.Message)
	}
	a.metrics = metrics.New(a.Version)
	r := a.cfg.DisasterRecovery
	a.metrics.SetTargets(time.Duration(r.RTOTargetMinutes)*time.Minute, time.Duration(r.RPOTargetMinutes)*time.Minute)
	for _, step := range []func(context.Context) error{
		a.startIsland, a.startQueue, a.startHTTP, a.startScheduler, a.startWorker, a.startCoordinator, a.startHeartbeat, a.mustBeAlone, a.startKeepers,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	a.Log.Info().Strs("roles", a.Roles.names()).Str("queue", a.QueueURL()).Str("repository", a.cfg.Place()).Msg("started")
	return nil
}

// startQueue opens the queue. In a region that goes on when it is cut off, one that
// does not answer is waited for: the process may have been started meanwhile.
func (a *App) startQueue(ctx context.Context) error {
	for {
		err := a.openQueue(ctx)
		if err == nil {
			close(a.bound)
			return nil
		}
		if a.island == nil || !bus.Unanswered(err) || ctx.Err() != nil {
			return err
		}
		a.Log.Warn().Err(err).Msg("the queue does not answer; waiting for it")
		if cause := a.Clock.Sleep(ctx, time.Second); cause != nil {
			return errors.Join(err, cause)
		}
	}
}

// openQueue runs the embedded server where no other is configured, connects,
// and makes sure that streams and consumers are there.
func (a *App) openQueue(ctx context.Context) (err error) {
	keep := len(a.running)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.stopTo(context.WithoutCancel(ctx), keep))
		}
	}()
	if a.cfg.NATS.URL == "" {
		server, err := startServer(a.cfg, a.Log)
		if err != nil {
			return err
		}
		a.server = server
		a.push("queue", func(context.Context) error { return server.Shutdown() })
		a.launch("queue guard", a.guardServer)
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	a.conn = conn
	a.push("connection", func(context.Context) error { return conn.Close() })
	if a.Roles.Scheduler {
		// One kind of process provisions; workers only bind, because a rejected
		// consumer create can cost an existing consumer its state.
		if err := Provision(ctx, conn, a.cfg, a.UpdateStreams); err != nil {
			return err
		}
	}
	a.bus, err = a.bind(ctx, conn)
	return err
}

// connect retries while the queue is not there yet: services of one machine
// start in any order.
func (a *App) connect(ctx context.Context) (*bus.Conn, error) {
	const tries = 30
	name := "mahavishnu " + a.cfg.Node.Name
	for n := 1; ; n++ {
		conn, err := Dial(ctx, a.cfg, name, a.notice)
		if err == nil || n == tries || a.server != nil {
			return conn, err
		}
		a.Log.Warn().Err(err).Msg("the queue cannot be reached; trying again")
		if cause := a.Clock.Sleep(ctx, time.Second); cause != nil {
			return nil, errors.Join(err, cause)
		}
	}
}

// bind waits for the streams, and for a worker's consumers: it may start before
// the scheduler has made them.
func (a *App) bind(ctx context.Context, conn *bus.Conn) (*bus.Bus, error) {
	const tries = 60
	for n := 1; ; n++ {
		b, err := bus.Bind(ctx, conn)
		if err == nil && a.Roles.Worker {
			err = a.served(ctx, b)
		}
		if !errors.Is(err, bus.ErrNotProvisioned) || n == tries {
			return b, err
		}
		a.Log.Info().Strs("regions", a.cfg.Regions).Msg("waiting for a scheduler with these regions to make their streams and consumers")
		if cause := a.Clock.Sleep(ctx, time.Second); cause != nil {
			return nil, errors.Join(err, cause)
		}
	}
}

// served fails while the consumers of the worker's region are not all there.
func (a *App) served(ctx context.Context, b *bus.Bus) error {
	p, err := b.Puller(ctx, bus.PullOptions{Kinds: a.Kinds, Region: a.cfg.Node.Region})
	if err != nil {
		return err
	}
	return p.Close()
}

// notice tells what happens to the connection.
func (a *App) notice(n bus.Notice) {
	level := zerolog.WarnLevel
	if n.Kind == bus.NoticeReconnected || n.Err == nil {
		level = zerolog.InfoLevel
	}
	a.Log.WithLevel(level).Err(n.Err).Str("server", n.Server).Msgf("queue connection: %s", n.Kind)
	a.reconnected(n)
}

// push notes something to be stopped.
func (a *App) push(name string, stop func(context.Context) error) {
	a.running = append(a.running, part{name, stop})
}

// launch runs a role until it is stopped. One that ends before is a failure of
// the process.
func (a *App) launch(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			err = fault.New("run", name, errors.Join(errors.New("it ended by itself"), err), "")
			select {
			case a.failed <- err:
			default: // another role was first
			}
		}
		done <- err
	}()
	a.push(name, func(context.Context) error {
		cancel(errStopping)
		if err := <-done; err != nil && !errors.Is(err, errStopping) && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// errStopping is the cause of the contexts of roles that are told to stop.
var errStopping = errors.New("the process is stopping")

// Stop stops what was started, newest first, and lets running jobs have their
// grace. Calling it again does nothing.
func (a *App) Stop(ctx context.Context) error { return a.stopTo(ctx, 0) }

// stopTo stops what was started, newest first, but for the oldest so many parts.
func (a *App) stopTo(ctx context.Context, keep int) error {
	var errs []error
	for _, p := range slices.Backward(a.running[min(keep, len(a.running)):]) {
		if err := p.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
	}
	a.running = a.running[:min(keep, len(a.running))]
	return errors.Join(errs...)
}

// Run starts the process and lives until ctx ends or a role fails.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	var err error
	select {
	case <-ctx.Done():
		a.Log.Info().Msg("stopping")
	case err = <-a.failed:
		a.Log.Error().Err(err).Msg("stopping")
	}
	return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
}
