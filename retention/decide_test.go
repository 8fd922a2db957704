package retention

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mahavishnu/config"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", time.RFC3339} {
		if x, err := time.Parse(layout, text); err == nil {
			return x
		}
	}
	t.Fatalf("time %q", text)
	return time.Time{}
}

// snap reads "TYPE TIME", and "!" or "*" in front for damaged and pinned.
func snap(t testing.TB, text string) Snapshot {
	t.Helper()
	s := Snapshot{Source: "home"}
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		s.Damaged, text = "blob missing", rest
	}
	if rest, ok := strings.CutPrefix(text, "*"); ok {
		s.Pinned, text = "legal", rest
	}
	kind, when, _ := strings.Cut(text, " ")
	s.ID, s.Time = text, at(t, when)
	s.Type = map[string]string{"i": "incremental", "f": "full", "a": "archival", "x": ""}[kind]
	return s
}

func seed() Policy {
	return Policy{Tiers: map[string]Span{"incremental": {Days: 7}, "full": {Weeks: 4}, "archival": {Months: 12}}}
}

func TestDecide(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		policy    Policy
		now       string
		snapshots []string
		forgotten []string
	}{
		{"nothing says what to keep", Policy{}, "2025-06-10", []string{"i 2020-01-01", "x 2019-01-01"}, nil},
		{
			"tiers, to the second", seed(), "2025-06-10T02:05",
			[]string{"i 2025-06-10T02:00", "i 2025-06-03T02:00", "i 2025-06-03T01:59", "f 2025-05-13T02:00", "f 2025-05-13T01:59", "a 2024-06-10T02:00", "a 2024-06-10T01:59"},
			[]string{"i 2025-06-03T01:59", "f 2025-05-13T01:59", "a 2024-06-10T01:59"},
		},
		{"the last good one stays for ever", seed(), "2030-01-01", []string{"i 2025-06-01"}, nil},
		{
			"ages count from the newest: a source that stopped keeps its history", seed(), "2030-01-01",
			[]string{"i 2025-06-08", "i 2025-06-07", "i 2025-05-01"},
			[]string{"i 2025-05-01"},
		},
		{"a damaged newest protects nothing", seed(), "2025-07-01", []string{"!i 2025-06-30", "i 2025-06-01", "i 2025-05-01"}, []string{"i 2025-05-01"}},
		{"only damaged ones: all stay", seed(), "2030-01-01", []string{"!i 2025-06-01", "!f 2020-01-01"}, nil},
		{"pins", seed(), "2025-07-01", []string{"i 2025-06-30", "*i 2020-01-01"}, nil},
		{
			"keep last counts good ones only",
			Policy{Last: 2},
			"2025-07-01",
			[]string{"i 2025-06-30", "!i 2025-06-29", "i 2025-06-28", "i 2025-06-27"},
			[]string{"!i 2025-06-29", "i 2025-06-27"},
		},
		{
			"the future is left alone and fills no place",
			Policy{Last: 1},
			"2025-07-01",
			[]string{"i 2035-01-01", "i 2025-06-30", "i 2025-06-29"},
			[]string{"i 2025-06-29"},
		},
		{
			"newest of each day, in UTC",
			Policy{Daily: 2},
			"2025-07-01",
			[]string{"i 2025-06-30T23:30", "i 2025-06-30T22:30", "i 2025-06-30T21:30", "i 2025-06-28T12:00", "i 2025-06-27T12:00"},
			[]string{"i 2025-06-30T22:30", "i 2025-06-30T21:30", "i 2025-06-27T12:00"},
		},
		{
			"newest of each day, in Berlin",
			Policy{Daily: 2, Zone: berlin},
			"2025-07-01",
			[]string{"i 2025-06-30T23:30", "i 2025-06-30T22:30", "i 2025-06-30T21:30", "i 2025-06-28T12:00"},
			[]string{"i 2025-06-30T22:30", "i 2025-06-28T12:00"},
		},
		{
			"hours, weeks, months, years",
			Policy{Hourly: 2, Weekly: 2, Monthly: 2, Yearly: 2},
			"2025-07-01",
			[]string{"i 2025-06-30T10:50", "i 2025-06-30T10:10", "i 2025-06-30T09:10", "i 2025-06-27T09:10", "i 2025-05-31T09:10", "i 2025-05-01T09:10", "i 2024-12-31T09:10", "i 2024-01-01T09:10"},
			[]string{"i 2025-06-30T10:10", "i 2025-05-01T09:10", "i 2024-01-01T09:10"},
		},
		{"ISO weeks cross the year", Policy{Weekly: 1}, "2025-01-10", []string{"i 2025-01-01", "i 2024-12-30", "i 2024-12-29"}, []string{"i 2024-12-30", "i 2024-12-29"}},
		{"within", Policy{Within: 48 * time.Hour}, "2025-07-01", []string{"i 2025-06-30", "i 2025-06-28", "i 2025-06-27"}, []string{"i 2025-06-27"}},
		{"a type without a tier, and no rule for all", seed(), "2025-07-01", []string{"i 2025-06-30", "x 2010-01-01"}, nil},
		{
			"a month before the 31st",
			Policy{Tiers: map[string]Span{"archival": {Months: 1}}},
			"2025-04-01",
			[]string{"a 2025-03-31", "a 2025-02-28", "a 2025-02-27"},
			[]string{"a 2025-02-27"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var snapshots []Snapshot
			for _, text := range c.snapshots {
				snapshots = append(snapshots, snap(t, text))
			}
			var forgotten []string
			for _, d := range c.policy.Decide(snapshots, at(t, c.now)) {
				if !d.Keep {
					forgotten = append(forgotten, mark(d.Snapshot))
				}
				if prefix := map[bool]string{true: "kept: ", false: "forgotten: "}[d.Keep]; !strings.HasPrefix(d.Why, prefix) {
					t.Errorf("%s: %q", d.Snapshot.ID, d.Why)
				}
			}
			if diff := cmp.Diff(c.forgotten, forgotten); diff != "" {
				t.Errorf("forgotten (-want +got):\n%s", diff)
			}
		})
	}
}

