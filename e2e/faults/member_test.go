//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"mahavishnu/lab/process"
)

// memberEnv makes this test's program a member: a process that can be killed and stopped.
const memberEnv = "MAHAVISHNU_FAULTS_MEMBER"

// job is what a member's process is told.
type job struct {
	// Epoch is the tenure under which it takes writes; 0 is a standby.
	Epoch uint64
	// Log is where it writes down what it accepts.
	Log string
}

// accepted is a write in a member's own log.
type accepted struct {
	ID    uint64 `json:"id"`
	Epoch uint64 `json:"epoch"`
	// From and To are when it was accepted.
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// serveMember is the member's process. It prints where it listens; a line with a number
// is a write, any other line asks who it is. It ends when its standard input does, which
// is when the test is gone.
func serveMember(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	log, err := os.OpenFile(j.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				if id := uint64(0); j.Epoch > 0 && parse(lines.Text(), &id) {
					line, _ := json.Marshal(accepted{ID: id, Epoch: j.Epoch, From: now(), To: now()})
					if _, err := log.Write(append(line, '\n')); err != nil {
						return
					}
				}
				if _, err := fmt.Fprintln(c, j.Epoch); err != nil {
					return
				}
			}
		}()
	}
}

func parse(text string, n *uint64) bool {
	_, err := fmt.Sscanf(text, "%d", n)
	return err == nil
}

// run starts a process. Its standard input ends with this one.
func run(cmd *exec.Cmd) (*process.Process, error) {
	// What is meant for this test from a terminal is not meant for them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return process.Start(cmd, nil)
}

// service is a member's process as the agent on its machine started it.
type service struct {
	*process.Process
	epoch uint64
	ready chan struct{} // closed when addr is set
	addr  string
}

func startService(j job) (*service, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := run(cmd)
	if err != nil {
		return nil, err
	}
	s := &service{Process: p, epoch: j.Epoch, ready: make(chan struct{})}
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil {
			s.addr = strings.TrimSpace(line)
			close(s.ready)
		}
		<-s.Exited()
		in.Close()
	}()
	return s, nil
}

// serves waits until it does.
func (s *service) serves() error {
	select {
	case <-s.ready:
		return nil
	case <-s.Exited():
		return errors.New("it was killed before it served")
	}
}
