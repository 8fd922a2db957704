//go:build linux

package faults

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"mahavishnu/lab/process"
	"mahavishnu/lab/wire"
)

// machine is one of a world's: a process of the program, the watchdog that it starts, and a
// member of the service with its agent.
type machine struct {
	w      *world
	name   string
	config string
	log    string
	// wire is the line to the server; over sight the other machines look at the member.
	wire, sight *wire.Wire
	agent       *agent

	mu sync.Mutex
	// started are its processes, one after the other.
	started []*process.Process
}

// start runs the program, unless it runs.
func (m *machine) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.started); n > 0 && !m.started[n-1].Gone() {
		return nil
	}
	log, err := os.OpenFile(m.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(mahavishnu, "coordinator", "--config", m.config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(m.config), log, log
	p, err := run(cmd)
	if err == nil {
		m.started = append(m.started, p)
	}
	return err
}

// end ends everything that was started, and says how many watchdogs found no member to stop.
func (m *machine) end() (lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.started {
		lost += p.End()
	}
	return lost
}

func (m *machine) running() *process.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started[len(m.started)-1]
}

// watchdog is the process that stops the member when the keeper does not; 0 while there
// is none.
func (m *machine) watchdog() int {
	for _, pid := range m.running().Watchdogs() {
		return pid
	}
	return 0
}

func (m *machine) killWatchdog() {
	if pid := m.watchdog(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

func (m *machine) signalMember(s syscall.Signal) {
	if p := m.agent.process(); p != nil {
		_ = p.Signal(s) // it may be gone
	}
}

// heal makes everything on the machine work again.
func (m *machine) heal() error {
	m.wire.Mend()
	m.sight.Mend()
	_ = m.running().Signal(syscall.SIGCONT) // it may be gone
	m.signalMember(syscall.SIGCONT)
	m.agent.mu.Lock()
	m.agent.slow = 0
	m.agent.mu.Unlock()
	if err := m.agent.boot(); err != nil {
		return err
	}
	return m.start()
}

const (
	// writeEvery is how often each member is written to.
	writeEvery = 15 * time.Millisecond
	// writeTime is how long a client waits for its answer.
	writeTime = 250 * time.Millisecond
)

// client writes to the member until ctx ends.
func (m *machine) client(ctx context.Context) {
	var conn net.Conn
	var to *service
	var in *bufio.Reader
	hangUp := func() {
		if conn != nil {
			conn.Close()
		}
		conn = nil
	}
	defer hangUp()
	for ctx.Err() == nil {
		time.Sleep(writeEvery)
		if conn == nil {
			if to = m.agent.process(); to == nil {
				continue
			}
			select {
			case <-to.ready:
			default:
				continue
			}
			var err error
			if conn, err = net.DialTimeout("tcp", to.addr, writeTime); err != nil {
				conn = nil
				continue
			}
			in = bufio.NewReader(conn)
		}
		id := m.w.nextWrite.Add(1)
		from := now()
		err := conn.SetDeadline(time.Now().Add(writeTime))
		if err == nil {
			_, err = fmt.Fprintln(conn, id)
		}
		var text string
		if err == nil {
			text, err = in.ReadString('\n')
		}
		to := now()
		if err != nil {
			hangUp() // whether it was accepted, the member's own log knows
			continue
		}
		var epoch uint64
		if parse(text, &epoch) && epoch > 0 {
			m.w.history.ack(id, m.agent.name, epoch, from, to)
		}
	}
}
