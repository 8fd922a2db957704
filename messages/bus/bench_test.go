package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
)

// BenchmarkJob measures whole lives of jobs that do nothing: submit, pull,
// claim, commit, event, acknowledge, with eight slots and the server's default
// of flushing every write, and with a flush a second.
func BenchmarkJob(b *testing.B) {
	for name, interval := range map[string]time.Duration{"always": natsserver.SyncAlways, "second": time.Second} {
		b.Run(name, func(b *testing.B) {
			s, err := natsserver.Start(natsserver.Options{StoreDir: b.TempDir(), Port: -1, SyncInterval: interval})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown()
			r := rigOn(b, s.ClientURL())
			p := r.puller(b, bus.PullOptions{})
			finished := make(chan struct{}, 1<<20)
			var left sync.WaitGroup
			for range 8 {
				left.Go(func() {
					for {
						d, err := p.Next(context.Background())
						if err != nil {
							return
						}
						if err := r.finish(d); err != nil {
							b.Error(err)
						}
						finished <- struct{}{}
					}
				})
			}
			var submitters sync.WaitGroup
			todo := make(chan int)
			for range 8 {
				submitters.Go(func() {
					for n := range todo {
						if _, err := r.Submit(context.Background(), backup(fmt.Sprintf("j%d", n))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			n, start := 0, time.Now()
			for b.Loop() {
				todo <- n
				n++
			}
			close(todo)
			submitters.Wait()
			for range n {
				<-finished
			}
			b.ReportMetric(float64(n)/time.Since(start).Seconds(), "jobs/s")
			p.Close()
			left.Wait()
		})
	}
}

func (r *rig) finish(d *bus.Delivery) error {
	ctx := context.Background()
	job, err := d.Job()
	if err != nil {
		return err
	}
	e, err := r.Records().Get(ctx, job.ID)
	if err != nil {
		return err
	}
	if e.Record, err = e.Claim("w", time.Now(), d.AckWait()); err != nil {
		return err
	}
	if e, err = r.Records().Update(ctx, e); err != nil {
		return err
	}
	if e.Record, err = e.Succeed(e.Attempt, time.Now(), nil); err != nil {
		return err
	}
	if e, err = r.Records().Update(ctx, e); err != nil {
		return err
	}
	if err := r.PublishEvent(ctx, messages.NewEvent(e.Record, messages.OutcomeSucceeded, time.Now())); err != nil {
		return err
	}
	return d.Ack(ctx)
}
