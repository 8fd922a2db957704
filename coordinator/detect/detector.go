package detect

import (
	"fmt"
	"math"
	"time"
)

// sampleSize is how many intervals are remembered: at a heartbeat of 250 ms, those
// of the last twelve seconds.
const sampleSize = 48

// longestCounted is how many expected intervals, beside the pause, one may count
// for: what was silent for an hour and is back has not changed its rhythm.
const longestCounted = 8

// Options are what a detector assumes. The zero value of a field is its default.
type Options struct {
	// Expected is the interval that is meant, and what is assumed until intervals
	// were measured; 0 is 250 ms.
	Expected time.Duration
	// MinDeviation is the least standard deviation that is assumed: a network
	// that was quiet for a while must not make a small delay a surprise. 0 is two
	// fifths of Expected, 100 ms at 250 ms.
	MinDeviation time.Duration
	// Pause is added to the mean: a silence of this length is no surprise, for it
	// is what a garbage collection or a lost packet or two cost. 0 is twice
	// Expected; below zero is none.
	Pause time.Duration
	// Threshold is the phi from which on silence is suspicious; 0 is 8.
	Threshold float64
}

// Defaults fills in what is not given.
func (o Options) Defaults() Options {
	if o.Expected <= 0 {
		o.Expected = 250 * time.Millisecond
	}
	if o.MinDeviation <= 0 {
		o.MinDeviation = o.Expected * 2 / 5
	}
	switch {
	case o.Pause == 0:
		o.Pause = 2 * o.Expected
	case o.Pause < 0:
		o.Pause = 0
	}
	if o.Threshold <= 0 {
		o.Threshold = 8
	}
	return o
}

// Detector accrues suspicion of one source of signs of life.
type Detector struct {
	o *Options

	last  time.Time
	heard uint64

	// ring holds the last intervals in seconds; sum and squares are of them.
	ring         [sampleSize]float32
	filled, next uint16
	sum, squares float64
}

// New returns a detector that has heard nothing. Share one *Options among the
// detectors of one kind of target: it is not copied and must not be changed; what
// it leaves open must have been filled in by [Options.Defaults].
func New(o *Options) *Detector {
	d := &Detector{o: o}
	d.seed()
	return d
}

// seed assumes two intervals, around the expected one, so that the first silence
// can be judged.
func (d *Detector) seed() {
	expected, quarter := d.o.Expected.Seconds(), d.o.Expected.Seconds()/4
	d.ring, d.filled, d.next, d.sum, d.squares = [sampleSize]float32{}, 0, 0, 0, 0
	d.add(expected - quarter)
	d.add(expected + quarter)
}

// Heard notes a sign of life.
func (d *Detector) Heard(now time.Time) {
	if d.heard > 0 {
		gap := max(now.Sub(d.last), 0)
		longest := longestCounted*d.o.Expected + d.o.Pause
		d.add(min(gap, longest).Seconds())
	}
	d.heard++
	if now.After(d.last) {
		d.last = now
	}
}

// Restarted notes a sign of life of something that started anew: its rhythm is
// learnt from the beginning.
func (d *Detector) Restarted(now time.Time) {
	d.seed()
	d.heard = 0
	d.Heard(now)
}

// Resume says that nobody listened until now: the silence begins anew, and counts
// for no interval.
func (d *Detector) Resume(now time.Time) {
	if d.heard > 0 && now.After(d.last) {
		d.last = now
	}
}

// Forgive says that nobody listened for this long: so much of the silence does not
// count.
func (d *Detector) Forgive(missed time.Duration, now time.Time) {
	if last := d.last.Add(missed); last.Before(now) {
		d.last = last
	} else {
		d.Resume(now)
	}
}

// add takes an interval into the sample in place of the oldest. Sums are made anew
// each time the ring comes round, so that rounding never adds up.
func (d *Detector) add(seconds float64) {
	x, old := float32(seconds), d.ring[d.next]
	d.ring[d.next] = x
	if int(d.filled) < sampleSize {
		d.filled++
	} else {
		d.sum -= float64(old)
		d.squares -= float64(old) * float64(old)
	}
	d.sum += float64(x)
	d.squares += float64(x) * float64(x)
	d.next++
	if d.next == sampleSize {
		d.next, d.sum, d.squares = 0, 0, 0
		for _, v := range d.ring[:d.filled] {
			d.sum += float64(v)
			d.squares += float64(v) * float64(v)
		}
	}
}

// fit is the mean and the deviation of the sample, in seconds.
func (d *Detector) fit() (mean, deviation float64) {
	n := float64(d.filled)
	mean = d.sum / n
	deviation = math.Sqrt(max(d.squares/n-mean*mean, 0))
	return mean, max(deviation, d.o.MinDeviation.Seconds())
}

// Last is when the last sign of life was noted; zero when none was.
func (d *Detector) Last() time.Time { return d.last }

// Silence is how long nothing was heard; 0 when nothing ever was.
func (d *Detector) Silence(now time.Time) time.Duration {
	if d.heard == 0 {
		return 0
	}
	return max(now.Sub(d.last), 0)
}

// Phi is how surprising the silence is. It never falls while the silence lasts,
// and is 0 when nothing was heard yet: what was never there is not missed.
func (d *Detector) Phi(now time.Time) float64 { return d.Suspicion(now, 1) }

// Suspicion is Phi to an observer for whom silence passes more slowly by a factor
// of stretch; see [Health.Stretch].
func (d *Detector) Suspicion(now time.Time, stretch float64) float64 {
	if d.heard == 0 {
		return 0
	}
	mean, deviation := d.fit()
	elapsed := d.Silence(now).Seconds() / max(stretch, 1)
	return phi(elapsed, mean+d.o.Pause.Seconds(), deviation)
}

// Suspicious reports whether the silence is suspicious to an observer with this
// stretch.
func (d *Detector) Suspicious(now time.Time, stretch float64) bool {
	return d.Suspicion(now, stretch) >= d.o.Threshold
}

// Bound is after how long a silence becomes suspicious, as the sample is now.
func (d *Detector) Bound(stretch float64) time.Duration {
	mean, deviation := d.fit()
	low, high := 0.0, 64.0 // deviations; the phi of 64 is 890
	for range 40 {
		middle := (low + high) / 2
		if phi(middle*deviation, 0, deviation) < d.o.Threshold {
			low = middle
		} else {
			high = middle
		}
	}
	seconds := (mean + d.o.Pause.Seconds() + high*deviation) * max(stretch, 1)
	return time.Duration(seconds * float64(time.Second))
}

// String tells what the detector has learnt, for people.
func (d *Detector) String() string {
	mean, deviation := d.fit()
	round := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
	}
	return fmt.Sprintf("%d heard, every %v give or take %v", d.heard, round(mean), round(deviation))
}
