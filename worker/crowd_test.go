package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
)

// TestManyWorkersRunEachJobOnce lets many workers loose on many jobs of
// several kinds, for their region and for any, while messages are doubled.
func TestManyWorkersRunEachJobOnce(t *testing.T) {
	t.Parallel()
	const workers, jobs = 6, 240
	r := newRig(t, 5*time.Second)
	var mu sync.Mutex
	runs := map[string]int{}
	h := fake{run: func(_ context.Context, t *Task) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[t.Job.ID]++
		return nil, nil
	}}
	var ids []string
	for i := range jobs {
		specs := []messages.Spec{&messages.BackupSpec{Source: "home"}, &messages.VerifySpec{}, &messages.ForgetSpec{}}
		job := messages.NewJob([]string{region, messages.AnyRegion}[i%2], specs[i%3], time.Now())
		if _, err := r.Submit(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			r.publish(job.Subject(), "", fmt.Appendf(nil, `{"id":%q,"source":"home"}`, job.ID)) // again, by hand
		}
		ids = append(ids, job.ID)
	}
	handlers := Handlers{messages.KindBackup: h, messages.KindVerify: h, messages.KindForget: h}
	for i := range workers {
		r.start(Options{Node: fmt.Sprintf("node%d", i), Slots: 3, Handlers: handlers})
	}
	r.empty()
	for _, id := range ids {
		if e := r.record(id); e.State != messages.StateSucceeded || e.Attempt != 1 {
			t.Errorf("job %s: %v", id, history(e.Record))
		}
		if runs[id] != 1 {
			t.Errorf("job %s ran %d times", id, runs[id])
		}
	}
	told := map[string]int{}
	err := r.ReadEvents(t.Context(), bus.EventFilter{Outcome: messages.OutcomeSucceeded}, func(e bus.EventMessage) error {
		told[e.Job]++
		return nil
	})
	if err != nil || len(told) != jobs {
		t.Errorf("%d successes told, want %d; %v", len(told), jobs, err)
	}
}

// newBenchRig is a server that flushes as one in production does, or once a
// second.
func newBenchRig(b *testing.B, flush time.Duration) *rig {
	b.Helper()
	s, err := natsserver.Start(natsserver.Options{StoreDir: b.TempDir(), Port: -1, SyncInterval: flush})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			b.Error(err)
		}
	})
	return &rig{TB: b, url: s.ClientURL(), Bus: connect(b, s.ClientURL(), bus.ProvisionOptions{})}
}

// BenchmarkBurnDown is how fast a backlog of jobs that do nothing is worked
// off: claim, two events, outcome and acknowledgement each.
func BenchmarkBurnDown(b *testing.B) {
	for flush, every := range map[string]time.Duration{"always": natsserver.SyncAlways, "second": time.Second} {
		for _, slots := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("flush=%s/slots=%d", flush, slots), func(b *testing.B) { burnDown(b, every, slots) })
		}
	}
}

func burnDown(b *testing.B, flush time.Duration, slots int) {
	r := newBenchRig(b, flush)
	var submits sync.WaitGroup
	for lane := range 16 {
		submits.Go(func() {
			for i := lane; i < b.N; i += 16 {
				r.submit("home")
			}
		})
	}
	submits.Wait()
	done := make(chan struct{}, b.N)
	b.ResetTimer()
	stop := r.start(Options{Slots: slots, Grace: time.Minute, Handlers: backups(func(context.Context, *Task) (any, error) {
		done <- struct{}{}
		return nil, nil
	})})
	for range b.N {
		<-done
	}
	stop() // waits for the last outcomes
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkPickUp is how long a job waits from the end of its submission to
// its start, at 200 jobs a second.
func BenchmarkPickUp(b *testing.B) {
	r := newBenchRig(b, natsserver.SyncAlways)
	begun := make(chan time.Time, b.N+1)
	r.start(Options{Slots: 8, Handlers: backups(func(context.Context, *Task) (any, error) {
		begun <- time.Now()
		return nil, nil
	})})
	var waits []time.Duration
	next := time.Now()
	for range b.N {
		time.Sleep(time.Until(next))
		next = next.Add(5 * time.Millisecond)
		r.submit("home")
		submitted := time.Now()
		waits = append(waits, max((<-begun).Sub(submitted), 0))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "µs/p50")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs/p99")
}
