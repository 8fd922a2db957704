// Package process runs a program to its end and tells what it took, as the
// operating system accounts for it: wall time, processor time of user and
// system, and the largest resident size.
//
// A process starts out with the peak of the one that started it, because the
// kernel counts the memory they share until the new program is loaded. So a
// large program that measures others would be measured with them. [Runner.Self]
// puts a small process between the two.
//
// Times are durations, memory is bytes.
package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// Command is a program to run.
type Command struct {
	// Args are the program and its arguments.
	Args []string `json:"args"`
	// Dir is the directory to run in; "" is the current one.
	Dir string `json:"dir,omitempty"`
	// Env is added to the environment, as NAME=VALUE.
	Env []string `json:"env,omitempty"`
	// Sync names a directory whose file system is written out to its disk: once
	// before the program starts, so that it does not pay for what others wrote,
	// and once after it ended, within the time it is said to have taken. "" does
	// neither.
	Sync string `json:"sync,omitempty"`
}

// String is the command as one would type it.
func (c Command) String() string { return strings.Join(c.Args, " ") }

// Usage is what a finished process took.
type Usage struct {
	Wall   time.Duration `json:"wall_ns"`
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
	// PeakMemory is the largest resident size in bytes; 0 where the system does
	// not tell.
	PeakMemory int64 `json:"peak_memory"`
}

// CPU is the processor time of both kinds.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Runner runs commands.
type Runner struct {
	// Self is a program that hands `measure FILE` to [Measure]: cmd/loadtest.
	// With "", this process starts the command itself.
	Self  string
	Clock clock.Clock
}

// stopTime is how long an interrupted program has to end by itself before it is
// killed. A process in between waits twice as long, so that it never ends first.
const stopTime = 15 * time.Second

// Run runs a command to its end and returns what it took and the end of what
// it printed. An exit code other than zero is an error that tells both.
func (r Runner) Run(ctx context.Context, c Command) (Usage, []byte, error) {
	if len(c.Args) == 0 {
		return Usage{}, nil, fault.New("run", "nothing", errors.New("no program is named"), "")
	}
	usage, out, err := r.run(ctx, c)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return usage, out, fault.New("run", c.String(), cause, "")
	}
	if err != nil {
		return usage, out, fault.New("run", c.String(), fmt.Errorf("%w\n%s", err, out), "")
	}
	return usage, out, nil
}

func (r Runner) run(ctx context.Context, c Command) (usage Usage, out []byte, err error) {
	if r.Self == "" {
		return start(ctx, clock.Or(r.Clock), c, stopTime)
	}
	file, err := os.CreateTemp("", "mahavishnu-measure-")
	if err != nil {
		return Usage{}, nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	err = json.NewEncoder(file).Encode(c)
	if err = errors.Join(err, file.Close()); err != nil {
		return Usage{}, nil, err
	}
	_, out, runErr := start(ctx, clock.Or(r.Clock), Command{Args: []string{r.Self, "measure", file.Name()}}, 2*stopTime)
	data, err := os.ReadFile(file.Name())
	if err != nil {
		return Usage{}, out, errors.Join(runErr, err)
	}
	if runErr != nil {
		return usage, out, runErr
	}
	return usage, out, json.Unmarshal(data, &usage)
}

// Measure runs the command that is described in a file and puts what it took
// into that file. What it prints goes to this process's outputs.
func Measure(ctx context.Context, c clock.Clock, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var cmd Command
	if err := json.Unmarshal(data, &cmd); err != nil {
		return fault.New("read", path, err, "")
	}
	usage, out, err := start(ctx, c, cmd, stopTime)
	_, writeErr := os.Stderr.Write(out)
	if err != nil {
		return err
	}
	data, err = json.Marshal(usage)
	return errors.Join(writeErr, err, os.WriteFile(path, data, 0o600))
}

func start(ctx context.Context, c clock.Clock, what Command, patience time.Duration) (Usage, []byte, error) {
	if what.Sync != "" {
		if err := syncFileSystem(what.Sync); err != nil {
			return Usage{}, nil, fault.New("write out the file system of", what.Sync, err, "")
		}
	}
	cmd := exec.CommandContext(ctx, what.Args[0], what.Args[1:]...)
	cmd.Dir = what.Dir
	cmd.Env = append(os.Environ(), what.Env...)
	cmd.Cancel = func() error { return stop(cmd.Process) }
	cmd.WaitDelay = patience
	out := &tail{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = out, out
	began := c.Now()
	err := cmd.Run()
	if err == nil && what.Sync != "" {
		err = syncFileSystem(what.Sync)
	}
	usage := Usage{Wall: c.Now().Sub(began)}
	if state := cmd.ProcessState; state != nil {
		usage.User, usage.System = state.UserTime(), state.SystemTime()
		usage.PeakMemory = peakMemory(state)
	}
	return usage, out.bytes(), err
}

// stop asks a process to end, as whoever presses control and C does.
func stop(p *os.Process) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return p.Kill() // no such signal on this system
	}
	return nil
}

// Find returns the path of a program, "" when there is none.
func Find(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return absolute
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	kept  bytes.Buffer
	cut   bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept.Write(p)
	if over := t.kept.Len() - t.limit; over > t.limit { // not at each write
		t.kept.Next(over)
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	if over := t.kept.Len() - t.limit; over > 0 {
		t.kept.Next(over)
		t.cut = true
	}
	if t.cut {
		return append([]byte("... "), t.kept.Bytes()...)
	}
	return t.kept.Bytes()
}
