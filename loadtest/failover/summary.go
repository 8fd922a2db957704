package failover

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mahavishnu/loadtest/report"
	"mahavishnu/terminal"
)

// Phase is a part of a failover. Those of the control plane follow each other without a
// gap, from the fault until the new primary takes writes.
type Phase string

// The phases.
const (
	Suspicion Phase = "until it is suspected"
	Judgement Phase = "until most regions hold it down"
	Decision  Phase = "until somebody who leads begins the plan"
	Fencing   Phase = "until the old primary has stopped for certain"
	Promotion Phase = "until the new one takes writes"
)

// Phases are those of the control plane, in order.
func Phases() []Phase { return []Phase{Suspicion, Judgement, Decision, Fencing, Promotion} }

// Took is how long each phase took. A moment that is not known, or came before the one
// that it follows, makes its phase 0, and the next one longer. A phase is over at the latest when
// a later one is: a plan may begin by what a keeper says, or because a lease has lapsed, before most
// regions hold the primary down.
func (r Run) Took() map[Phase]time.Duration {
	took := map[Phase]time.Duration{}
	at := time.Duration(0)
	moments := []time.Duration{r.Suspected, r.Verdict, r.Began, r.Free, r.Promoted}
	for i, p := range Phases() {
		end := max(moments[i], at)
		for _, later := range moments[i:] {
			if later >= at && later > 0 {
				end = min(end, later)
			}
		}
		took[p], at = end-at, end
	}
	return took
}

// String is the run in a line.
func (r Run) String() string {
	if r.Error != "" {
		return fmt.Sprintf("%4d %-12s %s to %s: NOT MEASURED: %s", r.Number, r.Fault, r.From, r.To, r.Error)
	}
	var parts []string
	for _, p := range Phases() {
		parts = append(parts, exact(r.Took()[p]))
	}
	text := fmt.Sprintf("%4d %-12s %s to %s in %s (%s)", r.Number, r.Fault, r.From, r.To, exact(r.Promoted), strings.Join(parts, " + "))
	for _, way := range []Way{ByFront, ByDNS} {
		if away, ok := r.Away[way]; ok {
			text += fmt.Sprintf(", by %s %s", way, exact(away))
		}
	}
	text += fmt.Sprintf(", %d of %d rows lost", len(r.Lost), r.Acked)
	if r.Late > 0 {
		text += fmt.Sprintf(", %d ACKNOWLEDGED BY BOTH SIDES", r.Late)
	}
	if r.LeaderLost {
		text += ", the leader with it"
	}
	return text + fmt.Sprintf("; healed in %s, %s without a write meanwhile", exact(r.Healed), exact(r.Disturbed))
}

// exact is a duration to the hundredth of a second.
func exact(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// percentile of durations, by nearest rank; 0 of none.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	rank := int(math.Ceil(p * float64(len(all))))
	return all[min(max(rank, 1), len(all))-1]
}

// aim is what the control plane should need at most, in 99 of 100 failovers.
const aim = 5 * time.Second

// of are the runs that one fault gave, measured.
func (r Report) of(f Fault) []Run {
	var all []Run
	for _, run := range r.Runs {
		if run.Fault == f && run.Error == "" {
			all = append(all, run)
		}
	}
	return all
}

// faults are those that were measured, in the usual order.
func (r Report) faults() []Fault {
	var all []Fault
	for _, f := range Faults() {
		if len(r.of(f)) > 0 {
			all = append(all, f)
		}
	}
	return all
}

// Lost counts the acknowledged rows that were lost, Late those that an old primary
// acknowledged beside a new one, and Failed the runs that are no measurement.
func (r Report) Lost() (lost, late, failed int) {
	for _, run := range r.Runs {
		lost, late = lost+len(run.Lost), late+run.Late
		if run.Error != "" {
			failed++
		}
	}
	return lost, late, failed
}

func quantiles(all []time.Duration) []string {
	return []string{exact(percentile(all, 0.5)), exact(percentile(all, 0.9)), exact(percentile(all, 0.99)), exact(percentile(all, 1))}
}

var quantileNames = []string{"p50", "p90", "p99", "max"}

// each is one figure of every run.
func each(runs []Run, fn func(Run) time.Duration) []time.Duration {
	var all []time.Duration
	for _, run := range runs {
		all = append(all, fn(run))
	}
	return all
}

// Document is the report for people.
func (r Report) Document() report.Document {
	lost, late, failed := r.Lost()
	d := report.Document{
		Title: "Failover measured",
		Lead: fmt.Sprintf("How long a service was away when its primary was lost: %s on one machine. "+
			"Of the rows that clients were told are stored, %d were lost; %d were acknowledged by an old primary beside a new one.",
			terminal.Plural(len(r.Runs)-failed, "failover"), lost, late),
		Tables: []report.Table{r.controlTable(), r.clientTable(), r.phaseTable()},
		Charts: []report.Chart{r.chart()},
	}
	if t, ok := r.leaderTable(); ok {
		d.Tables = append(d.Tables, t)
	}
	d.Tables = append(d.Tables, r.returnTable())
	d.Facts = append(d.Facts, [2]string{"when", terminal.Moment(r.When)}, [2]string{"machine", r.Machine.String()}, [2]string{"network", r.Network})
	for _, s := range r.Settings {
		d.Facts = append(d.Facts, [2]string{"how", s})
	}
	d.Failures = append(d.Failures, r.Notes...)
	for _, run := range r.Runs {
		if run.Error != "" {
			d.Failures = append(d.Failures, run.String())
		}
	}
	return d
}

