package retention

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is found now into the golden files")

// world is a simulated installation: a zone, a policy, and the plan's daily,
// weekly and monthly backups at 02:30, an hour that clocks skip and repeat.
type world struct {
	name   string
	zone   string
	policy Policy
}

func worlds() []world {
	tiers := map[string]Span{"incremental": {Days: 7}, "full": {Weeks: 4}, "archival": {Months: 12}}
	return []world{
		{"the three tiers", "Europe/Berlin", Policy{Tiers: tiers}},
		{"the three tiers", "America/New_York", Policy{Tiers: tiers}},
		{"counts alone", "Europe/Berlin", Policy{Last: 3, Daily: 14, Weekly: 8, Monthly: 18, Yearly: 4}},
		{"counts alone", "America/New_York", Policy{Last: 3, Daily: 14, Weekly: 8, Monthly: 18, Yearly: 4}},
		{"tiers, counts, an age and pins", "Europe/Berlin", Policy{Tiers: tiers, Weekly: 10, Yearly: 10, Within: 36 * time.Hour}},
	}
}

// run is one backup: what is kept of it is decided day by day.
type run struct {
	kind   string
	time   time.Time
	pinned bool
}

// local is a time as clocks in the zone show it, found without the zone database
// of the code under test: offsets of the two zones follow from their rules of
// daylight saving, which have been the same since 2007 and 1996.
func local(t time.Time, zone string) time.Time {
	t = t.UTC()
	lastSunday := func(month time.Month, hour int) time.Time {
		d := time.Date(t.Year(), month+1, 0, hour, 0, 0, 0, time.UTC)
		return d.AddDate(0, 0, -int(d.Weekday()))
	}
	sunday := func(month time.Month, n, hour int) time.Time {
		d := time.Date(t.Year(), month, 1, hour, 0, 0, 0, time.UTC)
		return d.AddDate(0, 0, (7-int(d.Weekday()))%7+7*(n-1))
	}
	offset, begin, end := 0, time.Time{}, time.Time{}
	switch zone {
	case "Europe/Berlin":
		offset, begin, end = 1, lastSunday(time.March, 1), lastSunday(time.October, 1)
	case "America/New_York":
		offset, begin, end = -5, sunday(time.March, 2, 7), sunday(time.November, 1, 6)
	}
	if !t.Before(begin) && t.Before(end) {
		offset++
	}
	return t.Add(time.Duration(offset) * time.Hour)
}

// keptByHand is the independent oracle: what each rule keeps, worked out the long
// way from the local dates alone.
func keptByHand(w world, all []run) map[int]bool {
	kept := map[int]bool{}
	newest := len(all) - 1 // runs are in the order of time
	kept[newest] = true
	at := local(all[newest].time, w.zone)
	// firstShown is the first minute at which clocks show that much or more.
	firstShown := func(wall time.Time) time.Time {
		u := wall.Add(-2 * time.Hour) // Berlin is never further from UTC
		if w.zone == "America/New_York" {
			u = wall.Add(4 * time.Hour)
		}
		for local(u, w.zone).Before(wall) {
			u = u.Add(10 * time.Minute)
		}
		return u
	}
	// Tiers and the age look at how far back a run lies on the calendar.
	bounds := map[string]time.Time{
		"incremental": firstShown(at.AddDate(0, 0, -w.policy.Tiers["incremental"].Days)),
		"full":        firstShown(at.AddDate(0, 0, -7*w.policy.Tiers["full"].Weeks)),
		"archival":    firstShown(monthsBefore(at, w.policy.Tiers["archival"].Months)),
	}
	for i, r := range all {
		if w.policy.Tiers != nil && !r.time.Before(bounds[r.kind]) {
			kept[i] = true
		}
		if w.policy.Within > 0 && all[newest].time.Sub(r.time) <= w.policy.Within {
			kept[i] = true
		}
		if r.pinned {
			kept[i] = true
		}
	}
	// Counts keep the newest of each of the last n periods that have a run.
	for _, rule := range []struct {
		n      int
		period func(time.Time) string
	}{
		{w.policy.Last, func(t time.Time) string { return t.String() }},
		{w.policy.Daily, func(t time.Time) string { return fmt.Sprint(t.Year(), t.YearDay()) }},
		{w.policy.Weekly, mondayBefore},
		{w.policy.Monthly, func(t time.Time) string { return fmt.Sprint(t.Year(), t.Month()) }},
		{w.policy.Yearly, func(t time.Time) string { return fmt.Sprint(t.Year()) }},
	} {
		seen := map[string]bool{}
		for i := newest; i >= 0 && len(seen) < rule.n; i-- {
			period := rule.period(local(all[i].time, w.zone))
			if rule.n > 0 && !seen[period] {
				seen[period] = true
				kept[i] = true
			}
		}
	}
	return kept
}

