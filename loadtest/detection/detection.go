// Package detection measures the detection of failures against noise, in simulated time:
// how soon a death is noticed, and how often somebody who lives is held dead, by the
// threshold that decides both.
package detection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/simulate"
	"mahavishnu/fault"
	"mahavishnu/loadtest/report"
	"mahavishnu/terminal"
)

// Shipped is the threshold that is the default.
const Shipped = 8

// Options say what is simulated.
type Options struct {
	// Hours is how long everybody lives in the noise of a noisy day under the shipped
	// threshold; under each other threshold, and in each other noise, a quarter of it.
	Hours float64
	// Thresholds are tried, beside the shipped one.
	Thresholds []float64
	// Deaths is how often a member dies under each.
	Deaths int
	// Progress hears what begins. It may be nil.
	Progress func(what string)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// Thresholds are those that are tried by default.
func Thresholds() []float64 { return []float64{1, 2, 3, 4, 6, 8, 10, 12, 16} }

// Report is what was simulated.
type Report struct {
	When   time.Time        `json:"when"`
	Points []simulate.Point `json:"points"`
}

// Run simulates. What is done before an error is returned with it.
func Run(ctx context.Context, o Options) (Report, error) {
	r := Report{When: clock.Or(o.Clock).Now().UTC()}
	if o.Hours <= 0 || o.Deaths < 1 {
		return r, fault.New("simulate noise", "", errors.New("nothing to do"), "ask for a time above 0, and one death at least")
	}
	thresholds := slices.Clone(o.Thresholds)
	if !slices.Contains(thresholds, Shipped) {
		thresholds = append(thresholds, Shipped)
	}
	slices.Sort(thresholds)
	noises := simulate.Noises()
	for i, n := range noises {
		for _, threshold := range thresholds {
			if threshold < 1 || threshold > 16 {
				return r, fault.New("simulate noise", "", fmt.Errorf("a threshold of %v", threshold), "thresholds are from 1 to 16")
			}
			lives := time.Duration(o.Hours * float64(time.Hour))
			if threshold != Shipped || i < len(noises)-1 {
				lives /= 4
			}
			if o.Progress != nil {
				o.Progress(fmt.Sprintf("%s, threshold %v: %v", n.Name, threshold, lives))
			}
			p, err := simulate.Try(ctx, n, threshold, lives, o.Deaths)
			if err != nil {
				return r, err
			}
			r.Points = append(r.Points, p)
		}
	}
	return r, nil
}

// False counts the wrong verdicts under the shipped threshold.
func (r Report) False() int {
	wrong := 0
	for _, p := range r.Points {
		if p.Threshold == Shipped {
			wrong += p.Verdicts
		}
	}
	return wrong
}

// Document is the report for people.
func (r Report) Document() report.Document {
	d := report.Document{
		Title:  "Detection against noise",
		Lead:   fmt.Sprintf("Three coordinators, five nodes, a service of two members, in simulated time. At threshold %d, the default, %s.", Shipped, wrongly(r.False())),
		Charts: r.Charts(),
		Facts:  [][2]string{{"when", terminal.Moment(r.When)}},
	}
	t := report.Table{
		Title: "detection and wrong judgements, by noise and threshold", Text: 1,
		Head: []string{"noise", "threshold", "lived", "wrong suspicions of one", "wrong verdicts", "detected p50", "p90", "p99", "max"},
	}
	for _, p := range r.Points {
		t.Rows = append(t.Rows, []string{
			p.Noise, fmt.Sprint(p.Threshold), terminal.Duration(p.Lived), terminal.Count(p.Suspicions), terminal.Count(p.Verdicts),
			exact(p.At(0.5)), exact(p.At(0.9)), exact(p.At(0.99)), exact(p.At(1)),
		})
	}
	d.Tables = []report.Table{t}
	for _, n := range simulate.Noises() {
		d.Facts = append(d.Facts, [2]string{"noise", n.String()})
	}
	return d
}

func wrongly(n int) string {
	if n == 0 {
		return "nobody who lived was held down"
	}
	return fmt.Sprintf("somebody who lived was held down %s", terminal.Plural(n, "time"))
}

func exact(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Charts are what a noisy day makes of each threshold: wrong judgements, and below them
// how long a death takes to be noticed.
func (r Report) Charts() []report.Chart {
	noises := simulate.Noises()
	noisy := noises[len(noises)-1]
	line := func(name string, value func(simulate.Point) float64) report.ChartLine {
		l := report.ChartLine{Name: name}
		for _, p := range r.Points {
			if p.Noise == noisy.Name {
				l.Points = append(l.Points, report.Point{X: p.Threshold, Y: value(p)})
			}
		}
		return l
	}
	seconds := func(share float64) func(simulate.Point) float64 {
		return func(p simulate.Point) float64 { return p.At(share).Seconds() }
	}
	wrong := report.Chart{
		Title: "A noisy day: wrong judgements", X: "threshold (phi)", Y: "a day", Counts: true, Mark: Shipped, MarkName: "default",
		Lines: []report.ChartLine{
			line("suspicions of one", func(p simulate.Point) float64 { return p.PerDay(p.Suspicions) }),
			line("verdicts of most", func(p simulate.Point) float64 { return p.PerDay(p.Verdicts) }),
		},
	}
	soon := report.Chart{
		Title: "The same day: from a death to the verdict", X: "threshold (phi)", Y: "seconds", Mark: Shipped, MarkName: "default",
		Lines: []report.ChartLine{line("median", seconds(0.5)), line("90th percentile", seconds(0.9)), line("99th percentile", seconds(0.99))},
	}
	return []report.Chart{wrong, soon}
}
