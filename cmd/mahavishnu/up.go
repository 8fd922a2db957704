package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// roleOptions are the flags of the commands that stay.
type roleOptions struct {
	roles  app.Roles
	region string
	kinds  []string
	slots  int
	update bool
}

func newUpCommand(e *env) *cobra.Command {
	o := roleOptions{roles: app.Roles{Scheduler: true, Worker: true, Coordinator: true}}
	return longRunning(e, &o, &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process",
		Long: `Runs the queue (a NATS server, unless nats.url names another), the scheduler, a
worker and a coordinator in one process, until it is stopped. Backups then happen by themselves, as
the schedules of the configuration say.

Stopping it (Ctrl-C, SIGTERM) lets running jobs finish within node.grace; what
does not finish is handed back to the queue and resumed at the next start.
SIGHUP reloads the configuration; a bad one is refused and the old one stays.`,
		Example: `  mahavishnu up --config mahavishnu.yaml
  mahavishnu backup home                            in another terminal, through the queue
  nats pub -J dr.jobs.backup.local '{"source":"home"}'   the same, by hand`,
	})
}

func newSchedulerCommand(e *env) *cobra.Command {
	o := roleOptions{roles: app.Roles{Scheduler: true}}
	return longRunning(e, &o, &cobra.Command{
		Use:   "scheduler",
		Short: "Run the scheduler only",
		Long: `Decides when work is due and puts it into the queue; does none of it. Any number
may run: one leads, and the others take over when it dies.`,
		Example: "  mahavishnu scheduler --config /etc/mahavishnu/mahavishnu.yaml",
	})
}

func newWorkerCommand(e *env) *cobra.Command {
	o := roleOptions{roles: app.Roles{Worker: true}}
	cmd := longRunning(e, &o, &cobra.Command{
		Use:   "worker",
		Short: "Run a worker only",
		Long: `Takes jobs of its region from the queue at nats.url and does them. Run as many as
there are machines: a worker that dies loses nothing, another one finishes its
jobs.`,
		Example: `  mahavishnu worker --region eu-west-1
  mahavishnu worker --kinds backup,verify --slots 4`,
	})
	cmd.Flags().StringVar(&o.region, "region", "", "take jobs of this `REGION` (default: node.region)")
	cmd.Flags().StringSliceVar(&o.kinds, "kinds", nil, "take only these kinds of job (default: all)")
	cmd.Flags().IntVar(&o.slots, "slots", 0, "how many jobs run at once (default: node.slots)")
	return cmd
}

// longRunning finishes a command that runs a process until it is stopped.
func longRunning(e *env, o *roleOptions, cmd *cobra.Command) *cobra.Command {
	cmd.Args = takes(0, 0, "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return e.runRoles(cmd.Context(), *o) }
	if o.roles.Scheduler {
		cmd.Flags().BoolVar(&o.update, "update-streams", false, "change existing streams and consumers to what the configuration says")
	}
	return exits(cmd)
}

// runRoles runs a process until ctx ends, which is its ordinary end.
func (e *env) runRoles(ctx context.Context, o roleOptions) error {
	path := e.configFile()
	cfg, err := config.Load(path, o.settings()...)
	if err != nil {
		return err
	}
	kinds, err := o.kindsTaken()
	if err != nil {
		return err
	}
	log, err := app.NewLogger(e.errs, cfg.Node)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fault.New("find this program", "", err, "")
	}
	a, err := app.New(app.Options{
		Watchdog: []string{self, "keeper-watchdog"},
		Config:   cfg, ConfigOptions: o.settings(), Roles: o.roles, Kinds: kinds, UpdateStreams: o.update,
		Version: version, Log: log, Clock: e.clock,
	})
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go func() {
		for range hangups {
			a.Reload()
		}
	}()
	defer close(hangups)
	err = a.Run(ctx)
	var interrupted *interruptedError
	if errors.As(err, &interrupted) {
		return nil // being stopped is how it ends
	}
	return err
}

// settings are the flags that stand above the configuration file.
func (o roleOptions) settings() []config.Option {
	var all []config.Option
	if o.region != "" {
		all = append(all, config.Set("node.region", o.region))
	}
	if o.slots != 0 {
		all = append(all, config.Set("node.slots", fmt.Sprint(o.slots)))
	}
	return all
}

func (o roleOptions) kindsTaken() ([]messages.Kind, error) {
	var kinds []messages.Kind
	for _, name := range o.kinds {
		kind := messages.Kind(strings.TrimSpace(name))
		if !slices.Contains(messages.Kinds(), kind) {
			return nil, usagef("mahavishnu worker", "%q is not a kind of job; the kinds are %v", name, messages.Kinds())
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}
