package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/compare"
	"mahavishnu/messages/natsserver"
)

// Options say what [Measure] does. Faults, Runs, Program, Self and Dir are required.
type Options struct {
	Faults []Fault
	// Ways are those by which clients find the primary.
	Ways []Way
	// Runs is how often each fault happens; they take turns.
	Runs int
	// Program is the binary under test. Self is a program that hands
	// `QueueCommand FILE` to [ServeQueue].
	Program, Self string
	// Loopback has the machines be addresses of the loopback interface though namespaces
	// were possible. None can be cut off then.
	Loopback bool
	// Dir holds everything. It is removed afterwards unless Keep is set.
	Dir  string
	Keep bool
	// Before is what an earlier measurement found, which this one goes on with.
	Before Report
	// Save gets the report after every run. It may be nil.
	Save func(Report) error
	// Progress hears what happens. It may be nil.
	Progress func(what string)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// stalls reports whether disks have to be able to stall.
func (o Options) stalls() bool { return slices.Contains(o.Faults, DiskStalled) }

// Report is what was measured.
type Report struct {
	When    time.Time       `json:"when"`
	Machine compare.Machine `json:"machine"`
	Network string          `json:"network"`
	// Settings are what differs from the defaults, and what clients do.
	Settings []string `json:"settings"`
	Runs     []Run    `json:"runs"`
	// Notes are what went wrong with the measurement itself.
	Notes []string `json:"notes,omitempty"`
}

// maxRepairs bounds how often a system that cannot be healed is made anew.
const maxRepairs = 10

// Measure lets faults happen and returns what followed. What was measured before an
// error is returned with it.
func Measure(ctx context.Context, o Options) (Report, error) {
	o.Clock = clock.Or(o.Clock)
	report := o.Before
	if runtime.GOOS != "linux" {
		return report, fault.New("measure failover on", runtime.GOOS, errors.ErrUnsupported, "run it on Linux")
	}
	if o.Runs < 1 || len(o.Faults) == 0 {
		return report, fault.New("measure failover", "", errors.New("nothing to do"), "ask for one run of one fault at least")
	}
	b := bench{o: o, report: &report}
	if len(report.Runs) == 0 {
		report.When = o.Clock.Now().UTC()
	}
	report.Machine, report.Settings = compare.Inspect(filepath.Dir(o.Dir)), settings(o)
	err := b.all(ctx)
	return report, err
}

// settings tell what was set, for whoever reads the figures.
func settings(o Options) []string {
	all := []string{
		"the defaults, but recovery: 1s, mode: synchronous, write_probe and discard on, and no limit to how often a service fails over",
		"three machines, each with a coordinator that votes and a NATS server that flushes every write; streams are led from where the primary is not",
		"PostgreSQL flushes every commit, on both sides",
		fmt.Sprintf("clients write a row every %v or so, one connection each; they give up connecting after %v and a write after %v, and look up the name anew each time, without a cache", clientPause, connectTimeout, writeTimeout),
	}
	for _, f := range o.Faults {
		all = append(all, string(f)+": "+f.about())
	}
	return all
}

// bench is a measurement under way.
type bench struct {
	o      Options
	report *Report
}

// all has every fault happen as often as it should, on systems that are made anew when
// one cannot be healed.
func (b *bench) all(ctx context.Context) error {
	for repairs := 0; ; repairs++ {
		left := b.left()
		if len(left) == 0 {
			return nil
		}
		err := b.some(ctx, left)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case repairs == maxRepairs || len(b.left()) == len(left):
			return err // it does not even start, or nothing comes of it
		}
		b.note("the system was made anew after run %d: %v", len(b.report.Runs), err)
	}
}

// leads tells whether the next fault of a kind is to take the leading coordinator with it:
// every second one of those that can.
func (b *bench) leads(f Fault) bool {
	had := 0
	for _, r := range b.report.Runs {
		if r.Fault == f {
			had++
		}
	}
	return f.takesLeader() && had%2 == 1
}

// left are the faults that have yet to happen, in turns.
func (b *bench) left() []Fault {
	had := map[Fault]int{}
	for _, r := range b.report.Runs {
		had[r.Fault]++
	}
	var all []Fault
	for turn := range b.o.Runs {
		for _, f := range b.o.Faults {
			if had[f] <= turn {
				all = append(all, f)
			}
		}
	}
	return all
}

func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
	b.say(b.report.Notes[len(b.report.Notes)-1])
}

func (b *bench) say(what string) {
	if b.o.Progress != nil {
		b.o.Progress(what)
	}
}

// some makes a system and has faults happen to it.
func (b *bench) some(ctx context.Context, faults []Fault) (err error) {
	dir, err := workDir(b.o.Dir)
	if err != nil {
		return err
	}
	n, isolates, why := newNetwork(regions, b.o.Loopback)
	s := &system{o: b.o, clock: b.o.Clock, dir: dir, network: n}
	defer func() { err = errors.Join(err, s.close()) }()
	b.report.Network = n.About()
	if err := possible(faults, isolates, why); err != nil {
		return err
	}
	if why != nil && !b.o.Loopback {
		b.say("machines cannot be cut off here: " + why.Error())
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	c := s.startClients(ctx, b.o.Ways)
	defer c.end()
	for _, f := range faults {
		run, err := s.once(ctx, f, b.leads(f), c)
		if run.When.IsZero() || ctx.Err() != nil && err != nil {
			return errors.Join(err, context.Cause(ctx)) // it did not happen, or was cut off
		}
		run.Number = len(b.report.Runs) + 1
		if err != nil && run.Error == "" {
			run.Error = err.Error()
		}
		b.report.Runs = append(b.report.Runs, run)
		b.say(run.String())
		if b.o.Save != nil {
			err = errors.Join(err, b.o.Save(*b.report))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// workDir makes a new directory below one, which everybody may enter: databases run as
// a user of their own.
func workDir(below string) (string, error) {
	if err := os.MkdirAll(below, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(below, "system-")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil && os.Geteuid() == 0 {
		err = enterable(dir)
	}
	return dir, err
}

// enterable refuses a directory that only root reaches.
func enterable(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fault.New("work in", dir, errors.New("only root may enter "+at+", and databases run as a user of their own"), "name another directory with --dir, or let everybody enter this one")
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// Load reads a report.
func Load(path string) (Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Report{}, fault.New("read what was measured from", path, err, "")
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, fault.New("read what was measured from", path, err, "")
	}
	return r, nil
}

// QueueCommand is the name of the command that is given to Options.Self.
const QueueCommand = "queue"

// queue is what the file of a machine's NATS server says.
type queue struct {
	Name, StoreDir, Host string
	Cluster              natsserver.Cluster
}

// ServeQueue runs a NATS server as a file says, until ctx ends.
func ServeQueue(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var q queue
	if err := json.Unmarshal(data, &q); err != nil {
		return fault.New("read", file, err, "")
	}
	s, err := natsserver.Start(natsserver.Options{Name: q.Name, StoreDir: q.StoreDir, Host: q.Host, MaxStore: 1 << 30, Cluster: &q.Cluster})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return s.Shutdown()
}