// controlTable is how long it took until the new primary took writes.
func (r Report) controlTable() report.Table {
	t := report.Table{
		Title: "control plane: from the fault until the new primary takes writes", Text: 1,
		Head: append(append([]string{"fault", "runs"}, quantileNames...), "rows acknowledged", "lost", "p99 under "+exact(aim), "limit"),
	}
	for _, f := range r.faults() {
		runs := r.of(f)
		all := each(runs, func(run Run) time.Duration { return run.Promoted })
		met := "met"
		if percentile(all, 0.99) >= aim {
			met = "MISSED"
		}
		acked, lost := 0, 0
		for _, run := range runs {
			acked, lost = acked+run.Acked, lost+len(run.Lost)
		}
		row := append([]string{string(f), fmt.Sprint(len(runs))}, quantiles(all)...)
		t.Rows = append(t.Rows, append(row, terminal.Count(acked), terminal.Count(lost), met, string(limit(runs))))
	}
	return t
}

// limit is the phase that takes longest in the slowest tenth of the runs.
func limit(runs []Run) Phase {
	slowest := slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return cmp.Compare(b.Promoted, a.Promoted) })
	slowest = slowest[:max(1, len(slowest)/10)]
	var longest Phase
	most := time.Duration(-1)
	for _, p := range Phases() {
		sum := time.Duration(0)
		for _, run := range slowest {
			sum += run.Took()[p]
		}
		if sum > most {
			longest, most = p, sum
		}
	}
	return longest
}

// clientTable is how long clients had no write acknowledged.
func (r Report) clientTable() report.Table {
	t := report.Table{
		Title: "clients: from the last acknowledged write before to the first after", Text: 2,
		Head: append([]string{"fault", "by", "runs"}, quantileNames...),
	}
	for _, f := range r.faults() {
		for _, way := range []Way{ByFront, ByDNS} {
			var all []time.Duration
			for _, run := range r.of(f) {
				if away, ok := run.Away[way]; ok {
					all = append(all, away)
				}
			}
			if len(all) > 0 {
				t.Rows = append(t.Rows, append([]string{string(f), string(way), fmt.Sprint(len(all))}, quantiles(all)...))
			}
		}
	}
	return t
}

// phaseTable is where the time went.
func (r Report) phaseTable() report.Table {
	t := report.Table{Title: "phases of the control plane", Text: 2, Head: append([]string{"fault", "phase"}, quantileNames...)}
	for _, f := range r.faults() {
		for _, p := range Phases() {
			all := each(r.of(f), func(run Run) time.Duration { return run.Took()[p] })
			t.Rows = append(t.Rows, append([]string{string(f), string(p)}, quantiles(all)...))
		}
	}
	return t
}

// leaderTable parts the runs in which the leading coordinator was lost, too.
func (r Report) leaderTable() (report.Table, bool) {
	t := report.Table{Title: "with and without the leading coordinator on the lost machine", Text: 2, Head: append([]string{"fault", "leader", "runs"}, quantileNames...)}
	for _, f := range r.faults() {
		for _, with := range []bool{false, true} {
			var all []time.Duration
			for _, run := range r.of(f) {
				if run.LeaderLost == with {
					all = append(all, run.Promoted)
				}
			}
			name := map[bool]string{false: "elsewhere", true: "lost, too"}[with]
			if len(all) > 0 {
				t.Rows = append(t.Rows, append([]string{string(f), name, fmt.Sprint(len(all))}, quantiles(all)...))
			}
		}
	}
	return t, slices.ContainsFunc(r.Runs, func(run Run) bool { return run.LeaderLost })
}

// returnTable is how clients fared when the lost machine came back.
func (r Report) returnTable() report.Table {
	t := report.Table{Title: "when the machine comes back: the longest time that a client has no write acknowledged", Text: 1, Head: append([]string{"fault", "runs"}, quantileNames...)}
	for _, f := range r.faults() {
		runs := r.of(f)
		all := each(runs, func(run Run) time.Duration { return run.Disturbed })
		t.Rows = append(t.Rows, append([]string{string(f), fmt.Sprint(len(runs))}, quantiles(all)...))
	}
	return t
}

// chart is the share of failovers that were over after a time.
func (r Report) chart() report.Chart {
	c := report.Chart{Title: "share of failovers after which the new primary took writes", X: "seconds after the fault", Y: "percent", Mark: aim.Seconds(), MarkName: "aim"}
	for _, f := range r.faults() {
		line := report.ChartLine{Name: string(f), Points: []report.Point{{}}}
		all := each(r.of(f), func(run Run) time.Duration { return run.Promoted })
		slices.Sort(all)
		for i, took := range all {
			line.Points = append(line.Points,
				report.Point{X: took.Seconds(), Y: 100 * float64(i) / float64(len(all))},
				report.Point{X: took.Seconds(), Y: 100 * float64(i+1) / float64(len(all))})
		}
		line.Points[0].X = line.Points[1].X
		c.Lines = append(c.Lines, line)
	}
	return c
}
