package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

func TestPullerTakesKindsAndRegions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindBackup}})
	r.publish(t, "dr.jobs.verify."+region, `{}`)
	r.publish(t, "dr.jobs.backup.eu-west-1", `{"source":"other"}`)
	r.publish(t, "dr.jobs.backup.any", `{"source":"home"}`)
	if d := next(t, p); d.Subject != "dr.jobs.backup.any" {
		t.Fatalf("took %s", d.Subject)
	}
	info, err := r.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var held, waiting uint64
	for _, c := range info.Consumers {
		held, waiting = held+c.Held, waiting+c.Waiting
	}
	if held != 1 || waiting != 2 {
		t.Errorf("%d held and %d waiting, want 1 and 2", held, waiting)
	}
}

// TestNothingIsHeldWithoutASlot floods every consumer while one slot works:
// whatever else arrived must be free for another worker at once.
func TestNothingIsHeldWithoutASlot(t *testing.T) {
	t.Parallel()
	r := newRig(t) // AckWait is 30 s: a hoarded message would not come back in time
	busy, idle := r.puller(t, bus.PullOptions{}), r.puller(t, bus.PullOptions{})
	first := make(chan *bus.Delivery)
	go func() {
		d, err := busy.Next(context.Background())
		if err != nil {
			t.Error(err)
		}
		first <- d
	}()
	const n = 60
	want := map[string]bool{}
	for i := range n {
		id := fmt.Sprintf("j%d", i)
		want[id] = true
		kind := messages.Kinds()[i%2*2] // backup and replicate
		r.publish(t, messages.JobSubject(kind, region), payloadFor(kind, id))
	}
	mine := <-first // and now the only slot of busy is taken
	job, err := mine.Job()
	if err != nil {
		t.Fatal(err)
	}
	delete(want, job.ID)
	started := time.Now()
	for len(want) > 0 {
		d := next(t, idle)
		job, err := d.Job()
		if err != nil {
			t.Fatal(err)
		}
		delete(want, job.ID)
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("the idle worker got the rest only after %v: something was held", took)
	}
}

func payloadFor(k messages.Kind, id string) string {
	if k == messages.KindReplicate {
		return fmt.Sprintf(`{"id":%q,"from":%q,"to":"eu-west-1"}`, id, region)
	}
	return fmt.Sprintf(`{"id":%q,"source":"home"}`, id)
}

func TestManySlotsShareOnePuller(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.puller(t, bus.PullOptions{})
	const jobs, slots = 200, 8
	for i := range jobs {
		if _, err := r.js.PublishAsync("dr.jobs.backup."+region, []byte(payloadFor("backup", fmt.Sprintf("j%d", i)))); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	seen := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range slots {
		all.Go(func() {
			for {
				d, err := p.Next(ctx)
				if err != nil {
					return
				}
				job, err := d.Job()
				if err != nil {
					t.Error(err)
					return
				}
				if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[job.ID]++
				if len(seen) == jobs {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s was acknowledged %d times", id, n)
		}
	}
}

func TestNextEndsWithItsContextAndWithClose(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.puller(t, bus.PullOptions{})
	reason := errors.New("draining")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := p.Next(ctx); !errors.Is(err, reason) {
		t.Errorf("Next with an ended context: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := p.Next(context.Background())
		waiting <- err
	}()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Next during Close: %v, want ErrClosed", err)
	}
	if _, err := p.Next(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Next after Close: %v, want ErrClosed", err)
	}
}

func TestMessageOfAClosedPullerComesBackAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 20 {
		p := r.puller(t, bus.PullOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *bus.Delivery)
		go func() {
			d, _ := p.Next(ctx)
			done <- d
		}()
		r.publish(t, "dr.jobs.backup."+region, payloadFor("backup", fmt.Sprintf("j%d", i)))
		cancel() // somewhere between the pull and the delivery
		if d := <-done; d != nil {
			if err := d.HandBack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		p.Close()
	}
	p := r.puller(t, bus.PullOptions{})
	for range 20 {
		if err := next(t, p).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPullerNeedsItsConsumers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.Puller(t.Context(), bus.PullOptions{Region: "mars"})
	if !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("a region nobody provisioned: %v, want ErrNotProvisioned", err)
	}
	if _, err := r.Puller(t.Context(), bus.PullOptions{Region: region, Distance: 10}); err == nil {
		t.Error("distance 10 was taken")
	}
}

func TestPullerTellsThatItsConsumerIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindBackup}})
	failed := make(chan error)
	go func() {
		_, err := p.Next(context.Background())
		failed <- err
	}()
	name := messages.ConsumerName(messages.KindBackup, region)
	eventually(t, "the pull to wait", func() bool {
		c, err := r.js.Consumer(t.Context(), messages.StreamJobs, name)
		return err == nil && c.CachedInfo().NumWaiting > 0
	})
	if err := r.js.DeleteConsumer(t.Context(), messages.StreamJobs, name); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil || errors.Is(err, bus.ErrClosed) {
		t.Errorf("Next after the consumer was deleted: %v, want the reason", err)
	}
}

