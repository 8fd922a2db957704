package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchedulesInOneForm(t *testing.T) {
	c, _ := loadText(t, `
backup:
  schedules:
    daily_incremental: {time: "23:59", timezone: Europe/Berlin}
    weekly_full: {day: Wednesday, time: "03:05", sources: [b]}
    monthly_archival: {day: last, enabled: false}
    often: {cron: "*/15 * * * *", jitter: 1m, sources: [a]}
disaster_recovery:
  automated_tests: {schedule: monthly, day: saturday, time: "05:00"}
sources:
  a: {path: /a}
  b: {path: /b}
  c: {path: /c, schedules: [often]}
`)
	type line struct {
		Name, Kind, Type, Cron, Zone string
		Sources                      []string
	}
	var got []line
	for _, s := range c.Schedules() {
		got = append(got, line{s.Name, s.Kind, s.Type, s.Cron, s.Policy.Timezone, s.Sources})
	}
	want := []line{
		{"automated_tests", KindRestoreTest, "", "0 5 * * 6#1", "UTC", []string{"a", "b", "c"}},
		{"daily_incremental", KindBackup, TypeIncremental, "59 23 * * *", "Europe/Berlin", []string{"a", "b"}},
		{"often", KindBackup, TypeIncremental, "*/15 * * * *", "UTC", []string{"a", "c"}},
		{"weekly_full", KindBackup, TypeFull, "5 3 * * 3", "UTC", []string{"b"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}
	for _, s := range c.Schedules() {
		if _, err := ParseCron(s.Cron); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func TestCronDialect(t *testing.T) {
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for expression, want := range map[string]string{
		"0 2 * * *":    "2024-01-01 02:00",
		"0 4 L * *":    "2024-01-31 04:00",
		"0 5 * * 6#1":  "2024-01-06 05:00",
		"0 0 29 2 *":   "2024-02-29 00:00",
		"0 0 13 * 5":   "2024-01-05 00:00", // a Friday, or the 13th
		"@weekly":      "2024-01-07 00:00",
		" 30 6 * * 1 ": "2024-01-01 06:30",
	} {
		s, err := ParseCron(expression)
		if err != nil {
			t.Errorf("%q: %v", expression, err)
			continue
		}
		if got := s.Next(from).Format("2006-01-02 15:04"); got != want {
			t.Errorf("%q comes at %s, want %s", expression, got, want)
		}
	}
}

func TestEffectiveCompression(t *testing.T) {
	for text, want := range map[string]struct {
		algorithm string
		level     int
	}{
		"{}":                {CompressionZstd, 1},
		"{enabled: false}":  {CompressionNone, 0},
		"{algorithm: none}": {CompressionNone, 0},
		"{algorithm: gzip}": {CompressionGzip, 6},
		"{level: 19}":       {CompressionZstd, 19},
	} {
		c, _ := loadText(t, "backup: {compression: "+text+"}")
		if algorithm, level := c.EffectiveCompression(); algorithm != want.algorithm || level != want.level {
			t.Errorf("%s means %s %d, want %v", text, algorithm, level, want)
		}
	}
}

func TestSwitchesTakeTheirSectionAlong(t *testing.T) {
	on := Default()
	if v := on.Backup.Validation; !v.OnCreate() || !v.OnRestore() || !on.Backup.Monitoring.ServesMetrics() {
		t.Error("the defaults verify and measure")
	}
	off, _ := loadText(t, "backup: {validation: {enabled: false}, monitoring: {enabled: false}}")
	if v := off.Backup.Validation; v.OnCreate() || v.OnRestore() || off.Backup.Monitoring.ServesMetrics() {
		t.Error("a section that is off switches off what is in it")
	}
	if got := (Node{}).EffectiveSlots(); got < 1 {
		t.Errorf("%d slots", got)
	}
	if got := (Node{Slots: 7}).EffectiveSlots(); got != 7 {
		t.Errorf("%d slots, want 7", got)
	}
}

func TestNotices(t *testing.T) {
	for text, want := range map[string][]string{
		"sources: {a: {path: /a}}": nil,
		"{}":                       {"sources"},
		"{backup: {encryption: {key_path: /a/etc/key}}, sources: {a: {path: /a}}}":                       {"sources.a"},
		"{backup: {encryption: {key_path: /a/etc/key}}, sources: {a: {path: /a, exclude: [/etc/key]}}}":  nil,
		"{backup: {encryption: {key_path: /a/etc/key}}, sources: {a: {path: /a, exclude: [\"/etc/\"]}}}": nil,
		"{backup: {enabled: false}, sources: {a: {path: /a}}}":                                           {"backup.enabled"},
		"{backup: {monitoring: {alert_on_failure: true}}, disaster_recovery: {drills: {enabled: true}}, sources: {a: {path: /a}}}": {
			"backup.monitoring.alert_on_failure", "disaster_recovery.drills.enabled",
		},
		"{backup: {schedules: {never: {cron: '@daily', sources: []}}}, sources: {a: {path: /a, schedules: [weekly_full]}}}": {
			"backup.schedules.daily_incremental", "backup.schedules.monthly_archival", "backup.schedules.never",
		},
		"{backup: {schedules: {weekly_full: {paused: true}}}, sources: {a: {path: /a, schedules: [weekly_full]}, b: {path: /b}}}": {
			"sources.a",
		},
	} {
		c, _ := loadText(t, text)
		var got []string
		for _, n := range c.Notices() {
			got = append(got, n.Key)
			if !strings.HasSuffix(n.Message, ".") || !strings.HasPrefix(n.String(), n.Key+": ") {
				t.Errorf("notice %q is no sentence", n)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: notices (-want +got):\n%s", text, diff)
		}
	}
}
