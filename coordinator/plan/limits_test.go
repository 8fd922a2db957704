package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/config"
)

// Whoever is told when the next may begin may begin it then, whatever keeps it until then.
func TestLimitsNameTheTimeThatCounts(t *testing.T) {
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	before := func(d time.Duration, each string, worked bool) Run {
		return Run{At: now.Add(-d - 300*time.Millisecond), Each: each, Worked: worked}
	}
	l := Limits{AtMost: 2, Within: config.Duration(time.Hour), Quiet: config.Duration(2 * time.Minute), Each: "$from"}
	failures := l
	failures.OnlyFailures = true
	for name, c := range map[string]struct {
		limits Limits
		runs   []Run
		idle   time.Time
		want   string // "" is that it may
	}{
		"nothing was":            {l, nil, time.Time{}, ""},
		"quiet":                  {l, []Run{before(50*time.Second, "a", true)}, time.Time{}, "one began 50s ago; the next may in 1m10s, at 2026-03-01 02:01:10 UTC"},
		"quiet, and too many":    {l, []Run{before(4*time.Minute, "b", true), before(time.Minute, "a", true)}, time.Time{}, "2 within 1h; the next may in 56m, at 2026-03-01 02:56:00 UTC"},
		"too many, soon over":    {l, []Run{before(59*time.Minute+30*time.Second, "b", true), before(time.Second, "a", true)}, time.Time{}, "one began 1s ago; the next may in 1m59s"},
		"another died":           {l, []Run{before(time.Second, "b", true)}, time.Time{}, ""},
		"found nothing to do":    {l, nil, now.Add(-time.Second), "found nothing to do 1s ago; the next may in 4s"},
		"many that worked":       {failures, []Run{before(9*time.Minute, "a", true), before(8*time.Minute, "a", true), before(7*time.Minute, "a", true)}, time.Time{}, ""},
		"two that did not":       {failures, []Run{before(9*time.Minute, "a", false), before(8*time.Minute, "a", true), before(7*time.Minute, "a", false)}, time.Time{}, "2 failed within 1h; the next may in 51m"},
		"one that worked, quiet": {failures, []Run{before(time.Minute, "a", true)}, time.Time{}, "one began 1m ago; the next may in 1m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Standing{Automatic: c.runs, Idle: c.idle}
			err := c.limits.allow(s, Run{At: now, Each: "a"})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrTooSoon) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			_, told, _ := strings.Cut(err.Error(), ", at ")
			at, err := time.Parse("2006-01-02 15:04:05 UTC", told)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.limits.allow(s, Run{At: at, Each: "a"}); err != nil {
				t.Errorf("at that time: %v", err)
			}
		})
	}
}

// Executions that did what they were for use up no limit that is about failures; those that
// did not do, also when they are committed as they stand.
func TestOnlyFailuresCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		text := strings.NewReplacer("quiet: 5m", "quiet: 5m, only_failures: true", "window: 10m", "window: none").Replace(small)
		run := func() (Execution, error) {
			t.Helper()
			time.Sleep(6 * time.Minute)
			e, err := x.Start(t.Context(), 5, order(t, text, "db", Automatic))
			if err != nil {
				return e, err
			}
			return x.Run(t.Context(), 5, e.ID)
		}
		for range 5 {
			if e, err := run(); err != nil || e.State != StateCommitted {
				t.Fatalf("%s %v", e.State, err)
			}
		}
		w.fails["second"] = 100
		for range 2 {
			if e, err := run(); err != nil || e.State != StateStopped {
				t.Fatalf("%s %v", e.State, err)
			}
		}
		if _, err := run(); !errors.Is(err, ErrTooSoon) || !strings.Contains(err.Error(), "2 failed within 1h") {
			t.Error(err)
		}
	})
}

// What cannot come is not waited for, and not tried again.
func TestWhatIsHopelessIsNotWaitedFor(t *testing.T) {
	for _, kind := range []string{"probe", "check"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				looks := 0
				x := node{w: w}.executor(t, func(o *Options) {
					o.Registry.conditions["is"] = ConditionFunc(func(context.Context, Call) (bool, string, error) {
						looks++
						return false, "", fmt.Errorf("%w: it died", ErrHopeless)
					})
				})
				text := strings.TrimSpace(small) + "\n  - {name: c, kind: " + kind + ", uses: is, with: {thing: served}, timeout: 1h, retries: 9}\n"
				began := x.now()
				e, err := x.Start(t.Context(), 5, order(t, text, "db", ByHand))
				if err == nil {
					e, err = x.Run(t.Context(), 5, e.ID)
				}
				if err != nil || e.State != StateStopped || !strings.Contains(e.Error, "it died") || looks != 1 || !x.now().Equal(began) {
					t.Errorf("%s: %s, %v; looked %d times in %v", e.State, e.Error, err, looks, x.now().Sub(began))
				}
			})
		})
	}
}