func TestNearestWorkerGetsJobsForAnyRegion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	near := r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindVerify}})
	far := r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindVerify}, Region: "eu-west-1", Distance: 5})
	type taken struct {
		who string
		d   *bus.Delivery
	}
	got := make(chan taken)
	for who, p := range map[string]*bus.Puller{"far": far, "near": near} {
		go func() {
			if d, err := p.Next(context.Background()); err == nil {
				got <- taken{who, d}
			}
		}()
	}
	eventually(t, "both pulls to wait", func() bool {
		c, err := r.js.Consumer(t.Context(), messages.StreamJobs, messages.ConsumerName(messages.KindVerify, messages.AnyRegion))
		return err == nil && c.CachedInfo().NumWaiting == 2
	})
	for _, want := range []string{"near", "far"} {
		r.publish(t, "dr.jobs.verify.any", "{}")
		if first := <-got; first.who != want {
			t.Errorf("%s took the job, want %s", first.who, want)
		}
	}
}

func TestHeldMessageComesBackAfterAckWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, ackWait(time.Second))
	r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	p := r.puller(t, bus.PullOptions{})
	dead := next(t, p) // this worker says nothing more
	d := next(t, p)
	if d.Sequence != dead.Sequence || d.Delivered != 2 {
		t.Errorf("delivery %d of message %d, want 2 of %d", d.Delivered, d.Sequence, dead.Sequence)
	}
}

func TestExtendHoldsTheMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, ackWait(2*time.Second))
	r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	p := r.puller(t, bus.PullOptions{})
	d := next(t, p)
	stolen := make(chan *bus.Delivery, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if d, err := p.Next(ctx); err == nil {
			stolen <- d
		}
	}()
	for range 24 { // 4.8 s, more than two AckWaits
		if err := d.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	select {
	case <-stolen:
		t.Fatal("the message went to another worker although it was extended")
	default:
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestExtendFailsWhenTheServerIsGone(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	r := rigOn(t, s.ClientURL())
	r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	d := next(t, r.puller(t, bus.PullOptions{}))
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := d.Extend(ctx); err == nil {
		t.Error("Extend succeeded without a server")
	}
	if err := d.Ack(ctx); err == nil {
		t.Error("Ack succeeded without a server")
	}
}

func TestHandBackWithDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	p := r.puller(t, bus.PullOptions{})
	start := time.Now()
	if err := next(t, p).HandBack(t.Context(), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if d := next(t, p); time.Since(start) < 300*time.Millisecond {
		t.Errorf("delivery %d came after %v, before its delay", d.Delivered, time.Since(start))
	}
}

// BenchmarkPickUp measures from publishing to a waiting Next, over all kinds.
func BenchmarkPickUp(b *testing.B) {
	r := newRig(b)
	p := r.puller(b, bus.PullOptions{})
	arrived := make(chan *bus.Delivery)
	go func() {
		for {
			d, err := p.Next(context.Background())
			if err != nil {
				close(arrived)
				return
			}
			arrived <- d
		}
	}()
	subject := "dr.jobs.backup." + region
	for b.Loop() {
		r.publish(b, subject, `{"source":"home"}`)
		d := <-arrived
		b.StopTimer()
		if err := d.Ack(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	p.Close()
}
