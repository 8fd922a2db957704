package worker

import (
	"math"
	"sync"
	"time"

	"mahavishnu/messages"
)

// Meter adds up what a handler reports. Its methods are cheap, never block and
// may be called from many goroutines. The pool reads it: about once a second
// for who watches, and with every heartbeat for the record.
type Meter struct {
	mu    sync.Mutex
	sum   messages.Progress
	told  messages.Progress // sum when news was asked for last
	rate  float64           // bytes a second
	at    time.Time         // of the last sample of the rate
	bytes int64             // sum.Bytes at that sample
}

// Advance is a step forward; every number is added to what was reported before.
type Advance struct {
	Files, Dirs, Bytes, Stored, Problems int64
	// ExpectFiles and ExpectBytes add to the estimate of the whole.
	ExpectFiles, ExpectBytes int64
	// Current is what is being worked on, for people; "" leaves it as it is.
	Current string
}

const (
	// rateSpan is how far back the rate looks: after it, two thirds are new.
	rateSpan = 5 * time.Second
	// rateStep is the shortest time a rate is taken over.
	rateStep = 100 * time.Millisecond
)

func newMeter(start time.Time) *Meter { return &Meter{at: start} }

// Add reports a step.
func (m *Meter) Add(a Advance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Files += a.Files
	m.sum.Dirs += a.Dirs
	m.sum.Bytes += a.Bytes
	m.sum.Stored += a.Stored
	m.sum.Problems += a.Problems
	m.sum.TotalFiles += a.ExpectFiles
	m.sum.TotalBytes += a.ExpectBytes
	if a.Current != "" {
		m.sum.Current = a.Current
	}
}

// progress is how far the attempt is; nil while the handler reported nothing.
func (m *Meter) progress(now time.Time) *messages.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(now)
}

// news is progress, and nil also while nothing changed since the last call.
func (m *Meter) news(now time.Time) *messages.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum == m.told {
		return nil
	}
	m.told = m.sum
	return m.read(now)
}

func (m *Meter) read(now time.Time) *messages.Progress {
	if m.sum == (messages.Progress{}) {
		return nil
	}
	if dt := now.Sub(m.at); dt >= rateStep {
		current := float64(m.sum.Bytes-m.bytes) / dt.Seconds()
		if m.rate > 0 {
			current = m.rate + (current-m.rate)*(1-math.Exp(-dt.Seconds()/rateSpan.Seconds()))
		}
		m.rate, m.at, m.bytes = current, now, m.sum.Bytes
	}
	p := m.sum
	p.At, p.Rate = now.UTC(), math.Round(m.rate)
	if left := p.TotalBytes - p.Bytes; left > 0 && m.rate >= 1 {
		p.ETAMillis = int64(float64(left) / m.rate * 1000)
	}
	return &p
}
