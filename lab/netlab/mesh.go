package netlab

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mahavishnu/clock"
)

const (
	// queueBytes bounds what is under way in one direction, like the buffers of a
	// real one; what does not fit is lost.
	queueBytes = 4 << 20
)

// Link is how packets go one way. The zero value is perfect.
type Link struct {
	// Cut loses everything, in silence.
	Cut bool
	// Jam holds everything back until the link is set again; then it arrives at once,
	// however old it is.
	Jam bool
	// Delay is how long a packet takes, Jitter how much longer at most. Packets keep
	// their order.
	Delay, Jitter time.Duration
	// Loss is the share of packets that are lost, 0 to 1.
	Loss float64
	// Rate is how many bytes go through a second; 0 is any number.
	Rate int64
}

// Count is what became of the packets of one way.
type Count struct{ Passed, Lost int64 }

// mesh moves packets between ports, by the link from one to the other.
type mesh struct {
	clock   clock.Clock
	deliver func(to int, packet []byte)
	ways    [][]*way
	moving  sync.WaitGroup
	done    chan struct{}
}

// way is one direction between two ports.
type way struct {
	to int

	mu     sync.Mutex
	random *rand.Rand
	link   Link
	count  Count
	queue  []underWay
	bytes  int       // of the queue
	free   time.Time // when the next packet may begin, by Rate
	last   time.Time // when the last one arrives
	wake   chan struct{}
}

type underWay struct {
	due    time.Time
	packet []byte
}

func newMesh(ports int, seed uint64, c clock.Clock, deliver func(int, []byte)) *mesh {
	w := &mesh{clock: c, deliver: deliver, done: make(chan struct{})}
	for from := range ports {
		var row []*way
		for to := range ports {
			x := &way{to: to, wake: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, uint64(from*ports+to)))}
			row = append(row, x)
			w.moving.Go(func() { w.move(x) })
		}
		w.ways = append(w.ways, row)
	}
	return w
}

func (w *mesh) close() {
	close(w.done)
	w.moving.Wait()
}

func (w *mesh) set(from, to int, link Link) {
	x := w.ways[from][to]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.link.Jam && !link.Jam {
		now := w.clock.Now()
		for i := range x.queue {
			x.queue[i].due = now
		}
	}
	x.link, x.last, x.free = link, time.Time{}, time.Time{}
	if link.Cut {
		x.count.Lost += int64(len(x.queue))
		x.queue, x.bytes = nil, 0
	}
	x.poke()
}

func (w *mesh) count(from, to int) Count {
	x := w.ways[from][to]
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.count
}

// take is what a port sends. The packet is not kept.
func (w *mesh) take(from int, packet []byte) {
	to := regionOf(packet)
	if to < 0 || to >= len(w.ways) || to == from {
		return // multicast and the like, which lead nowhere
	}
	x := w.ways[from][to]
	x.mu.Lock()
	now := w.clock.Now()
	switch {
	case x.link.Cut, x.bytes+len(packet) > queueBytes, x.link.Loss > 0 && x.random.Float64() < x.link.Loss:
		x.count.Lost++
	case len(x.queue) == 0 && x.link == (Link{Loss: x.link.Loss}):
		// Nothing to wait for. The lock keeps the order.
		x.count.Passed++
		w.deliver(to, packet)
	default:
		x.enqueue(now, packet)
	}
	x.mu.Unlock()
}

// enqueue puts a packet under way. x.mu is held.
func (x *way) enqueue(now time.Time, packet []byte) {
	due := now
	if x.link.Rate > 0 {
		if x.free.Before(now) {
			x.free = now
		}
		x.free = x.free.Add(time.Duration(float64(len(packet)) / float64(x.link.Rate) * float64(time.Second)))
		due = x.free
	}
	due = due.Add(x.link.Delay)
	if x.link.Jitter > 0 {
		due = due.Add(time.Duration(x.random.Int64N(int64(x.link.Jitter))))
	}
	if due.Before(x.last) {
		due = x.last
	}
	x.last = due
	x.queue = append(x.queue, underWay{due, slices.Clone(packet)})
	x.bytes += len(packet)
	x.poke()
}

func (x *way) poke() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// move delivers what is due until the mesh is closed.
func (w *mesh) move(x *way) {
	timer := w.clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := w.due(x)
		timer.Reset(wait)
		select {
		case <-timer.C():
		case <-x.wake:
		case <-w.done:
			return
		}
	}
}

// due delivers what is due now and says how long the next packet takes.
func (w *mesh) due(x *way) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.queue) > 0 && !x.link.Jam {
		next := x.queue[0]
		if wait := next.due.Sub(w.clock.Now()); wait > 0 {
			return wait
		}
		x.queue, x.bytes = x.queue[1:], x.bytes-len(next.packet)
		x.count.Passed++
		w.deliver(x.to, next.packet)
	}
	return time.Hour
}
