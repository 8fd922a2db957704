package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mahavishnu/fault"
)

// process is a worker process.
type process struct {
	name   string
	cmd    *exec.Cmd
	out    bytes.Buffer
	exited chan struct{}
	err    error // of the process; valid once exited is closed
	killed bool
}

// startWorker runs one more worker process, in a region.
func (d *demo) startWorker(ctx context.Context, region string) error {
	name := fmt.Sprintf("worker-%d", len(d.workers)+1)
	path := filepath.Join(d.dir, name+".yml")
	if err := d.writeConfig(path, name, region, d.app.QueueURL()); err != nil {
		return err
	}
	command := d.Worker
	if command == nil {
		command = ownWorker
	}
	cmd, err := command(ctx, path)
	if err != nil {
		return err
	}
	p := &process{name: name, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if err := cmd.Start(); err != nil {
		return fault.New("start worker", name, err, "")
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	d.workers = append(d.workers, p)
	return nil
}

func ownWorker(_ context.Context, config string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Not bound to the context: an interrupted demo stops its workers in order.
	return exec.Command(self, "worker", "--config", config), nil //nolint:noctx // stopped by process.stop
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process the way a power cut does: it gets no chance to say
// anything.
func (p *process) kill() error {
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		return fault.New("kill worker", p.name, err, "")
	}
	<-p.exited
	return nil
}

// alive fails when a worker ended that nobody killed.
func (d *demo) alive() error {
	for _, w := range d.workers {
		if err := w.early(); err != nil {
			return err
		}
	}
	return nil
}

// early returns an error when the process has ended and was not killed.
func (p *process) early() error {
	select {
	case <-p.exited:
	default:
		return nil
	}
	if p.killed {
		return nil
	}
	return fault.New("run worker", p.name, fmt.Errorf("it ended early: %w\n%s", p.err, p.out.Bytes()), "")
}

// stop ends the process in order, unless it has ended.
func (p *process) stop() error {
	select {
	case <-p.exited:
		return nil // told by early, if it is worth telling
	default:
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return errors.Join(fault.New("stop worker", p.name, err, ""), p.kill())
	}
	<-p.exited
	return nil
}
