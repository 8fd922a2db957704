package detect

import (
	"fmt"
	"strings"
	"time"
)

// worst is the score of an observer that trusts itself least; its stretch is one
// more.
const worst = 7

// mostForLateness is how high being late can raise the score.
const mostForLateness = 2

// Ailment is a reason for an observer to distrust itself.
type Ailment int

// The ailments.
const (
	// LateTick: the observer's own clock ticks came late; it lacks processor time,
	// or was stopped.
	LateTick Ailment = iota
	// FailingProbes: most of its own probes fail, of targets that have nothing to
	// do with one another.
	FailingProbes
	// Flapping: its own connection was lost or came back.
	Flapping

	ailments
)

var ailmentNames = [ailments]string{"own ticks come late", "most of its own probes fail", "its connection comes and goes"}

// Health is an observer's doubt in itself. The zero value is not usable; see
// [NewHealth].
type Health struct {
	tick, recovery time.Duration

	score     int
	last      time.Time // of the last tick
	recovered time.Time // when the score last fell, or last rose
	seen      [ailments]time.Time
	lateness  time.Duration // of the last late tick
}

// NewHealth returns the health of an observer that means to tick in this interval
// and takes back one step of doubt for each recovery without an ailment; 0 is two
// ticks.
func NewHealth(tick, recovery time.Duration) *Health {
	if recovery <= 0 {
		recovery = 2 * tick
	}
	return &Health{tick: tick, recovery: recovery}
}

// Tick notes that the observer got round to looking, and returns how long it did not
// listen when that was late by more than half an interval: see [Detector.Forgive].
// Lateness raises doubt by no more than two steps however often it happens, for the
// time that was missed is forgiven already, and who is always a little late is never
// more than a little wrong.
func (h *Health) Tick(now time.Time) (missed time.Duration) {
	if !h.last.IsZero() {
		if late := now.Sub(h.last) - h.tick; late > h.tick/2 {
			h.lateness, missed = late, late
			h.suffer(now, LateTick, min(1+int(late/h.tick), mostForLateness), mostForLateness)
		}
	}
	h.last = now
	for h.score > 0 && now.Sub(h.recovered) >= h.recovery {
		h.score--
		h.recovered = h.recovered.Add(h.recovery)
	}
	return missed
}

// Suffer raises doubt by a step.
func (h *Health) Suffer(now time.Time, a Ailment) { h.suffer(now, a, 1, worst) }

// suffer raises doubt by some steps, to no more than a limit.
func (h *Health) suffer(now time.Time, a Ailment, steps, limit int) {
	h.score = max(h.score, min(h.score+steps, limit, worst))
	h.seen[a], h.recovered = now, now
}

// Stretch is the factor by which silence passes more slowly for this observer: 1
// when it is well, 8 at the worst.
func (h *Health) Stretch() float64 { return float64(1 + h.score) }

// Why tells what the observer suffers from, or "".
func (h *Health) Why(now time.Time) string {
	if h.score == 0 {
		return ""
	}
	var why []string
	for a, when := range h.seen {
		if when.IsZero() || now.Sub(when) > (worst+1)*h.recovery {
			continue
		}
		text := ailmentNames[a]
		if Ailment(a) == LateTick {
			text += fmt.Sprintf(" (by %v)", h.lateness.Round(time.Millisecond))
		}
		why = append(why, text)
	}
	return strings.Join(why, ", ")
}