func mark(s Snapshot) string {
	if s.Damaged != "" {
		return "!" + s.ID
	}
	return s.ID
}

func TestWhy(t *testing.T) {
	p := seed()
	p.Daily, p.Within = 2, 24*time.Hour
	decisions := p.Decide([]Snapshot{
		snap(t, "i 2025-06-30T02:00"), snap(t, "*i 2025-06-01T02:00"), snap(t, "!i 2025-05-31T02:00"), snap(t, "x 2025-05-30T02:00"),
	}, at(t, "2025-06-30T03:00"))
	var got []string
	for _, d := range decisions {
		got = append(got, d.Why)
	}
	want := []string{
		"kept: it is the newest good snapshot of its source; incremental snapshots are kept for 7 days; it is within 24h0m0s of the newest; it is the newest of 2025-06-30, among the last days to keep",
		"kept: it is pinned (legal); it is the newest of 2025-06-01, among the last days to keep",
		"forgotten: incremental snapshots are kept for 7 days, and no other rule keeps it; it is damaged (blob missing) and fills no place of a rule that counts",
		"forgotten: no rule keeps untyped snapshots of its age",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestSpan(t *testing.T) {
	for want, s := range map[string]Span{"no time": {}, "1 day": {Days: 1}, "4 weeks": {Weeks: 4}, "12 months and 2 days": {Months: 12, Days: 2}} {
		if got := s.String(); got != want {
			t.Errorf("%#v = %q, want %q", s, got, want)
		}
	}
}

func remaining(decisions []Decision) []Snapshot {
	var kept []Snapshot
	for _, d := range decisions {
		if d.Keep {
			kept = append(kept, d.Snapshot)
		}
	}
	return kept
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func drawSnapshots(t *rapid.T) []Snapshot {
	n := rapid.IntRange(0, 40).Draw(t, "n")
	var snapshots []Snapshot
	for i := range n {
		s := Snapshot{
			ID: fmt.Sprint("s", i), Source: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"),
			Type: rapid.SampledFrom([]string{"incremental", "full", "archival", ""}).Draw(t, "type"),
			Time: epoch.Add(time.Duration(rapid.IntRange(0, 900*24).Draw(t, "hour")) * time.Hour),
		}
		switch rapid.IntRange(0, 7).Draw(t, "state") {
		case 0:
			s.Damaged = "damaged"
		case 1:
			s.Pinned = "pinned"
		}
		snapshots = append(snapshots, s)
	}
	return snapshots
}

func drawPolicy(t *rapid.T) Policy {
	count := func(name string) int { return rapid.IntRange(0, 5).Draw(t, name) }
	p := Policy{
		Last: count("last"), Hourly: count("hourly"), Daily: count("daily"), Weekly: count("weekly"),
		Monthly: count("monthly"), Yearly: count("yearly"), Within: time.Duration(count("within")) * 100 * time.Hour,
	}
	if rapid.Bool().Draw(t, "tiers") {
		p.Tiers = map[string]Span{"incremental": {Days: count("days") + 1}, "full": {Weeks: count("weeks") + 1}, "archival": {Months: count("months") + 1}}
	}
	return p
}

func keptIDs(decisions []Decision) map[string]bool {
	ids := map[string]bool{}
	for _, d := range decisions {
		if d.Keep {
			ids[d.Snapshot.ID] = true
		}
	}
	return ids
}

func subset(t *rapid.T, what string, small, large map[string]bool) {
	for id := range small {
		if !large[id] {
			t.Fatalf("%s: %s was kept before and is not now", what, id)
		}
	}
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		snapshots, p := drawSnapshots(t), drawPolicy(t)
		now := epoch.AddDate(0, 0, rapid.IntRange(0, 1000).Draw(t, "now"))
		decisions := p.Decide(snapshots, now)
		kept := keptIDs(decisions)
		if len(decisions) != len(snapshots) {
			t.Fatalf("%d decisions about %d snapshots", len(decisions), len(snapshots))
		}

		if again := keptIDs(p.Decide(remaining(decisions), now)); !maps.Equal(again, kept) {
			t.Fatalf("not idempotent: kept %v, then %v", kept, again)
		}
		shuffled := rapid.Permutation(snapshots).Draw(t, "order")
		if other := keptIDs(p.Decide(shuffled, now)); !maps.Equal(other, kept) {
			t.Fatal("the order of the snapshots matters")
		}
		subset(t, "later", keptIDs(p.Decide(snapshots, now.AddDate(0, 0, rapid.IntRange(0, 400).Draw(t, "later")))), kept)

		more := p
		more.Last++
		more.Daily += rapid.IntRange(0, 3).Draw(t, "more daily")
		more.Monthly += rapid.IntRange(0, 3).Draw(t, "more monthly")
		more.Within += 50 * time.Hour
		more.Tiers = maps.Clone(p.Tiers)
		for kind, span := range more.Tiers {
			span.Days++
			more.Tiers[kind] = span
		}
		if p.counts() {
			subset(t, "a wider policy", kept, keptIDs(more.Decide(snapshots, now)))
		}
		if len(snapshots) > 0 {
			pinned := slices.Clone(snapshots)
			i := rapid.IntRange(0, len(pinned)-1).Draw(t, "pin")
			pinned[i].Pinned = "now"
			wider := keptIDs(p.Decide(pinned, now))
			subset(t, "a pin", kept, wider)
			if !wider[pinned[i].ID] {
				t.Fatal("a pinned snapshot was forgotten")
			}
		}
		lastGoodStays(t, snapshots, kept, now)
	})
}

func lastGoodStays(t *rapid.T, snapshots []Snapshot, kept map[string]bool, now time.Time) {
	for _, source := range []string{"a", "b"} {
		good, left := 0, 0
		var newest time.Time
		for _, s := range snapshots {
			if s.Source != source || s.Damaged != "" || s.Time.After(now) {
				continue
			}
			good++
			if kept[s.ID] {
				left++
				if s.Time.After(newest) {
					newest = s.Time
				}
			}
		}
		if good > 0 && left == 0 {
			t.Fatalf("all %d good snapshots of %s were forgotten", good, source)
		}
		for _, s := range snapshots {
			if s.Source == source && s.Damaged == "" && !s.Time.After(now) && s.Time.After(newest) {
				t.Fatalf("the newest good snapshot of %s was forgotten", source)
			}
		}
	}
}

func TestFromConfig(t *testing.T) {
	p, err := FromConfig(config.Default().Backup)
	if err != nil {
		t.Fatal(err)
	}
	want := Policy{Zone: time.UTC, Tiers: map[string]Span{"incremental": {Days: 7}, "full": {Weeks: 4}, "archival": {Months: 12}}}
	if diff := cmp.Diff(want, p, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("policy of the defaults (-want +got):\n%s", diff)
	}
	bad := config.Default().Backup
	bad.Schedules.DailyIncremental.Policy.Timezone = "Mars/Olympus"
	if _, err := FromConfig(bad); err == nil {
		t.Error("a zone that does not exist was accepted")
	}
}

func BenchmarkDecide(b *testing.B) {
	p := seed()
	p.Daily, p.Weekly, p.Monthly = 30, 52, 60
	var snapshots []Snapshot
	for i := range 10_000 {
		snapshots = append(snapshots, Snapshot{ID: fmt.Sprint(i), Source: fmt.Sprint("s", i%10), Type: "incremental", Time: epoch.Add(time.Duration(i) * time.Hour)})
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(snapshots, epoch.AddDate(3, 0, 0))
	}
}
