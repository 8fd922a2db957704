package detect

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// options are the defaults with this interval.
func options(expected time.Duration) *Options {
	o := Options{Expected: expected}.Defaults()
	return &o
}

// beat feeds n regular heartbeats and returns when the last was.
func beat(d *Detector, from time.Time, every time.Duration, n int) time.Time {
	for range n {
		from = from.Add(every)
		d.Heard(from)
	}
	return from
}

func TestSilenceIsSuspectedInTime(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 100)
	for _, c := range []struct {
		silence time.Duration
		stretch float64
		want    bool
	}{
		{0, 1, false},
		{time.Second, 1, false}, // three heartbeats lost
		{1300 * time.Millisecond, 1, false},
		{1320 * time.Millisecond, 1, true},
		{time.Hour, 1, true},
		{1320 * time.Millisecond, 2, false},
		{2640 * time.Millisecond, 2, true},
		{10 * time.Second, 8, false},
		{11 * time.Second, 8, true},
	} {
		at := now.Add(c.silence)
		if got := d.Suspicious(at, c.stretch); got != c.want {
			t.Errorf("after %v with stretch %v: suspicious is %v (phi %.2f), want %v", c.silence, c.stretch, got, d.Suspicion(at, c.stretch), c.want)
		}
	}
	if bound := d.Bound(1); bound < 1305*time.Millisecond || bound > 1315*time.Millisecond {
		t.Errorf("the bound is %v", bound)
	}
}

func TestTheBoundIsWhereSuspicionBegins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New(options(time.Duration(rapid.IntRange(10, 60_000).Draw(t, "expected ms")) * time.Millisecond))
		now := epoch
		for range rapid.IntRange(1, 120).Draw(t, "beats") {
			now = now.Add(time.Duration(rapid.Float64Range(0.1, 3).Draw(t, "gap") * float64(d.o.Expected)))
			d.Heard(now)
		}
		stretch := rapid.Float64Range(1, 8).Draw(t, "stretch")
		bound := d.Bound(stretch)
		if d.Suspicious(now.Add(bound-bound/1000), stretch) || !d.Suspicious(now.Add(bound+bound/1000), stretch) {
			t.Fatalf("suspicion does not begin at the bound %v", bound)
		}
	})
}

func TestWhatWasNeverHeardIsNotMissed(t *testing.T) {
	d := New(options(0))
	if d.Phi(epoch.Add(time.Hour)) != 0 || d.Silence(epoch) != 0 {
		t.Error("it is missed")
	}
}

func TestTheFirstSilenceIsJudged(t *testing.T) {
	d := New(options(time.Second))
	d.Heard(epoch)
	if d.Suspicious(epoch.Add(3*time.Second), 1) {
		t.Error("suspected after two missed heartbeats")
	}
	if !d.Suspicious(epoch.Add(6*time.Second), 1) {
		t.Error("not suspected after five missed heartbeats")
	}
}

func TestPhiNeverFallsInSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, now := New(options(0)), epoch
		for range rapid.IntRange(0, 100).Draw(t, "beats") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "gap ms")) * time.Millisecond)
			d.Heard(now)
		}
		last := 0.0
		for range 20 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "silence")))
			got := d.Phi(now)
			if got < last-1e-9 {
				t.Fatalf("phi fell from %v to %v", last, got)
			}
			if stretched := d.Suspicion(now, 2); stretched > got+1e-9 {
				t.Fatalf("doubt in oneself raised phi from %v to %v", got, stretched)
			}
			last = got
		}
	})
}

// Whatever rhythm somebody has, as long as it keeps within what was measured
// nobody is suspected: the fit adapts.
func TestJitterWithinTheFitIsNotSuspicious(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, now := New(options(0)), epoch
		mean := rapid.Float64Range(0.02, 2).Draw(t, "mean")
		jitter := rapid.Float64Range(0, 0.9).Draw(t, "jitter")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		d.Heard(now)
		for n := range 400 {
			gap := time.Duration(mean * (1 + jitter*(2*random.Float64()-1)) * float64(time.Second))
			now = now.Add(gap)
			if n > sampleSize && d.Suspicious(now, 1) {
				t.Fatalf("suspected after %v; %v", gap, d)
			}
			d.Heard(now)
		}
	})
}

