package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"mahavishnu/loadtest/compare"
	"mahavishnu/loadtest/peers"
	"mahavishnu/terminal"
)

// Sizes of plots, in the units of their view box.
const (
	plotWidth  = 720.0
	labelWidth = 190.0
	valueWidth = 150.0
	barHeight  = 14.0
	rowHeight  = 30.0
	plotTop    = 6.0
)

// plot is bars of wall time, with a thin bar of processor time below each.
type plot struct {
	Title         string
	Width, Height float64
	LabelX        float64
	Bars          []bar
}

type bar struct {
	Name, Value        string
	Class              string // "ours", "peer" or "limit"
	X, Y, Width        float64
	TextY              float64
	CPUY, CPUWidth     float64
	From, UpTo, Middle float64 // of the line from the least to the most
	Spread             bool
	ValueX             float64
}

func newPlot(c compare.Comparison, work compare.Work) (plot, bool) {
	var rows []compare.Summary
	longest := 0.0
	for _, s := range c.Summaries(work) {
		if len(s.Wall) == 0 || s.Failure != "" {
			continue
		}
		rows = append(rows, s)
		longest = max(longest, slices.Max(s.Wall).Seconds(), compare.Median(s.CPU).Seconds())
	}
	if len(rows) == 0 || longest <= 0 {
		return plot{}, false
	}
	p := plot{
		Title: upper(string(work)) + ": wall time in seconds, and processor time below it",
		Width: plotWidth, Height: plotTop + rowHeight*float64(len(rows)), LabelX: labelWidth - 10,
	}
	if work == compare.NextBackup {
		p.Title = "All further versions together: wall time in seconds, and processor time below it"
	}
	scale := (plotWidth - labelWidth - valueWidth) / longest
	for i, s := range rows {
		y := plotTop + rowHeight*float64(i)
		wall, cpu := compare.Median(s.Wall).Seconds(), compare.Median(s.CPU).Seconds()
		most := slices.Max(s.Wall).Seconds()
		b := bar{
			Name: s.Program.Name, Value: fmt.Sprintf("%s (%s)", seconds(compare.Median(s.Wall)), seconds(compare.Median(s.CPU))),
			Class: string(s.Program.Kind), X: labelWidth, Y: y, Width: round(wall * scale), TextY: y + 12,
			CPUY: y + barHeight + 2, CPUWidth: round(cpu * scale), Middle: y + barHeight/2,
			From: round(labelWidth + slices.Min(s.Wall).Seconds()*scale), UpTo: round(labelWidth + most*scale), Spread: len(s.Wall) > 1,
			ValueX: round(labelWidth + max(most, cpu)*scale + 8),
		}
		p.Bars = append(p.Bars, b)
	}
	return p, true
}

// lines is what is stored after each version.
type lines struct {
	Title                   string
	Width, Height           float64
	Left, Right, Bottom     float64
	Marks                   []mark // on the left
	Versions                []mark // below
	Lines                   []polyline
	VersionsTitleX, TitleY  float64
	MarkTextX, VersionTextY float64
}

type mark struct {
	At   float64
	Text string
}

type polyline struct {
	Name, Value  string
	Class        string
	Points       string
	EndX, EndY   float64
	LabelX, TagY float64
}

func newLines(c compare.Comparison) *lines {
	const height, top, bottom, left, right = 320.0, 14.0, 282.0, 70.0, 500.0
	l := &lines{
		Title: "Stored after each version; the scale does not begin at zero", Width: plotWidth, Height: height, Left: left, Right: right, Bottom: bottom,
		VersionsTitleX: (left + right) / 2, TitleY: height - 4, MarkTextX: left - 8, VersionTextY: bottom + 16,
	}
	versions := len(c.Corpus.Versions)
	least, most := int64(math.MaxInt64), int64(0)
	for _, p := range c.Programs {
		for v := range versions {
			if stored := c.StoredAt(p.Name, v); stored > 0 {
				least, most = min(least, stored), max(most, stored)
			}
		}
	}
	if most == 0 {
		return nil
	}
	least -= least / 10
	x := func(v int) float64 { return round(left + (right-left)*float64(v)/float64(max(versions-1, 1))) }
	y := func(bytes int64) float64 {
		return round(bottom - (bottom-top)*float64(bytes-least)/float64(most-least))
	}
	for i := range 5 {
		at := least + (most-least)*int64(i)/4
		l.Marks = append(l.Marks, mark{y(at), terminal.Bytes(at)})
	}
	for v := 0; v < versions; v += max(versions/10, 1) {
		l.Versions = append(l.Versions, mark{x(v), fmt.Sprint(v + 1)})
	}
	for i, p := range c.Programs {
		var points []string
		line := polyline{Name: p.Name, Class: fmt.Sprintf("line%d", i%8), LabelX: right + 12}
		if p.Kind == peers.Ours {
			line.Class += " own"
		}
		for v := range versions {
			if stored := c.StoredAt(p.Name, v); stored > 0 {
				line.EndX, line.EndY = x(v), y(stored)
				line.Value = terminal.Bytes(stored)
				points = append(points, fmt.Sprintf("%g,%g", line.EndX, line.EndY))
			}
		}
		if len(points) > 0 {
			line.Points = strings.Join(points, " ")
			l.Lines = append(l.Lines, line)
		}
	}
	// Names stand beside the ends of their lines, moved down where they are close.
	slices.SortStableFunc(l.Lines, func(a, b polyline) int { return cmp.Compare(a.EndY, b.EndY) })
	next := top
	for i := range l.Lines {
		l.Lines[i].TagY = round(max(l.Lines[i].EndY+4, next))
		next = l.Lines[i].TagY + 16
	}
	return l
}

// round leaves a tenth of a unit: no eye sees more, and the page stays small.
func round(v float64) float64 { return math.Round(v*10) / 10 }

// cut takes the name off a line of facts.
func cut(line string) (name, text string) {
	name, text, _ = strings.Cut(line, " ")
	return name, strings.TrimSpace(text)
}
