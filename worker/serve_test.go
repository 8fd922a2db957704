package worker

import (
	"context"
	"slices"
	"testing"
	"time"

	"mahavishnu/messages"
)

const elsewhere = "eu-west-1"

// pool starts a pool that can be told whose jobs it takes.
func (r *rig) pool(node string, handlers Handlers, grace time.Duration) *Pool {
	r.Helper()
	p, err := NewPool(Options{Bus: r.Bus, Region: region, Node: node, Handlers: handlers, Slots: 2, Retry: fast, Grace: grace})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
	return p
}

func to(region string) func(*messages.Job) {
	return func(j *messages.Job) { j.Region = region }
}

func (r *rig) serve(p *Pool, regions ...string) {
	r.Helper()
	if err := p.Serve(r.Context(), regions); err != nil {
		r.Fatal(err)
	}
}

// A worker takes another region's jobs from the moment it is told to until it is told
// otherwise, and its own while it has any.
func TestWorkerTakesAnotherRegionsJobs(t *testing.T) {
	r := newRig(t, 10*time.Second)
	p := r.pool("node1", backups(func(context.Context, *Task) (any, error) { return nil, nil }), 0)
	away := r.submit("there", to(elsewhere))
	r.await(r.submit("home"), messages.StateSucceeded)
	if s := r.record(away).State; s != messages.StateQueued {
		t.Fatalf("another region's job is %s", s)
	}
	r.serve(p, region, elsewhere)
	if e := r.await(away, messages.StateSucceeded); e.Job.Region != elsewhere {
		t.Errorf("it became a job of %s", e.Job.Region)
	}
	r.await(r.submit("home again"), messages.StateSucceeded)

	r.serve(p, elsewhere) // its own region is away
	home := r.submit("home a third time")
	r.await(r.submit("there again", to(elsewhere)), messages.StateSucceeded)
	if s := r.record(home).State; s != messages.StateQueued {
		t.Errorf("a job of a region that is away is %s", s)
	}
	r.serve(p)
	anybody := r.submit("anybody", to(messages.AnyRegion))
	r.serve(p, region)
	r.await(home, messages.StateSucceeded)
	r.await(anybody, messages.StateSucceeded)
	if got := p.Serves(); !slices.Equal(got, []string{region}) {
		t.Errorf("it serves %v", got)
	}
	r.empty()
}

// What runs when its region is given back is handed back, and costs no attempt; jobs of
// regions that stay are not disturbed.
func TestWorkerHandsBackWhatItGivesUp(t *testing.T) {
	r := newRig(t, 10*time.Second)
	running := make(chan string, 8)
	p := r.pool("node1", backups(func(ctx context.Context, task *Task) (any, error) {
		running <- task.Job.ID
		if task.Job.Region == elsewhere {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
			return nil, nil
		}
	}), -1)
	r.serve(p, region, elsewhere)
	away := r.submit("there", to(elsewhere))
	home := r.submit("home")
	<-running
	<-running
	if s := p.Status(); !slices.Equal(s.Serves, []string{elsewhere, region}) {
		t.Errorf("it says that it serves %v", s.Serves)
	}
	r.serve(p, region)
	e := r.await(away, messages.StateQueued)
	if e.Job.Attempts() == 0 || e.Spent != 0 {
		t.Errorf("%d attempts spent", e.Spent)
	}
	if e := r.await(home, messages.StateSucceeded); e.Attempt != 1 {
		t.Errorf("the job of its own region took %d attempts", e.Attempt)
	}
	r.eventually("it says so", func() bool { return slices.Equal(p.Status().Serves, []string{region}) })
	other, err := NewPool(Options{
		Bus: r.Bus, Region: elsewhere, Node: "node2", Slots: 1, Retry: fast,
		Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	if e := r.await(away, messages.StateSucceeded); e.Worker != "node2" || e.Spent != 0 {
		t.Errorf("done by %s after %d failures", e.Worker, e.Spent)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.empty()
}

// A region that nobody made consumers for is refused, and what was taken stays taken.
func TestWorkerRefusesAnUnknownRegion(t *testing.T) {
	r := newRig(t, 10*time.Second)
	p := r.pool("node1", backups(func(context.Context, *Task) (any, error) { return nil, nil }), 0)
	r.await(r.submit("home"), messages.StateSucceeded)
	if err := p.Serve(t.Context(), []string{region, "mars"}); err == nil {
		t.Error("it takes jobs of a region that does not exist")
	}
	if got := p.Serves(); !slices.Equal(got, []string{region}) {
		t.Errorf("it serves %v", got)
	}
	r.await(r.submit("home again"), messages.StateSucceeded)
}
