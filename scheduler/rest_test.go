package scheduler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

// rest tells the scheduler of a stage what was changed about regions.
func (st *stage) rest(records ...messages.RegionRecord) {
	var all messages.Regions
	for _, r := range records {
		all = all.With(r)
	}
	st.s.moved.Store(&all)
	st.tick()
}

func by(execution, to string) *messages.RegionChange {
	return &messages.RegionChange{To: to, Execution: execution, Epoch: 7}
}

// While a region is paused its slots become no jobs; of those the newest runs when the
// pause ends, and the others are told as paused. Other regions go on.
func TestARegionIsPaused(t *testing.T) {
	plan := schedules(backups(t, "hourly", "0 * * * *", "home", "far"))
	plan.Schedules[0].Targets[0].Region = "us" // far
	st := newStage(t, plan)
	st.rest(messages.RegionRecord{Region: "eu", Paused: by("region_failure-1", "")})
	st.pass(3*time.Hour + time.Minute)
	st.want("jobs", sorted(st.ids()),
		"hourly/far/20250602T010000Z", "hourly/far/20250602T020000Z", "hourly/far/20250602T030000Z")
	st.wantCounts(map[string]int{"submitted": 3, "paused": 2})
	for _, up := range st.s.Status().Upcoming {
		rests := up.Rests != ""
		if rests != (up.Source == "home") || rests == up.Held.IsZero() {
			t.Errorf("status of %s: rests %q, held %v", up.Source, up.Rests, up.Held)
		}
	}
	st.restart(plan) // what is held is remembered
	st.rest()
	st.want("jobs", sorted(st.ids()), "hourly/far/20250602T010000Z", "hourly/far/20250602T020000Z", "hourly/far/20250602T030000Z",
		"hourly/home/20250602T030000Z")
	st.pass(time.Hour)
	st.wantCounts(map[string]int{"submitted": 6, "paused": 2})
}

// A slot that is too old when the pause ends, by its schedule's window, is not caught up.
func TestAPauseIsCaughtUpWithinTheWindow(t *testing.T) {
	for _, c := range []struct {
		name   string
		window time.Duration
		pause  time.Duration
		runs   bool
	}{
		{"shorter than the window", 6 * time.Hour, 5 * time.Hour, true},
		{"longer than the window", 6 * time.Hour, 7*time.Hour + time.Minute, false},
		{"no window, but punctual", 0, time.Hour + time.Minute, true},
		{"no window", 0, time.Hour + 3*time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := schedules(backups(t, "daily", "0 1 * * *", "home"))
			plan.Schedules[0].CatchUp = c.window
			st := newStage(t, plan)
			st.rest(messages.RegionRecord{Region: "eu", Paused: by("x", "")})
			st.pass(c.pause)
			st.rest()
			want := map[string]int{"paused": 1}
			if c.runs {
				want = map[string]int{"submitted": 1}
			}
			st.wantCounts(want)
		})
	}
}

// Nothing is copied to a place that was promoted, by interval or after a backup; other
// copies of the same region go on.
func TestCopiesToAPrimaryRest(t *testing.T) {
	plan := replicated(t, "")
	st := newStage(t, plan)
	copies := st.s.Plan().FollowUps.Replicate
	if len(copies) < 1 {
		t.Fatal("the plan copies nothing")
	}
	c := copies[0]
	jobs, err := plan.FollowUps.After(messages.Event{
		Job: "j", Kind: messages.KindBackup, Outcome: messages.OutcomeSucceeded, Region: c.From, Source: "home",
	})
	if err != nil {
		t.Fatal(err)
	}
	all := len(st.s.wanted(jobs))
	st.rest(messages.RegionRecord{Region: c.From, Repository: by("x", c.To)})
	if diff := cmp.Diff(all-1, len(st.s.wanted(jobs))); diff != "" {
		t.Errorf("follow-ups (-want +got):\n%s", diff)
	}
	for _, up := range st.s.Status().Upcoming {
		if (up.Rests != "") != (up.Source == c.name()) {
			t.Errorf("%s rests: %q", up.Source, up.Rests)
		}
	}
}
