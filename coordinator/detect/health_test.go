package detect

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const tick = 250 * time.Millisecond

func TestAPunctualObserverTrustsItself(t *testing.T) {
	h := NewHealth(tick, 0)
	for n := range 100 {
		h.Tick(epoch.Add(time.Duration(n) * tick))
	}
	if h.Stretch() != 1 || h.Why(epoch) != "" {
		t.Errorf("stretch %v, because %q", h.Stretch(), h.Why(epoch))
	}
}

func TestDoubtFollowsLateness(t *testing.T) {
	for _, c := range []struct {
		late time.Duration
		want float64
	}{
		{100 * time.Millisecond, 1},
		{200 * time.Millisecond, 2},
		{600 * time.Millisecond, 3},
		{3 * time.Second, 3},
		{time.Hour, 3},
	} {
		h := NewHealth(tick, 0)
		h.Tick(epoch)
		at := epoch.Add(tick + c.late)
		missed := h.Tick(at)
		if missed != 0 && missed != c.late || missed == 0 && c.want > 1 {
			t.Errorf("late by %v: missed %v", c.late, missed)
		}
		if got := h.Stretch(); got != c.want {
			t.Errorf("late by %v: stretch %v, want %v", c.late, got, c.want)
		}
		if why := h.Why(at); (why == "") != (c.want == 1) {
			t.Errorf("late by %v: because %q", c.late, why)
		}
	}
}

// Who is always a little late is only a little wrong.
func TestSmallLatenessNeverAddsUpToGreatDoubt(t *testing.T) {
	h, now := NewHealth(tick, 0), epoch
	for range 1000 {
		now = now.Add(tick * 17 / 10)
		h.Tick(now)
	}
	if got := h.Stretch(); got != 3 {
		t.Errorf("stretch %v, want 3", got)
	}
}

func TestTrustReturnsStepByStep(t *testing.T) {
	h, now := NewHealth(tick, 0), epoch
	h.Tick(now)
	for range 20 {
		h.Suffer(now, Flapping)
	}
	if h.Stretch() != 8 || !strings.Contains(h.Why(now), "comes and goes") {
		t.Fatalf("stretch %v, because %q", h.Stretch(), h.Why(now))
	}
	for want := 8.0; want > 1; want-- {
		if got := h.Stretch(); got != want {
			t.Fatalf("stretch %v, want %v", got, want)
		}
		for range 2 {
			now = now.Add(tick)
			h.Tick(now)
		}
	}
	if h.Stretch() != 1 {
		t.Errorf("stretch %v, want 1", h.Stretch())
	}
}

func TestStretchStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, now := NewHealth(tick, 0), epoch
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "pause")))
			before := h.Stretch()
			if rapid.Bool().Draw(t, "suffers") {
				h.Suffer(now, Ailment(rapid.IntRange(0, int(ailments)-1).Draw(t, "ailment")))
				if h.Stretch() < before {
					t.Fatal("an ailment lowered doubt")
				}
			} else {
				h.Tick(now)
			}
			if s := h.Stretch(); s < 1 || s > 8 {
				t.Fatalf("stretch %v", s)
			}
		}
	})
}
