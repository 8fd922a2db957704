package worker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// A process of this test binary with these set is a worker.
const (
	processEnv = "MAHAVISHNU_WORKER_TEST"      // the server's URL
	nodeEnv    = "MAHAVISHNU_WORKER_TEST_NODE" // the worker's name
)

// runProcess is the main function of a worker process. Its jobs tell on
// standard output what they do; those of source "hold" wait for a line on
// standard input before they pass the fence.
func runProcess(url string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lines := bufio.NewScanner(os.Stdin)
	err := func() error {
		conn, err := bus.Connect(ctx, bus.Options{URL: url})
		if err != nil {
			return err
		}
		defer conn.Close()
		b, err := bus.Bind(ctx, conn)
		if err != nil {
			return err
		}
		p, err := NewPool(Options{
			Bus: b, Node: os.Getenv(nodeEnv), Region: region, Slots: 1, Retry: fast, Grace: 100 * time.Millisecond,
			Handlers: backups(func(ctx context.Context, t *Task) (any, error) {
				fmt.Println("began", t.Job.ID)
				if t.Job.Source() == "hold" {
					lines.Scan()
				}
				if err := t.Fence(context.WithoutCancel(ctx)); err != nil {
					fmt.Println("fenced", t.Job.ID)
					return nil, err
				}
				fmt.Println("committed", t.Job.ID)
				return os.Getenv(nodeEnv), nil
			}),
		})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a worker in a process of its own.
type process struct {
	*exec.Cmd
	in *os.File
	mu sync.Mutex
	// said holds the lines of its standard output.
	said []string
	done chan struct{}
}

func (r *rig) process(node string) *process {
	r.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.Env = append(os.Environ(), processEnv+"="+r.url, nodeEnv+"="+node)
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		r.Fatal(err)
	}
	p.in = in.(*os.File)
	out, err := p.StdoutPipe()
	if err != nil {
		r.Fatal(err)
	}
	if err := p.Start(); err != nil {
		r.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.said = append(p.said, lines.Text())
			p.mu.Unlock()
		}
	}()
	r.Cleanup(func() {
		p.Process.Kill()
		<-p.done
		p.Wait()
		if r.Failed() {
			r.Logf("%s: %v, and said %q", node, p.ProcessState, p.said)
		}
	})
	return p
}

func (p *process) has(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.said, line)
}

func TestKilledWorkerCostsOneAckWait(t *testing.T) {
	const ackWait = 1500 * time.Millisecond
	r := newRig(t, ackWait)
	first := r.process("first")
	id := r.submit("hold")
	// The work begins while the event is on its way; the kill must not overtake that.
	r.eventually("the job began", func() bool { return first.has("began "+id) && len(r.events(id)) == 1 })
	killed := time.Now()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	second := r.process("second")
	r.eventually("it began again", func() bool { return second.has("began " + id) })
	t.Logf("taken over %.1f AckWaits after the kill", time.Since(killed).Seconds()/ackWait.Seconds())
	fmt.Fprintln(second.in, "go on")
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if e.Attempt != 2 || e.Spent != 1 || string(e.Result) != `"second"` {
		t.Errorf("attempt %d, spent %d, result %s", e.Attempt, e.Spent, e.Result)
	}
	if note := e.History[2].Note; !strings.Contains(note, "took over from first") {
		t.Errorf("the history does not tell of the takeover: %v", history(e.Record))
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 started/2 succeeded/2" {
		t.Errorf("events %s", got)
	}
}
