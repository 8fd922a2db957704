package dispersed

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// How a member's speed is learnt. Requests of about the same size are compared with
// each other: a head tells nothing of how long a whole shard takes.
const (
	windowLen = 32 // as many of the latest requests of a class count
	exploring = 32 // one in so many reads asks a member more, so that one that was slow is noticed when it is not any more
)

// Bounds of the delay after which another member is asked, and what it is before
// anything was learnt.
const (
	minHedge     = time.Millisecond
	maxHedge     = 5 * time.Second
	unknownHedge = 100 * time.Millisecond
)

// class groups requests by the bytes they ask for: to 4 KiB, 32 KiB, 256 KiB, 2 MiB
// and more.
func class(n int64) int {
	return min(max(bits.Len64(uint64(max(n-1, 0)))-12+2, 0)/3, classes-1)
}

const classes = 5

// figures are what is known of a member's speed.
type figures struct {
	mu      sync.Mutex
	windows [classes]window
	failing int // requests that failed since the last that did not
}

// window holds the latest latencies.
type window struct {
	took [windowLen]time.Duration
	n    int // ever
}

// note adds how long a request took.
func (f *figures) note(class int, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = 0
	f.add(class, took)
}

func (f *figures) add(class int, took time.Duration) {
	w := &f.windows[class]
	w.took[w.n%windowLen] = took
	w.n++
}

// gaveUp notes a request that nobody waited for any longer: it would have taken
// longer than that.
func (f *figures) gaveUp(class int, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after > f.windows[class].at(50) {
		f.add(class, after)
	}
}

// failed notes a request that failed.
func (f *figures) failed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing++
}

// at returns the latency that percent in 100 requests stay below; 0 when none is
// known.
func (w *window) at(percent int) time.Duration {
	n := min(w.n, windowLen)
	if n == 0 {
		return 0
	}
	sorted := w.took
	slices.Sort(sorted[:n])
	return sorted[min(n*percent/100, n-1)]
}

// order returns the members as they are to be asked: the fastest first, those that
// fail last. Speeds that differ by less than about a half count as equal; then data shards
// come first, from which nothing has to be computed. explore is true when the
// first+1st is one that needs to be looked at again.
func (b *Backend) order(class, first int) (order []*member, explore bool) {
	type rank struct {
		*member
		failing bool
		speed   int
	}
	ranks := make([]rank, 0, b.n)
	for _, m := range b.members {
		m.figures.mu.Lock()
		usual := m.figures.windows[class].at(50)
		ranks = append(ranks, rank{m, m.figures.failing > 0, bits.Len64(uint64(usual / (500 * time.Microsecond)))})
		m.figures.mu.Unlock()
	}
	slices.SortStableFunc(ranks, func(x, y rank) int {
		if x.failing != y.failing {
			if x.failing {
				return 1
			}
			return -1
		}
		return cmp.Compare(x.speed, y.speed)
	})
	for _, r := range ranks {
		order = append(order, r.member)
	}
	if explore = first < b.n && b.reads.Add(1)%exploring == 0; explore {
		other := first + rand.IntN(b.n-first)
		order[first], order[other] = order[other], order[first]
	}
	return order, explore
}

// hedgeDelay is how long to wait before another member is asked: longer than 95 in 100
// reads of a usual member take.
func (b *Backend) hedgeDelay(class int) time.Duration {
	var all []time.Duration
	for _, m := range b.members {
		m.figures.mu.Lock()
		if d := m.figures.windows[class].at(95); d > 0 {
			all = append(all, d)
		}
		m.figures.mu.Unlock()
	}
	if len(all) == 0 {
		return unknownHedge
	}
	slices.Sort(all)
	return min(max(all[len(all)/2], minHedge), maxHedge)
}

// shunned tells whether the member failed of late.
func (m *member) shunned() bool {
	m.figures.mu.Lock()
	defer m.figures.mu.Unlock()
	return m.figures.failing > 0
}

// recovered notes that the member takes puts again.
func (f *figures) recovered() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = 0
}
