package limit

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// burst is how much of a second's allowance may be used at once after a pause.
const burst = 250 * time.Millisecond

// recheck is how often a wait looks whether another window has begun.
const recheck = time.Second

// bucket lets so much through a second. It counts what was let through and is not paid
// for yet; time pays, at the rate that holds then.
type bucket struct {
	o    Options
	rate func(Rates) float64
	// line has who came first wait alone, and the others behind: in the order in
	// which they came.
	line *semaphore.Weighted

	mu   sync.Mutex
	debt float64
	paid time.Time
}

func newBucket(o Options, rate func(Rates) float64) *bucket {
	return &bucket{o: o, rate: rate, line: semaphore.NewWeighted(1), paid: o.Clock.Now()}
}

// take waits until all that was let through before is paid for, and lets n more
// through.
func (b *bucket) take(ctx context.Context, n float64) error {
	if b.unlimited() {
		return nil
	}
	if err := b.line.Acquire(ctx, 1); err != nil {
		return err
	}
	defer b.line.Release(1)
	for {
		wait := b.pay(n)
		if wait <= 0 {
			return nil
		}
		if err := b.o.Clock.Sleep(ctx, min(wait, recheck)); err != nil {
			return err
		}
	}
}

// unlimited tells whether there is no limit at any time.
func (b *bucket) unlimited() bool { return len(b.o.Windows) == 0 && b.rate(b.o.Rates) <= 0 }

// pay takes off what time has paid. When nothing is owed, n is let through and 0
// returned, else how long it takes at the present rate.
func (b *bucket) pay(n float64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Clock.Now()
	rate := b.rate(ratesAt(b.o, now))
	if rate <= 0 { // no limit now
		b.debt, b.paid = 0, now
		return 0
	}
	b.debt = max(b.debt-rate*now.Sub(b.paid).Seconds(), -rate*burst.Seconds())
	b.paid = now
	if b.debt <= 0 {
		b.debt += n
		return 0
	}
	return max(time.Duration(b.debt/rate*float64(time.Second)), time.Microsecond)
}

// owe counts what went through already.
func (b *bucket) owe(n float64) {
	if b.unlimited() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.debt += n
}

// ratesAt returns the rates at a time.
func ratesAt(o Options, now time.Time) Rates {
	for _, w := range o.Windows {
		if w.holds(now.In(o.Zone)) {
			return w.Rates
		}
	}
	return o.Rates
}

func (w Window) holds(now time.Time) bool {
	h, m, s := now.Clock()
	at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	if w.From < w.To {
		return at >= w.From && at < w.To && w.begins(now.Weekday())
	}
	yesterday := (now.Weekday() + 6) % 7
	return at >= w.From && w.begins(now.Weekday()) || at < w.To && w.begins(yesterday)
}

func (w Window) begins(day time.Weekday) bool {
	for _, d := range w.Days {
		if d == day {
			return true
		}
	}
	return len(w.Days) == 0
}
