package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mahavishnu/fault"
	"mahavishnu/lab/disk"
	"mahavishnu/lab/process"
	"mahavishnu/postgres/sandbox"
)

// machine is a node of the system, with everything that runs on it.
type machine struct {
	region, node string
	// member is the name of the database beside it; "" on the one that only votes.
	member string
	addr   string     // by which others reach it
	local  string     // by which it reaches itself
	dir    string     // of what is the machine's
	disk   *disk.Disk // nil where disks cannot stall

	queue, program *running
}

// running is a process of a machine.
type running struct {
	*process.Process
	log string
}

// marker is the variable by which processes of a measurement are found when the one that
// started them is gone. Its value is the directory of the measurement.
const marker = "MAHAVISHNU_LOADTEST"

// launch starts a process on a machine. What it prints goes to the end of a file.
func (s *system) launch(m *machine, name string, args ...string) (*running, error) {
	r := &running{log: filepath.Join(s.dir, m.region+"-"+name+".log")}
	out, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it is killed, in the moment that is measured
	cmd.Env = append(os.Environ(), marker+"="+s.dir)
	cmd.Stdout, cmd.Stderr = out, out
	r.Process, err = process.Start(cmd, func(cmd *exec.Cmd) error { return s.network.Start(m.region, cmd) })
	if err != nil {
		return nil, fault.New("start on machine "+m.node, args[0], err, "")
	}
	return r, nil
}

// stop ends a process at once, and sees to it that no watchdog of it is left.
func (r *running) stop() {
	if r != nil {
		r.End()
	}
}

// tail is the end of what a process printed.
func (r *running) tail() string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// dataDir is that of the machine's database.
func (m *machine) dataDir() string { return filepath.Join(m.top(), "pg") }

// stateDir is that of the program on it.
func (m *machine) stateDir() string { return filepath.Join(m.top(), "state") }

// queueAddr is where its NATS server has its clients, which are on the same machine: who
// cannot reach that one is on a machine that is lost.
func (m *machine) queueAddr() string { return net.JoinHostPort(m.local, queuePort) }

// top is where the disk is, or would be.
func (m *machine) top() string { return filepath.Join(m.dir, "disk") }

// pids are all processes of the machine, those that started others first.
func (m *machine) pids() ([]int, error) {
	var all []int
	for _, r := range []*running{m.program, m.queue} {
		if r == nil {
			continue
		}
		all = append(all, r.Pid())
		children, err := descendants(r.Pid())
		if err != nil {
			return nil, err
		}
		all = append(all, children...)
	}
	if first := sandbox.Postmaster(m.dataDir()); first != 0 {
		all = append(all, first)
	}
	more, err := sandbox.Processes(m.dataDir())
	return append(all, more...), err
}

// descendants are the processes that a process started, and those that these did: the
// watchdog of a keeper, for one.
func descendants(pid int) ([]int, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, n := range names {
		child, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", n.Name(), "stat"))
		if err != nil {
			continue // it ended
		}
		// The program's name is in brackets and may hold anything.
		_, rest, ok := strings.Cut(string(stat[max(0, strings.LastIndexByte(string(stat), ')')):]), " ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); ok && err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for next := children[pid]; len(next) > 0; next = next[1:] {
		all = append(all, next[0])
		next = append(next, children[next[0]]...)
	}
	return all, nil
}

// hurt makes a fault happen to the machine.
func (s *system) hurt(m *machine, f Fault) error {
	switch f {
	case Killed:
		return sandbox.KillAll(m.dataDir())
	case MachineKilled:
		pids, err := m.pids()
		for _, pid := range pids {
			sandbox.End(pid)
		}
		return err
	case Frozen:
		pids, err := m.pids()
		for _, pid := range pids {
			sandbox.Freeze(pid)
		}
		return err
	case Isolated:
		s.network.Isolate(m.region)
		return nil
	case DiskStalled:
		return m.disk.Stall()
	}
	return fmt.Errorf("%s is no fault", f)
}

// heal ends a fault: the machine is as it was, but for what its programs made of it.
func (s *system) heal(ctx context.Context, m *machine, f Fault) error {
	switch f {
	case MachineKilled:
		m.queue.stop()
		m.program.stop()
		if err := s.startQueue(ctx, m); err != nil {
			return err
		}
		return s.startProgram(m)
	case Frozen:
		// Those that were frozen last wake up first: what the keeper finds is a database
		// that goes on as if nothing had been.
		pids, err := m.pids()
		for i := range pids {
			sandbox.Thaw(pids[len(pids)-1-i])
		}
		return err
	case Isolated:
		s.network.Heal()
	case DiskStalled:
		return m.disk.Thaw()
	case Killed:
	}
	return nil
}

// startQueue starts the machine's NATS server, and returns when it listens.
func (s *system) startQueue(ctx context.Context, m *machine) (err error) {
	if m.queue, err = s.launch(m, "queue", s.o.Self, QueueCommand, s.queueFile(m)); err != nil {
		return err
	}
	return s.until(ctx, "the NATS server of "+m.node+" listens", patience, func() (bool, error) {
		select {
		case <-m.queue.Exited():
			return false, errors.New("it ended: " + m.queue.tail())
		default:
		}
		dialling, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c, err := s.network.Dial(dialling, m.region, "tcp", m.queueAddr())
		if err != nil {
			return false, nil // not yet
		}
		return true, c.Close()
	})
}

// startProgram starts what is measured.
func (s *system) startProgram(m *machine) (err error) {
	m.program, err = s.launch(m, "mahavishnu", s.o.Program, "coordinator", "--config", s.configFile(m))
	return err
}

// restart asks what is measured to end, and starts it again.
func (s *system) restart(m *machine) error {
	if err := m.program.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-m.program.Exited()
	return s.startProgram(m)
}

// end stops everything on the machine for good, whatever state it is in.
func (m *machine) end() error {
	var errs []error
	if m.disk != nil {
		errs = append(errs, m.disk.Thaw())
	}
	// The children of a killed program would do what it told them for such a case.
	pids, err := m.pids()
	errs = append(errs, err)
	for _, pid := range pids {
		sandbox.End(pid)
	}
	m.program.stop()
	m.queue.stop()
	errs = append(errs, sandbox.KillAll(m.dataDir()))
	if m.disk != nil {
		errs = append(errs, m.disk.Close())
	}
	return errors.Join(errs...)
}
