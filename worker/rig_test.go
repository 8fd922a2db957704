package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

const region = "us-east-1"

func TestMain(m *testing.M) {
	if url, ok := os.LookupEnv(processEnv); ok {
		os.Exit(runProcess(url))
	}
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// rig is a real server with its streams, and one connection to it.
type rig struct {
	testing.TB
	*bus.Bus
	url string
}

func newRig(t testing.TB, ackWait time.Duration) *rig {
	t.Helper()
	url := natstest.Start(t).ClientURL()
	return &rig{TB: t, url: url, Bus: connect(t, url, bus.ProvisionOptions{AckWait: ackWait})}
}

// fake is a handler made of functions.
type fake struct {
	check func(messages.Job) error
	run   func(context.Context, *Task) (any, error)
}

func (f fake) Check(job messages.Job) error {
	if f.check == nil {
		return nil
	}
	return f.check(job)
}

func (f fake) Run(ctx context.Context, t *Task) (any, error) { return f.run(ctx, t) }

func backups(run func(context.Context, *Task) (any, error)) Handlers {
	return Handlers{messages.KindBackup: fake{run: run}}
}

// fast is how quickly tests retry.
var fast = RetryPolicy{First: 20 * time.Millisecond, Max: 40 * time.Millisecond, Jitter: -1}

// start runs a pool until stop is called, or the test ends.
func (r *rig) start(o Options) (stop func()) {
	r.Helper()
	o.Bus, o.Region = r.Bus, region
	if o.Node == "" {
		o.Node = "node1"
	}
	if o.Retry == (RetryPolicy{}) {
		o.Retry = fast
	}
	if _, ok := r.TB.(*testing.T); ok { // benchmarks measure no logging
		o.Log = zerolog.New(zerolog.NewTestWriter(r))
	}
	p, err := NewPool(o)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("Run: %v", err)
		}
	})
	r.Cleanup(stop)
	return stop
}

// submit hands in a backup job of a source.
func (r *rig) submit(source string, change ...func(*messages.Job)) string {
	r.Helper()
	job := messages.NewJob(region, &messages.BackupSpec{Source: source}, time.Now())
	for _, c := range change {
		c(&job)
	}
	s, err := r.Submit(r.Context(), job)
	if err != nil {
		r.Fatal(err)
	}
	return s.ID
}

func (r *rig) record(id string) bus.Entry {
	r.Helper()
	e, err := r.Records().Get(r.Context(), id)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		r.Fatal(err)
	}
	return e
}

// await waits until the job's record is in one of the states.
func (r *rig) await(id string, states ...messages.State) bus.Entry {
	r.Helper()
	var e bus.Entry
	r.eventually(fmt.Sprintf("job %s becomes %v", id, states), func() bool {
		e = r.record(id)
		return slices.Contains(states, e.State)
	})
	return e
}

func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("waited in vain until %s", what)
		}
	}
}

// empty waits until no message is left in the queue.
func (r *rig) empty() {
	r.Helper()
	r.eventually("the queue is empty", func() bool { return len(r.queued()) == 0 })
}

func (r *rig) queued() []bus.QueuedMessage {
	r.Helper()
	var all []bus.QueuedMessage
	err := r.Queued(r.Context(), func(m bus.QueuedMessage) error {
		all = append(all, m)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return all
}

// events lists what was told about a job, as "outcome/attempt".
func (r *rig) events(id string) []string {
	r.Helper()
	var told []string
	err := r.ReadEvents(r.Context(), bus.EventFilter{}, func(e bus.EventMessage) error {
		if e.Job == id {
			told = append(told, fmt.Sprintf("%s/%d", e.Outcome, e.Attempt))
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return told
}

func (r *rig) letters() []messages.DeadLetter {
	r.Helper()
	all, err := r.Dead().List(r.Context(), bus.DeadFilter{})
	if err != nil {
		r.Fatal(err)
	}
	return all
}

// publish stores a raw message, as `nats pub -J` does, and returns its sequence.
// It speaks the bare protocol, so that nothing of ours comes between.
func (r *rig) publish(subject, replyTo string, payload []byte) {
	r.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "nats://"))
	if err != nil {
		r.Fatal(err)
	}
	defer nc.Close()
	header := ""
	if replyTo != "" {
		header = "NATS/1.0\r\n" + messages.HeaderReplyTo + ": " + replyTo + "\r\n\r\n"
	}
	var b strings.Builder
	b.WriteString("CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB stored 1\r\n")
	if header == "" {
		fmt.Fprintf(&b, "PUB %s stored %d\r\n%s\r\n", subject, len(payload), payload)
	} else {
		fmt.Fprintf(&b, "HPUB %s stored %d %d\r\n%s%s\r\n", subject, len(header), len(header)+len(payload), header, payload)
	}
	if _, err := nc.Write([]byte(b.String())); err != nil {
		r.Fatal(err)
	}
	for in := bufio.NewScanner(nc); in.Scan(); {
		switch line := in.Text(); {
		case strings.HasPrefix(line, "-ERR"):
			r.Fatal(line)
		case strings.Contains(line, `"error"`):
			r.Fatal(line)
		case strings.Contains(line, `"stream"`):
			return
		}
	}
	r.Fatal("the server closed the connection")
}

// listen subscribes to a subject and returns what arrives.
func (r *rig) listen(subject string) <-chan []byte {
	r.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "nats://"))
	if err != nil {
		r.Fatal(err)
	}
	if _, err := fmt.Fprintf(nc, "CONNECT {\"verbose\":false}\r\nSUB %s 1\r\nPING\r\n", subject); err != nil {
		r.Fatal(err)
	}
	in := bufio.NewScanner(nc)
	for in.Scan() && in.Text() != "PONG" { // then the subscription is in force
	}
	got, done := make(chan []byte, 10), make(chan struct{})
	go func() {
		defer close(done)
		for in.Scan() {
			if strings.HasPrefix(in.Text(), "MSG ") && in.Scan() {
				got <- slices.Clone(in.Bytes())
			}
		}
	}()
	r.Cleanup(func() {
		nc.Close()
		<-done
	})
	return got
}

// history is a record's life as "state/attempt: note".
func history(r messages.Record) []string {
	var steps []string
	for _, s := range r.History {
		step := fmt.Sprintf("%s/%d", s.State, s.Attempt)
		if s.Note != "" {
			step += ": " + s.Note
		}
		steps = append(steps, step)
	}
	return steps
}