// monthsBefore takes off months one by one, on the last day of shorter ones.
func monthsBefore(t time.Time, months int) time.Time {
	year, month := t.Year(), int(t.Month())
	for range months {
		if month--; month == 0 {
			year, month = year-1, 12
		}
	}
	days := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && (year%4 == 0 && year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return time.Date(year, time.Month(month), min(t.Day(), days), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// mondayBefore names a week by its Monday.
func mondayBefore(t time.Time) string {
	for t.Weekday() != time.Monday {
		t = t.AddDate(0, 0, -1)
	}
	return fmt.Sprint(t.Year(), t.YearDay())
}

// TestFiveYears lets five years go by, day by day, with the plan's backups at
// 02:30 local time and the policy applied after each, and compares what is left
// after every single run with the oracle.
func TestFiveYears(t *testing.T) {
	var table bytes.Buffer
	for _, w := range worlds() {
		zone, err := time.LoadLocation(w.zone)
		if err != nil {
			t.Fatal(err)
		}
		w.policy.Zone = zone
		live(t, w, &table)
	}
	golden := filepath.Join("testdata", "five-years.txt")
	if *update {
		if err := os.WriteFile(golden, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("what is left after five years (-want +got; -update rewrites it):\n%s", diff)
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "retention.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, table.Bytes()) {
		t.Error("docs/retention.md does not show the table of testdata/five-years.txt")
	}
}

// live plays one world and writes what is left at its end.
func live(t *testing.T, w world, table *bytes.Buffer) {
	t.Helper()
	var all []run           // every run that is left, by the policy
	var everything []run    // every run there ever was
	alive := map[int]bool{} // of everything, by the oracle
	forgotten := 0
	day := time.Date(2021, 1, 1, 0, 0, 0, 0, w.policy.Zone)
	for n := 0; day.Year() < 2026; n++ {
		kinds := []string{"incremental"}
		if day.Weekday() == time.Sunday {
			kinds = append(kinds, "full")
		}
		if day.Day() == 1 {
			kinds = append(kinds, "archival")
		}
		for i, kind := range kinds {
			// 02:30 is skipped and repeated once a year; Go's Date takes one of them.
			at := time.Date(day.Year(), day.Month(), day.Day(), 2, 30+10*i, 0, 0, w.policy.Zone).UTC()
			r := run{kind, at, strings.Contains(w.name, "pins") && n%400 == 100 && i == 0}
			all, everything = append(all, r), append(everything, r)
			alive[len(everything)-1] = true

			decisions := w.policy.Decide(snapshotsOf(all), at.Add(time.Minute))
			var left []run
			for _, d := range slices.Backward(decisions) { // oldest first
				if d.Keep {
					left = append(left, run{d.Snapshot.Type, d.Snapshot.Time, d.Snapshot.Pinned != ""})
				}
			}
			forgotten += len(all) - len(left)
			all = left

			// The oracle judges what it has kept so far, from its own memory.
			numbers := slices.Sorted(maps.Keys(alive))
			var there []run
			for _, number := range numbers {
				there = append(there, everything[number])
			}
			kept := keptByHand(w, there)
			var want []run
			for i, number := range numbers {
				if kept[i] {
					want = append(want, everything[number])
				} else {
					delete(alive, number)
				}
			}
			if !slices.Equal(want, left) {
				t.Fatalf("%s in %s, after the %s of %v (-oracle +policy):\n%s", w.name, w.zone, kind, at.In(w.policy.Zone),
					cmp.Diff(want, left, cmp.AllowUnexported(run{})))
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	tabulate(w, everything, all, forgotten, table)
}

func snapshotsOf(runs []run) []Snapshot {
	list := make([]Snapshot, len(runs))
	for i, r := range runs {
		list[i] = Snapshot{ID: fmt.Sprintf("%06d", i), Source: "home", Type: r.kind, Time: r.time}
		if r.pinned {
			list[i].Pinned = "by hand"
		}
	}
	return list
}

// tabulate prints what is left: each snapshot with its age and why it is kept.
func tabulate(w world, everything, left []run, forgotten int, table *bytes.Buffer) {
	now := everything[len(everything)-1].time
	fmt.Fprintf(table, "%s, %s: %d runs in five years, %d forgotten, %d left\n", w.name, w.zone, len(everything), forgotten, len(left))
	for _, d := range w.policy.Decide(snapshotsOf(left), now.Add(time.Minute)) {
		at := d.Snapshot.Time.In(w.policy.Zone)
		fmt.Fprintf(table, "  %s %-3s %-11s %4d days  %s\n", at.Format("2006-01-02 15:04"), at.Format("MST"), d.Snapshot.Type,
			int(now.Sub(d.Snapshot.Time).Hours()/24), strings.TrimPrefix(d.Why, "kept: "))
	}
	table.WriteString("\n")
}
