package scheduler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/metrics"
)

var _ Metrics = (*metrics.Metrics)(nil)

func TestFromConfig(t *testing.T) {
	c := config.Default()
	c.Sources = map[string]config.Source{
		"home": {Path: "/home", Region: "eu"},
		"mail": {Path: "/mail", Region: "us", Schedules: []string{"often"}},
	}
	c.Backup.Schedules.DailyIncremental.Policy.Timezone = "Europe/Berlin"
	c.Backup.Schedules.Custom = map[string]config.CustomSchedule{"often": {
		Enabled: true, Cron: "*/15 * * * *", Type: "incremental",
		Policy: config.SchedulePolicy{Timezone: "UTC", Overlap: "queue", Jitter: config.Duration(time.Minute), CatchUp: config.Duration(time.Hour)},
	}}
	plan, err := FromConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range plan.Schedules {
		next, _ := s.Next(time.Date(2025, 6, 2, 12, 0, 0, 0, time.UTC)) // a Monday
		var targets []string
		for _, target := range s.Targets {
			targets = append(targets, target.Source+"@"+target.Region)
		}
		got = append(got, strings.Join([]string{s.Name, string(s.Kind), string(s.Type), next.Format(time.RFC3339), strings.Join(targets, "+"), string(s.Overlap), s.Jitter.String()}, " "))
	}
	want := []string{
		"automated_tests restore_test  2025-06-07T05:00:00Z home@eu+mail@us skip 0s",
		"daily_incremental backup incremental 2025-06-03T00:00:00Z home@eu skip 0s",
		"monthly_archival backup archival 2025-07-01T04:00:00Z home@eu skip 0s",
		"often backup incremental 2025-06-02T12:15:00Z home@eu+mail@us queue 1m0s",
		"weekly_full backup full 2025-06-08T03:00:00Z home@eu skip 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}
	follow := FollowUps{Verify: true, Oldest: 16 << 30, OlderThan: 540 * time.Hour, Forget: true, Prune: 24 * time.Hour}
	if diff := cmp.Diff(follow, plan.FollowUps); diff != "" {
		t.Errorf("follow-ups (-want +got):\n%s", diff)
	}
}

func TestRefusedPlans(t *testing.T) {
	good := backups(t, "daily", "0 2 * * *", "home")
	change := func(fn func(*Schedule)) Plan {
		s := good
		s.Targets = append([]Target(nil), good.Targets...)
		fn(&s)
		return schedules(s)
	}
	for name, plan := range map[string]Plan{
		"no name":         change(func(s *Schedule) { s.Name = "" }),
		"no cron":         change(func(s *Schedule) { s.Timing = Timing{} }),
		"no overlap":      change(func(s *Schedule) { s.Overlap = "" }),
		"kind":            change(func(s *Schedule) { s.Kind = messages.KindPrune }),
		"backup type":     change(func(s *Schedule) { s.Type = "differential" }),
		"region":          change(func(s *Schedule) { s.Targets[0].Region = "e u" }),
		"negative jitter": change(func(s *Schedule) { s.Jitter = -1 }),
		"negative window": change(func(s *Schedule) { s.CatchUp = -1 }),
		"source twice":    change(func(s *Schedule) { s.Targets = append(s.Targets, s.Targets[0]) }),
		"source no name":  change(func(s *Schedule) { s.Targets[0].Source = "" }),
		"same name twice": schedules(good, good),
	} {
		if err := plan.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := New(Options{Plan: plan}); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
	if err := schedules(good).Check(); err != nil {
		t.Error(err)
	}
}
