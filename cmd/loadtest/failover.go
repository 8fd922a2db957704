package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/loadtest/failover"
	"mahavishnu/loadtest/report"
)

// failoverOptions are the flags of `loadtest failover`.
type failoverOptions struct {
	places       tree
	faults, ways []string
	runs         int
	resume       bool
	loopback     bool
	shown
}

func newFailoverCommand(e *env) *cobra.Command {
	var o failoverOptions
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Lose the primary of a service again and again, and measure how long it is away",
		Long: `Starts a whole system on this machine: three machines in three regions, each with a
coordinator and a server of a NATS cluster, two of them with a PostgreSQL server each
(synchronous replication), the third with BIND and clients that write numbered rows, one
through the TCP front and one to where a name leads. Then the primary's machine is hurt,
the moments that follow are noted, the machine is healed and made the standby, every
acknowledged row is looked for, and the next fault comes from the other side.

Faults: killed (PostgreSQL), machine (everything on the primary's machine killed), frozen
(everything stopped, SIGSTOP), isolated (cut off, in silence), disk-stalled (the disk of
the data directory takes no more writes). isolated and disk-stalled take the rights of
root. PostgreSQL and BIND must be installed.

What was measured is written to the --json file after every run; with --resume, a
measurement that was cut off goes on.`,
		Example: `  loadtest failover --runs 100 --json failover.json --html failover.html
  loadtest failover --fault killed --by front`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFailover(cmd.Context(), e, o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.faults, "fault", names(failover.Faults()), "`FAULTS` that happen, in turns")
	flags.StringSliceVar(&o.ways, "by", names([]failover.Way{failover.ByFront, failover.ByDNS}), "`WAYS` by which clients find the primary")
	flags.IntVar(&o.runs, "runs", 1, "how often each fault happens")
	flags.BoolVar(&o.resume, "resume", false, "go on with the measurement in the --json file, if there is one")
	flags.BoolVar(&o.loopback, "loopback", false, "make machines addresses of the loopback interface, though network namespaces were possible; none can be isolated then")
	o.places.addPlaces(cmd)
	o.add(cmd)
	return cmd
}

// names are words as flags have them.
func names[S ~string](all []S) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return texts
}

func runFailover(ctx context.Context, e *env, o failoverOptions) error {
	faults, err := failover.ParseFaults(o.faults)
	if err != nil {
		return err
	}
	ways, err := failover.ParseWays(o.ways)
	if err != nil {
		return err
	}
	program, self, err := o.places.binaries()
	if err != nil {
		return err
	}
	var before failover.Report
	if o.resume {
		if before, err = failover.Load(o.json); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	dir, err := o.places.directory()
	if err == nil && o.places.dir == "" {
		err = os.Chmod(dir, 0o755) // databases run as a user of their own
	}
	if err != nil {
		return err
	}
	r, err := failover.Measure(ctx, failover.Options{
		Faults: faults, Ways: ways, Runs: o.runs, Loopback: o.loopback, Program: program, Self: self, Dir: dir, Keep: o.places.keep, Before: before,
		Save: func(r failover.Report) error {
			if o.json == "-" {
				return nil
			}
			return e.writeJSON(o.json, r)
		},
		Progress: func(what string) { e.say("%s", what) },
	})
	if !o.places.keep && o.places.dir == "" {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if len(r.Runs) == 0 {
		return err
	}
	return errors.Join(err, e.showDocument(o.shown, r, r.Document()))
}

// showDocument writes and prints a measurement as the flags say.
func (e *env) showDocument(s shown, measured any, d report.Document) error {
	if err := e.writeJSON(s.json, measured); err != nil || s.json == "-" {
		return err
	}
	if s.html != "" {
		page, err := d.HTML()
		if err == nil {
			err = os.WriteFile(s.html, page, 0o644)
		}
		if err != nil {
			return fault.New("write page", s.html, err, "")
		}
	}
	if s.markdown {
		e.term.Printf("%s", d.Markdown())
	} else {
		e.term.Printf("%s", d.Text())
	}
	return e.term.Err()
}

// newQueueCommand is a NATS server, as a process of its own.
func newQueueCommand() *cobra.Command {
	return &cobra.Command{
		Use:    failover.QueueCommand + " FILE",
		Short:  "Run the NATS server that a file describes",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return failover.ServeQueue(cmd.Context(), args[0]) },
	}
}
