package scheduler

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func cronTiming(t testing.TB, expression string) Timing {
	t.Helper()
	timing, err := Cron(expression)
	if err != nil {
		t.Fatal(err)
	}
	return timing
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func collect(seq iter.Seq[time.Time], z *time.Location) []string {
	var out []string
	for at := range seq {
		out = append(out, at.In(z).Format("2006-01-02 15:04:05 -07:00"))
	}
	return out
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestClockChanges(t *testing.T) {
	for _, c := range []struct {
		name     string
		zone     string
		timing   Timing
		from, to string // RFC 3339
		want     []string
	}{
		{
			"a slot in the gap runs when the gap ends", "Europe/Berlin", cronTiming(t, "30 2 * * *"),
			"2025-03-28T12:00:00Z", "2025-03-31T12:00:00Z",
			[]string{"2025-03-29 02:30:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-31 02:30:00 +02:00"},
		},
		{
			"a slot in a doubled hour runs the first time", "Europe/Berlin", cronTiming(t, "30 2 * * *"),
			"2025-10-24T12:00:00Z", "2025-10-27T12:00:00Z",
			[]string{"2025-10-25 02:30:00 +02:00", "2025-10-26 02:30:00 +02:00", "2025-10-27 02:30:00 +01:00"},
		},
		{
			"many slots in one gap run once", "Europe/Berlin", cronTiming(t, "15,30,45 2 * * *"),
			"2025-03-29T12:00:00Z", "2025-03-30T12:00:00Z",
			[]string{"2025-03-30 03:00:00 +02:00"},
		},
		{
			"the end of the gap is one slot, not two", "Europe/Berlin", cronTiming(t, "0 2,3 * * *"),
			"2025-03-29T12:00:00Z", "2025-03-30T12:00:00Z",
			[]string{"2025-03-30 03:00:00 +02:00"},
		},
		{
			"due every hour: both passes of a doubled hour", "Europe/Berlin", cronTiming(t, "30 * * * *"),
			"2025-10-25T23:00:00Z", "2025-10-26T03:00:00Z",
			[]string{"2025-10-26 01:30:00 +02:00", "2025-10-26 02:30:00 +02:00", "2025-10-26 02:30:00 +01:00", "2025-10-26 03:30:00 +01:00"},
		},
		{
			"due every hour: one slot for the gap", "Europe/Berlin", cronTiming(t, "*/30 * * * *"),
			"2025-03-30T00:00:00Z", "2025-03-30T02:00:00Z",
			[]string{"2025-03-30 01:30:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-30 03:30:00 +02:00", "2025-03-30 04:00:00 +02:00"},
		},
		{
			"named hours: first pass only, however many minutes", "Europe/Berlin", cronTiming(t, "*/20 1-3 * * *"),
			"2025-10-25T23:50:00Z", "2025-10-26T02:30:00Z",
			[]string{
				"2025-10-26 02:00:00 +02:00", "2025-10-26 02:20:00 +02:00", "2025-10-26 02:40:00 +02:00",
				"2025-10-26 03:00:00 +01:00", "2025-10-26 03:20:00 +01:00",
			},
		},
		{
			"New York in spring", "America/New_York", cronTiming(t, "0 2 * * *"),
			"2025-03-08T12:00:00Z", "2025-03-10T12:00:00Z",
			[]string{"2025-03-09 03:00:00 -04:00", "2025-03-10 02:00:00 -04:00"},
		},
		{
			"New York in autumn", "America/New_York", cronTiming(t, "30 1 * * SUN"),
			"2025-10-27T12:00:00Z", "2025-11-10T12:00:00Z",
			[]string{"2025-11-02 01:30:00 -04:00", "2025-11-09 01:30:00 -05:00"},
		},
		{
			"Lord Howe moves by half an hour: gap", "Australia/Lord_Howe", cronTiming(t, "15 2 * * *"),
			"2025-10-04T00:00:00Z", "2025-10-06T00:00:00Z",
			[]string{"2025-10-05 02:30:00 +11:00", "2025-10-06 02:15:00 +11:00"},
		},
		{
			"Lord Howe moves by half an hour: doubled", "Australia/Lord_Howe", cronTiming(t, "45 1 * * *"),
			"2025-04-05T00:00:00Z", "2025-04-07T00:00:00Z",
			[]string{"2025-04-06 01:45:00 +11:00", "2025-04-07 01:45:00 +10:30"},
		},
		{
			"Apia skipped a day", "Pacific/Apia", cronTiming(t, "0 2 * * *"),
			"2011-12-28T18:00:00Z", "2012-01-01T00:00:00Z",
			[]string{"2011-12-29 02:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 02:00:00 +14:00", "2012-01-01 02:00:00 +14:00"},
		},
		{
			"a midnight that does not exist", "America/Sao_Paulo", cronTiming(t, "0 0 * * *"),
			"2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z",
			[]string{"2018-11-04 01:00:00 -02:00", "2018-11-05 00:00:00 -02:00"},
		},
		{
			"Kwajalein skipped a day too", "Pacific/Kwajalein", cronTiming(t, "0 12 * * *"),
			"1993-08-20T00:00:00Z", "1993-08-23T00:00:00Z",
			[]string{"1993-08-20 12:00:00 -12:00", "1993-08-22 00:00:00 +12:00", "1993-08-22 12:00:00 +12:00", "1993-08-23 12:00:00 +12:00"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := zone(t, c.zone)
			r := Recurrence{Timing: c.timing, Zone: z}
			got := collect(r.Slots(instant(t, c.from), instant(t, c.to)), z)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.timing, diff)
			}
		})
	}
}

