package process

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"mahavishnu/clock"
)

const (
	// marker is the variable by which what a process started is found.
	marker = "MAHAVISHNU_STARTED_BY"
	// pipeTime is how long after its end a process is waited for on behalf of those that hold
	// its output open, as its watchdog does.
	pipeTime = time.Second
	// patience is how long a watchdog may take to stop its member. Nothing is judged by it.
	patience = 15 * time.Second
)

// Process is a program that runs, or has run.
type Process struct {
	cmd    *exec.Cmd
	mark   string
	exited chan struct{}
}

// Start starts a command, by run where that is given: in a network of its own, say.
func Start(cmd *exec.Cmd, run func(*exec.Cmd) error) (*Process, error) {
	if run == nil {
		run = (*exec.Cmd).Start
	}
	p := &Process{cmd: cmd, mark: marker + "=" + rand.Text(), exited: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, p.mark)
	cmd.WaitDelay = pipeTime
	if err := run(cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended is looked at where it matters
		close(p.exited)
	}()
	return p, nil
}

// Pid is its number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when it has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Gone reports whether it has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ExitCode is what it ended with, once it has; -1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal. That it has ended already is no error.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends it with a signal that it cannot see. Its watchdogs notice.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// End kills the process and waits for the watchdogs that it left, now or before. It ends those
// that do not end by themselves in more than enough time, and says how many that were.
func (p *Process) End() (lost int) { return p.EndWithin(patience) }

// EndWithin is End for watchdogs that are known to be quicker, or to stay.
func (p *Process) EndWithin(patience time.Duration) (lost int) {
	p.Kill()
	left := p.Watchdogs()
	for _, pid := range left {
		wake(pid)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if p.wait(ctx, left) == nil {
		return 0
	}
	for _, pid := range left {
		if p.watches(pid) {
			lost++
			kill(pid)
		}
	}
	_ = p.wait(context.Background(), left) // it ends with them
	return lost
}

// wait waits until none of the watchdogs is left.
func (p *Process) wait(ctx context.Context, pids []int) error {
	for _, pid := range pids {
		for p.watches(pid) {
			if err := clock.System().Sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// Watchdogs are those that the process started and that have not ended.
func (p *Process) Watchdogs() []int {
	entries, _ := os.ReadDir("/proc") // there is none on other systems
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && p.watches(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// watches reports whether a process is a watchdog that this one started. Of one that has ended
// there is nothing to read.
func (p *Process) watches(pid int) bool {
	return isWatchdog(pid) && holds(pid, "environ", p.mark)
}

func isWatchdog(pid int) bool { return holds(pid, "cmdline", "keeper-watchdog") }

// holds tells whether one of the words that the system keeps of a process is the given one.
func holds(pid int, file, word string) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file) // it may have ended
	for w := range bytes.SplitSeq(text, []byte{0}) {
		if string(w) == word {
			return true
		}
	}
	return false
}

// Verify is for the end of a TestMain: tests that left watchdogs of a program behind have failed.
// It ends them, and returns the tests' exit code otherwise.
func Verify(program string, code int) int {
	left := Left(program)
	for _, pid := range left {
		kill(pid)
	}
	if len(left) == 0 {
		return code
	}
	fmt.Fprintf(os.Stderr, "watchdogs of %s are left behind: %v; end what was started with Process.End\n", program, left)
	return max(code, 1)
}

// Left are all watchdogs of a program, whoever started them: none, when tests are over, and none of
// a program without a name, which was never built.
func Left(program string) []int {
	if program == "" {
		return nil
	}
	entries, _ := os.ReadDir("/proc") // there is none on other systems
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && isWatchdog(pid) && holds(pid, "cmdline", program) {
			found = append(found, pid)
		}
	}
	return found
}

func kill(pid int) { signal(pid, syscall.SIGKILL) }

func signal(pid int, s syscall.Signal) {
	if found, err := os.FindProcess(pid); err == nil {
		_ = found.Signal(s) // it may have ended
	}
}
