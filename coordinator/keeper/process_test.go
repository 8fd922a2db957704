//go:build !windows

package keeper_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// roleEnv makes this test's program a keeper or a watchdog, in a process of its own that can be
// killed and frozen.
const roleEnv = "MAHAVISHNU_KEEPERTEST"

func TestMain(m *testing.M) {
	if at := os.Getenv(memberEnv); at != "" {
		fmt.Fprintln(os.Stderr, "member:", serveMember(at))
		os.Exit(1)
	}
	switch role := os.Getenv(roleEnv); role {
	case "":
		goleak.VerifyTestMain(m)
	case "watchdog":
		if err := keeper.Watch(context.Background(), os.Stdin, os.Stderr, standby.Spec.Open, nil); err != nil {
			fmt.Fprintln(os.Stderr, "watchdog:", err)
			os.Exit(1)
		}
	default:
		if err := keep(role); err != nil {
			fmt.Fprintln(os.Stderr, "keeper:", err)
			os.Exit(1)
		}
	}
}

// job is what a keeper's process is to do.
type job struct {
	URL    string
	Member string
	State  string
	Mode   keeper.Mode
	Lease  time.Duration
	Spec   standby.Spec
}

// line goes to and comes from a keeper's process.
type line struct {
	ID      int             `json:"id"`
	Command *keeper.Command `json:"command,omitempty"` // none asks for the status
	Answer  keeper.Answer   `json:"answer"`
	Status  keeper.Status   `json:"status"`
	Error   string          `json:"error,omitempty"`
	Stale   bool            `json:"stale,omitempty"`
	Behind  bool            `json:"behind,omitempty"`
}

// keep is the keeper's process.
func keep(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Options{URL: j.URL, Name: j.Member, Patience: time.Second})
	if err != nil {
		return err
	}
	b, err := bus.Bind(ctx, conn)
	if err != nil {
		return err
	}
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		return err
	}
	driver, err := j.Spec.Open()
	if err != nil {
		return err
	}
	k, err := keeper.New(keeper.Options{
		Service: "db", Member: j.Member, Driver: driver, Leases: busLeases{b.Leases()}, Records: keeper.BusRecords(store),
		Timing: messages.TimingFor(j.Lease), StateFile: j.State, Mode: j.Mode, SyncPatience: time.Second, Retake: time.Minute,
		Watchdog: func() (keeper.Watchdog, error) {
			os.Setenv(roleEnv, "watchdog")
			defer os.Setenv(roleEnv, text)
			return keeper.StartWatchdog([]string{"/proc/self/exe"}, j.Spec, os.Stderr)
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	var writing sync.Mutex
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return err
		}
		go func() {
			if l.Command != nil {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				var err error
				if l.Answer, err = k.Do(ctx, *l.Command); err != nil {
					l.Error, l.Stale, l.Behind = err.Error(), errors.Is(err, keeper.ErrStale), errors.Is(err, keeper.ErrBehind)
				}
			}
			l.Status = k.Status()
			writing.Lock()
			defer writing.Unlock()
			out.Encode(l)
		}()
	}
	cancel()
	err = <-ended
	conn.Close()
	return err
}

// proc is a keeper's process.
type proc struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	gone  chan struct{}

	mu      sync.Mutex
	next    int
	waiting map[int]chan line
}

func startKeeper(t *testing.T, j job) *proc {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &proc{t: t, cmd: cmd, stdin: stdin, gone: make(chan struct{}), waiting: map[int]chan line{}}
	go func() {
		defer close(p.gone)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) != nil {
				continue
			}
			p.mu.Lock()
			if c := p.waiting[l.ID]; c != nil {
				c <- l
				delete(p.waiting, l.ID)
			}
			p.mu.Unlock()
		}
		cmd.Wait()
	}()
	return p
}

// ask sends a command, or asks for the status with none, and waits for the answer.
func (p *proc) ask(ctx context.Context, c *keeper.Command) (line, error) {
	answer := make(chan line, 1)
	p.mu.Lock()
	p.next++
	id := p.next
	p.waiting[id] = answer
	data, err := json.Marshal(line{ID: id, Command: c})
	if err == nil {
		_, err = p.stdin.Write(append(data, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return line{}, err
	}
	select {
	case l := <-answer:
		if l.Error != "" {
			return l, errors.New(l.Error)
		}
		return l, nil
	case <-p.gone:
		return line{}, errors.New("the keeper is gone")
	case <-ctx.Done():
		return line{}, context.Cause(ctx)
	}
}

func (p *proc) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process without notice.
func (p *proc) kill() {
	p.signal(syscall.SIGKILL)
	p.signal(syscall.SIGCONT)
	<-p.gone
	p.stdin.Close()
}

// end lets the process end in order.
func (p *proc) end() {
	p.signal(syscall.SIGCONT)
	p.stdin.Close()
	<-p.gone
}
