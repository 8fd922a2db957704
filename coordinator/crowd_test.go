//go:build unix

package coordinator

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// crowd is many nodes that beat over a few connections, each in its own rhythm.
type crowd struct {
	mu     sync.Mutex
	silent map[int]bool
}

func crowdNode(i int) string { return fmt.Sprintf("node-%03d", i) }

// run beats for n nodes until ctx ends: each bus for its share, evenly over the
// interval.
func (c *crowd) run(ctx context.Context, t testing.TB, buses []*bus.Bus, n int, every time.Duration) {
	var all sync.WaitGroup
	for b := range buses {
		all.Go(func() {
			const slices = 25
			started := time.Now()
			for round := 0; ctx.Err() == nil; round++ {
				for i := b; i < n; i += len(buses) {
					c.mu.Lock()
					silent := c.silent[i]
					c.mu.Unlock()
					if silent || i/len(buses)%slices != round%slices {
						continue
					}
					h := messages.Heartbeat{
						Node: crowdNode(i), Region: "eu", Roles: []string{"worker"}, Sequence: uint64(round/slices + 1),
						Time: time.Now(), Started: started, IntervalMillis: every.Milliseconds(), Version: "1.2.3", Slots: 4,
						Kinds: messages.Kinds(),
					}
					if err := buses[b].PublishHeartbeat(h); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
				next := started.Add(time.Duration(round+1) * every / slices)
				select {
				case <-ctx.Done():
				case <-time.After(time.Until(next)):
				}
			}
		})
	}
	all.Wait()
}

// start lets the crowd beat in the background.
func (c *crowd) start(t testing.TB, url string, n int) (stop func()) {
	t.Helper()
	var buses []*bus.Bus
	for range 4 {
		buses = append(buses, bind(t, url))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(ctx, t, buses, n, 250*time.Millisecond)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// Five hundred nodes are seen, one that dies is found, and nobody else is.
func TestACrowdIsWatched(t *testing.T) {
	const nodes = 500
	url := startServer(t)
	c := &crowd{silent: map[int]bool{}}
	c.start(t, url, nodes)
	watcher, _ := run(t, bind(t, url), Options{Node: "eu-1", Region: "eu"})
	until(t, "all are seen", func() bool { return len(watcher.Status().Nodes) == nodes })
	c.mu.Lock()
	c.silent[123] = true
	c.mu.Unlock()
	until(t, "the dead one is found", func() bool { return watcher.Verdict(NodeTarget(crowdNode(123))).State == vote.Down })
	for _, n := range watcher.Status().Nodes {
		if n.Node != crowdNode(123) && n.Verdict == string(vote.Down) {
			t.Errorf("%s lives and is held down: %s", n.Node, n.Why)
		}
	}
}

// processor is how much processor time this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkCrowd measures what watching 500 nodes costs: the processor time and
// memory of this process, which is server, crowd and coordinator in one, with the
// coordinator less the same without it; and how long a death takes to be found.
//
//	go test ./coordinator -run '^$' -bench Crowd -benchtime 1x
func BenchmarkCrowd(b *testing.B) {
	const nodes, span = 500, 15 * time.Second
	for b.Loop() {
		url := startServer(b)
		c := &crowd{silent: map[int]bool{}}
		stop := c.start(b, url, nodes)
		time.Sleep(2 * time.Second)
		measure := func() (share float64) {
			used, began := processor(), time.Now()
			time.Sleep(span)
			return float64(processor()-used) / float64(time.Since(began))
		}
		without, memory := measure(), heapInUse()
		watcher, halt := run(b, bind(b, url), Options{Node: "eu-1", Region: "eu"})
		until(b, "all are seen", func() bool { return len(watcher.Status().Nodes) == nodes })
		with, grown := measure(), heapInUse()
		b.ReportMetric(100*(with-without), "%cpu-of-one-core")
		b.ReportMetric(float64(int64(grown)-int64(memory))/(1<<20), "MiB")
		var worst time.Duration
		for i := range 20 {
			c.mu.Lock()
			c.silent[i*7] = true
			c.mu.Unlock()
			died := time.Now()
			until(b, "the dead one is found", func() bool { return watcher.Verdict(NodeTarget(crowdNode(i*7))).State == vote.Down })
			worst = max(worst, time.Since(died))
		}
		b.ReportMetric(worst.Seconds(), "s-slowest-detection-of-20")
		halt()
		stop()
	}
}