func TestAnOutageDoesNotDullTheDetector(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 100)
	now = beat(d, now.Add(time.Hour), 250*time.Millisecond, 1)
	if bound := d.Bound(1); bound > 4*time.Second {
		t.Errorf("after an outage the bound is %v", bound)
	}
	beat(d, now, 250*time.Millisecond, sampleSize)
	if bound := d.Bound(1); bound > 1400*time.Millisecond {
		t.Errorf("a full sample after an outage the bound is still %v", bound)
	}
}

func TestARestartIsLearntAnew(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 2*time.Second, 100)
	slow := d.Bound(1)
	d.Restarted(now.Add(time.Second))
	if fast := d.Bound(1); fast >= slow || fast > 2*time.Second {
		t.Errorf("the bound went from %v to %v", slow, fast)
	}
}

func TestSilenceThatNobodyListenedToDoesNotCount(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 100)
	before := d.Bound(1)
	now = now.Add(time.Minute)
	d.Resume(now)
	if d.Suspicious(now.Add(time.Second), 1) || !d.Suspicious(now.Add(2*time.Second), 1) {
		t.Error("the silence did not begin anew")
	}
	d.Heard(now.Add(250 * time.Millisecond))
	if d.Bound(1) != before {
		t.Errorf("the bound went from %v to %v", before, d.Bound(1))
	}
	if never := New(options(0)); never.Silence(now) != 0 {
		t.Error("what was never heard is missed")
	} else if never.Resume(now); never.Phi(now.Add(time.Hour)) != 0 {
		t.Error("what was never heard is missed after a pause")
	}
}

func TestWhatWasMissedIsForgiven(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 100).Add(3 * time.Second)
	if !d.Suspicious(now, 1) {
		t.Fatal("three seconds are not suspicious")
	}
	d.Forgive(2*time.Second, now)
	if got := d.Silence(now); got != time.Second {
		t.Errorf("the silence is %v, want 1s", got)
	}
	d.Forgive(time.Hour, now)
	if got := d.Silence(now); got != 0 {
		t.Errorf("the silence is %v, want none", got)
	}
	if never := New(options(0)); never.Silence(now) != 0 {
		t.Error("what was never heard is missed")
	} else if never.Forgive(time.Hour, now); never.Phi(now.Add(time.Hour)) != 0 {
		t.Error("what was never heard is missed after a pause")
	}
}

func TestAClockThatGoesBackIsNoTime(t *testing.T) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 10)
	d.Heard(now.Add(-time.Hour))
	if !d.Last().Equal(now) || d.Phi(now.Add(-time.Minute)) > 1 {
		t.Errorf("last is %v, phi %v", d.Last(), d.Phi(now.Add(-time.Minute)))
	}
}

// The sums over the ring are what adding up the ring gives, however long it runs.
func TestSumsDoNotDrift(t *testing.T) {
	d, now, random := New(options(0)), epoch, rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		now = now.Add(time.Duration(random.Int64N(int64(time.Second))))
		d.Heard(now)
	}
	sum, squares := 0.0, 0.0
	for _, v := range d.ring {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	if diff := d.sum - sum; diff > 1e-9 || diff < -1e-9 {
		t.Errorf("the sum is off by %v", diff)
	}
	if diff := d.squares - squares; diff > 1e-9 || diff < -1e-9 {
		t.Errorf("the squares are off by %v", diff)
	}
}

func TestADetectorIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Detector{}); size > 320 {
		t.Errorf("a detector takes %d bytes", size)
	}
	d, now := New(options(0)), epoch
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(250 * time.Millisecond)
		d.Heard(now)
		d.Suspicious(now, 1)
	}); n > 0 {
		t.Errorf("hearing allocates %v times", n)
	}
}

func BenchmarkHeard(b *testing.B) {
	d, now := New(options(0)), epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(250 * time.Millisecond)
		d.Heard(now)
	}
}

func BenchmarkSuspicion(b *testing.B) {
	d := New(options(0))
	now := beat(d, epoch, 250*time.Millisecond, 100).Add(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		d.Suspicious(now, 1)
	}
}
