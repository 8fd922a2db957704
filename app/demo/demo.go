package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mahavishnu/app"
	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// Options say how the story is told.
type Options struct {
	// Source is the directory to protect; "" is Go's own source tree.
	Source string
	// Dir is where everything happens; "" is a temporary directory.
	Dir string
	// Keep leaves the directory for a look around.
	Keep bool
	// Worker returns the command that runs a worker process with a
	// configuration file; nil is this program's own `worker` command.
	Worker func(ctx context.Context, config string) (*exec.Cmd, error)
	// Terminal shows what happens.
	Terminal *terminal.Terminal
	Clock    clock.Clock
}

const (
	region = "demo"
	// away is the second region, which holds a copy of all.
	away   = "away"
	source = "home"
	// ackWait is how long a silent worker keeps its job. The default is 30 s;
	// the least allowed keeps the story short.
	ackWait = 3 * time.Second
	// patience is how long a single job may take before something is wrong,
	// give or take.
	patience = 5 * time.Minute
)

// demo is a story being told.
type demo struct {
	Options
	dir     string
	app     *app.App
	bus     *bus.Bus
	access  app.Access
	workers []*process
	report  Report
}

// Run tells the story and returns what it measured. It fails when anything in
// it does not come true.
func Run(ctx context.Context, o Options) (report Report, err error) {
	o.Clock = clock.Or(o.Clock)
	d := &demo{Options: o}
	start := o.Clock.Now()
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(ctx); err != nil {
		return d.report, err
	}
	for _, chapter := range []func(context.Context) error{
		d.firstBackup, d.incremental, d.killWorker, d.adHoc, d.verify, d.flipByte, d.restore,
		d.secondRegion, d.disaster,
	} {
		if err := chapter(ctx); err != nil {
			return d.report, err
		}
	}
	d.report.Seconds = o.Clock.Now().Sub(start).Seconds()
	d.print()
	return d.report, nil
}

func (d *demo) tree() string     { return filepath.Join(d.dir, "source") }
func (d *demo) restored() string { return filepath.Join(d.dir, "restored") }
func (d *demo) storage() string  { return filepath.Join(d.dir, "backups") }

// second is where the second region keeps everything, its copy of the first
// among it.
func (d *demo) second() string { return filepath.Join(d.dir, "away") }

func (d *demo) replica() string {
	return filepath.Join(d.second(), config.ReplicasFolder, region)
}

// prepare makes the sandbox: a copy of the source, a key, a configuration, a
// running system and two worker processes.
func (d *demo) prepare(ctx context.Context) error {
	from, err := d.sourceTree(ctx)
	if err != nil {
		return err
	}
	if err := d.makeDir(); err != nil {
		return err
	}
	d.say("A copy of %s, so that the demo may change it.", from)
	copied, err := copyTree(ctx, from, d.tree())
	if err != nil {
		return err
	}
	if copied.Files == 0 {
		return fault.New("copy", from, errors.New("it holds no files"), "name a directory with files in it with --source")
	}
	d.report.Source = from
	if copied.Skipped > 0 {
		d.say("  left out %s that a plain copy cannot make", terminal.Plural(copied.Skipped, "entry"))
	}
	if err := d.configure(); err != nil {
		return err
	}
	if err := d.startSystem(ctx); err != nil {
		return err
	}
	for range 2 {
		if err := d.startWorker(ctx, region); err != nil {
			return err
		}
	}
	d.say("  %s in %s files; queue %s; workers with pid %d and %d\n",
		terminal.Bytes(copied.Bytes), terminal.Count(copied.Files), d.app.QueueURL(), d.workers[0].pid(), d.workers[1].pid())
	return nil
}

// sourceTree returns the directory to protect, absolute.
func (d *demo) sourceTree(ctx context.Context) (string, error) {
	if d.Source != "" {
		info, err := os.Stat(d.Source)
		switch {
		case err != nil:
			return "", fault.New("read source", d.Source, err, "name a directory with --source")
		case !info.IsDir():
			return "", fault.New("read source", d.Source, errors.New("it is not a directory"), "name a directory with --source")
		}
		return filepath.Abs(d.Source)
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := string(out)
	if err == nil && len(root) > 1 {
		root = filepath.Join(root[:len(root)-1], "src")
		_, err = os.Stat(root)
	}
	if err != nil {
		return "", fault.New("find Go's source tree", "", err, "name any directory with --source, or DEMO_SOURCE=... make demo")
	}
	return root, nil
}

func (d *demo) makeDir() (err error) {
	if d.Dir == "" {
		d.dir, err = os.MkdirTemp("", "mahavishnu-demo-")
		return err
	}
	if d.dir, err = filepath.Abs(d.Dir); err != nil {
		return err
	}
	if entries, err := os.ReadDir(d.dir); err == nil && len(entries) > 0 {
		dir := d.dir
		d.dir = "" // it is not ours to remove
		return fault.New("use directory", dir, errors.New("it is not empty"), "name a new directory with --dir")
	}
	return os.MkdirAll(d.dir, 0o700)
}

// submit sends a job to a region and waits for its end.
func (d *demo) submit(ctx context.Context, region string, spec messages.Spec) (bus.Entry, error) {
	sent, err := d.bus.Submit(ctx, messages.NewJob(region, spec, d.Clock.Now()))
	if err != nil {
		return bus.Entry{}, err
	}
	return d.await(ctx, sent.ID)
}

// await waits for a job's end, and fails unless it succeeded.
func (d *demo) await(ctx context.Context, id string) (bus.Entry, error) {
	const look = 20 * time.Millisecond
	for waited := time.Duration(0); waited < patience; waited += look {
		entry, err := d.bus.Records().Get(ctx, id)
		switch {
		case err != nil:
			return entry, err
		case entry.State == messages.StateSucceeded:
			return entry, nil
		case entry.State.Final():
			return entry, fault.New("run job", id, fmt.Errorf("it ended %s: %s", entry.State, entry.Error), "")
		}
		if err := d.alive(); err != nil {
			return entry, err
		}
		if err := d.Clock.Sleep(ctx, look); err != nil {
			return entry, err
		}
	}
	return bus.Entry{}, fault.New("wait for job", id, fmt.Errorf("it did not come to its end within %v", patience), "")
}

func (d *demo) say(format string, args ...any) { d.Terminal.Sayf(format, args...) }

// close ends the processes and removes the sandbox.
func (d *demo) close() error {
	var errs []error
	for _, w := range d.workers {
		errs = append(errs, w.stop())
	}
	if d.app != nil {
		errs = append(errs, d.app.Stop(context.Background()))
	}
	if d.dir != "" && !d.Keep {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