func TestTimings(t *testing.T) {
	for _, c := range []struct {
		timing Timing
		n      int
		want   []string
	}{
		{cronTiming(t, "0 2 * * *"), 2, []string{"2024-02-01 02:00:00 +00:00", "2024-02-02 02:00:00 +00:00"}},
		{cronTiming(t, "0 3 * * 0"), 2, []string{"2024-02-04 03:00:00 +00:00", "2024-02-11 03:00:00 +00:00"}},
		{cronTiming(t, "0 5 * * 6"), 1, []string{"2024-02-03 05:00:00 +00:00"}},
		{cronTiming(t, "0 4 1 * *"), 2, []string{"2024-02-01 04:00:00 +00:00", "2024-03-01 04:00:00 +00:00"}},
		{cronTiming(t, "0 4 L * *"), 3, []string{"2024-02-29 04:00:00 +00:00", "2024-03-31 04:00:00 +00:00", "2024-04-30 04:00:00 +00:00"}},
		{cronTiming(t, "0 2 * * *"), 1, []string{"2024-02-01 02:00:00 +00:00"}},
		{cronTiming(t, " @daily "), 1, []string{"2024-02-01 00:00:00 +00:00"}},
		{cronTiming(t, "0 0 L * *"), 2, []string{"2024-02-29 00:00:00 +00:00", "2024-03-31 00:00:00 +00:00"}},
		{cronTiming(t, "0 0 * * FRI#2"), 1, []string{"2024-02-09 00:00:00 +00:00"}},
		{cronTiming(t, "0 0 29 2 *"), 2, []string{"2024-02-29 00:00:00 +00:00", "2028-02-29 00:00:00 +00:00"}},
		// Both day fields restricted: either suffices, as in every crontab.
		{cronTiming(t, "0 0 13 * FRI"), 3, []string{"2024-02-02 00:00:00 +00:00", "2024-02-09 00:00:00 +00:00", "2024-02-13 00:00:00 +00:00"}},
	} {
		t.Run(c.timing.String(), func(t *testing.T) {
			at := time.Date(2024, 1, 31, 22, 30, 0, 0, time.UTC)
			var got []string
			for range c.n {
				next, ok := Recurrence{Timing: c.timing}.Next(at)
				if !ok {
					t.Fatalf("no slot after %v", at)
				}
				got = append(got, next.Format("2006-01-02 15:04:05 -07:00"))
				at = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("slots (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedTimings(t *testing.T) {
	for _, expression := range []string{
		"", "x", "61 * * * *", "0 2 * * 8", "0 0 2 * * *", "*/0 * * * *", "0 0 31 2 *", "CRON_TZ=UTC 0 2 * * *",
		"@every 5m", "@reboot", "@fortnightly",
	} {
		if timing, err := Cron(expression); err == nil {
			t.Errorf("Cron(%q) = %v, want an error", expression, timing)
		}
	}
	for _, name := range []string{"Local", "Europe/Atlantis"} {
		if _, err := LoadZone(name); err == nil {
			t.Errorf("LoadZone(%q) was accepted", name)
		}
	}
	if _, ok := (Recurrence{}).Next(time.Unix(0, 0)); ok {
		t.Error("the zero recurrence is due")
	}
}

// walk is the rule read off a clock on the wall: it looks at the clock once a
// minute and knows nothing of offsets. It is slow, and it is the oracle.
func walk(match func(wall time.Time) bool, hourly bool, z *time.Location, from, to time.Time) []time.Time {
	var slots []time.Time
	shown := wallOf(from.Add(-reach), z)
	for at := from.Add(-reach).Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		wall := wallOf(at, z)
		due := false
		if wall.After(shown) { // new wall-clock times, more than one after a jump
			for w := shown.Add(time.Minute); !w.After(wall); w = w.Add(time.Minute) {
				due = due || match(w)
			}
			shown = wall
		} else { // shown before
			due = hourly && match(wall)
		}
		if due && at.After(from) {
			slots = append(slots, at)
		}
	}
	return slots
}

func TestSlotsAgreeWithAClockOnTheWall(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo",
		"Europe/Dublin", "Antarctica/Troll", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns", "Asia/Tehran",
	}
	starts := []time.Time{ // days around clock changes, and any other
		time.Date(2025, 3, 28, 0, 0, 0, 0, time.UTC), time.Date(2025, 10, 24, 0, 0, 0, 0, time.UTC),
		time.Date(2025, 3, 7, 0, 0, 0, 0, time.UTC), time.Date(2025, 10, 31, 0, 0, 0, 0, time.UTC),
		time.Date(2025, 4, 4, 0, 0, 0, 0, time.UTC), time.Date(2025, 10, 3, 0, 0, 0, 0, time.UTC),
		time.Date(2011, 12, 28, 0, 0, 0, 0, time.UTC), time.Date(2018, 11, 2, 0, 0, 0, 0, time.UTC),
		time.Date(2018, 2, 16, 0, 0, 0, 0, time.UTC), time.Date(2021, 3, 20, 0, 0, 0, 0, time.UTC),
		time.Date(2023, 3, 17, 0, 0, 0, 0, time.UTC), time.Date(2023, 4, 21, 0, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		z, err := LoadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := rapid.SampledFrom(starts).Draw(t, "start").Add(time.Duration(rapid.IntRange(0, 2*24*60).Draw(t, "offset")) * time.Minute)
		to := from.Add(36 * time.Hour)
		minutes := rapid.SliceOfNDistinct(rapid.IntRange(0, 59), 1, 4, rapid.ID).Draw(t, "minutes")
		hours := rapid.SliceOfNDistinct(rapid.IntRange(0, 23), 1, 6, rapid.ID).Draw(t, "hours")
		hourly := rapid.Bool().Draw(t, "every hour")

		minuteField, hourField := list(minutes), list(hours)
		if hourly {
			hourField = "*"
		}
		timing, err := Cron(minuteField + " " + hourField + " * * *")
		if err != nil {
			t.Fatal(err)
		}
		match := func(wall time.Time) bool {
			return slices.Contains(minutes, wall.Minute()) && (hourly || slices.Contains(hours, wall.Hour()))
		}
		want := walk(match, hourly, z, from, to)
		got := slices.Collect(Recurrence{Timing: timing, Zone: z}.Slots(from, to))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s in %s from %s (-wall clock +slots):\n%s", timing, z, from.In(z), diff)
		}
	})
}

func list(numbers []int) string {
	text := ""
	for i, n := range numbers {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprint(n)
	}
	return text
}

// However a span is cut into pieces, the slots are the same: a scheduler that
// restarts at any moment neither loses nor repeats one.
func TestSlotsDoNotDependOnWhereOneLooks(t *testing.T) {
	timings := []Timing{cronTiming(t, "*/15 * * * *"), cronTiming(t, "30 1,2 * * *"), cronTiming(t, "*/7 1-4 * * *")}
	zones := []*time.Location{zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "America/New_York")}
	rapid.Check(t, func(t *rapid.T) {
		r := Recurrence{Timing: rapid.SampledFrom(timings).Draw(t, "timing"), Zone: rapid.SampledFrom(zones).Draw(t, "zone")}
		from := time.Date(2025, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		to := from.AddDate(0, 0, 7)
		whole := slices.Collect(r.Slots(from, to))
		var pieces []time.Time
		for at := from; at.Before(to); {
			end := at.Add(time.Duration(rapid.IntRange(1, 200_000).Draw(t, "seconds")) * time.Second)
			if end.After(to) {
				end = to
			}
			pieces = slices.AppendSeq(pieces, r.Slots(at, end))
			at = end
		}
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("(-whole +pieces):\n%s", diff)
		}
		if !slices.IsSortedFunc(whole, time.Time.Compare) {
			t.Fatal("slots are out of order")
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, expression := range []string{"0 2 * * *", "*/5 * * * *", "0 4 1 * *"} {
		b.Run(expression, func(b *testing.B) {
			r := Recurrence{Timing: cronTiming(b, expression), Zone: zone(b, "Europe/Berlin")}
			start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
			at := start
			b.ReportAllocs()
			for b.Loop() {
				next, ok := r.Next(at)
				if !ok {
					b.Fatal("no slot")
				}
				if at = next; at.Year() > 2030 {
					at = start
				}
			}
		})
	}
}
