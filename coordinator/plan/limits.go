package plan

import (
	"fmt"
	"time"

	"mahavishnu/config"
)

// Run is an automatic execution, as limits count it.
type Run struct {
	At time.Time `json:"at"`
	// Each is what [Limits.Each] stood for in it.
	Each string `json:"each,omitempty"`
	// Worked is set once it was committed with nothing in its way.
	Worked bool `json:"worked,omitempty"`
}

// run is an execution as its plan's limits count it, begun now.
func (e *Execution) run(now time.Time) Run {
	return Run{At: now, Each: e.Plan.Limits.Each.expand(e.Params)}
}

// worked tells whether an execution did what it was for: not one that had stopped, and was
// committed as it stood.
func (e *Execution) worked() bool { return e.State == StateCommitted && e.Error == "" }

// allow is the hysteresis of automatic executions: what failed over a moment ago
// does not do so again, and what does it over and over is left to people. It says when
// the next may begin as things are: once nothing keeps it any more.
func (l Limits) allow(s Standing, next Run) error {
	l = l.withDefaults()
	var until time.Time
	var why string
	keeps := func(end time.Time, reason string) {
		if end.After(next.At) && end.After(until) {
			until, why = end, reason
		}
	}
	if !s.Idle.IsZero() {
		keeps(s.Idle.Add(idlePause), fmt.Sprintf("the last one found nothing to do %v ago", ago(next.At, s.Idle)))
	}
	var counted []time.Time
	for _, run := range s.Automatic {
		if run.Each == next.Each {
			keeps(run.At.Add(l.Quiet.Std()), fmt.Sprintf("one began %v ago", ago(next.At, run.At)))
		}
		if next.At.Sub(run.At) < l.Within.Std() && (!l.OnlyFailures || !run.Worked) {
			counted = append(counted, run.At)
		}
	}
	if n := len(counted) - l.AtMost; n >= 0 {
		did := ""
		if l.OnlyFailures {
			did = " failed"
		}
		keeps(counted[n].Add(l.Within.Std()), fmt.Sprintf("%d%s within %v", len(counted), did, l.Within))
	}
	if why == "" {
		return nil
	}
	// Rounded up: whoever comes at the time that was named may.
	wait := (until.Sub(next.At) + time.Second - 1).Truncate(time.Second)
	return fmt.Errorf("%w: %s; the next may in %v, at %s", ErrTooSoon, why, config.Duration(wait), next.At.Add(wait).UTC().Format("2006-01-02 15:04:05 UTC"))
}

// ago is how long before now something was, for people.
func ago(now, then time.Time) config.Duration {
	return config.Duration(now.Sub(then).Round(time.Second))
}
