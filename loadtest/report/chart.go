package report

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Chart is lines over two axes.
type Chart struct {
	// Title stands above it, X and Y name the axes.
	Title, X, Y string
	Lines       []ChartLine
	// Counts lets the upper axis grow by factors of ten, from 0 on: for what is mostly
	// nothing and sometimes much.
	Counts bool
	// Mark, when it is not 0, is a place on the lower axis that is pointed out, and MarkName
	// says what it is.
	Mark     float64
	MarkName string
}

// ChartLine is one of a chart's.
type ChartLine struct {
	Name   string
	Points []Point
}

// Point is a point of a line, in the units of the axes.
type Point struct{ X, Y float64 }

// Sizes of charts, in the units of their view box.
const (
	chartWidth, chartHeight = 720.0, 330.0
	chartLeft, chartRight   = 64.0, 520.0
	chartTop, chartBottom   = 14.0, 280.0
	chartLineHeight         = 18.0
	chartLabelX             = 536.0
	chartTicks              = 6
)

// drawing is a chart as the template has it.
type drawing struct {
	Title, X, Y              string
	Width, Height            float64
	Left, Right, Top, Bottom float64
	XTicks, YTicks           []mark
	Lines                    []drawn
	Mark                     float64
	MarkName                 string
	MiddleX, MiddleY         float64
	TickY, NameY             float64
}

type drawn struct {
	Name, Class, Points string
	Dots                []Point
	LabelX, LabelY      float64
}

// draw puts the chart into the units of its view box.
func (c Chart) draw() drawing {
	d := drawing{
		Title: c.Title, X: c.X, Y: c.Y, Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartRight, Top: chartTop, Bottom: chartBottom, MarkName: c.MarkName,
		MiddleX: (chartLeft + chartRight) / 2, MiddleY: (chartTop + chartBottom) / 2, TickY: chartBottom + 16, NameY: chartBottom + 38,
	}
	mostX, mostY := c.Mark, 0.0
	for _, l := range c.Lines {
		for _, p := range l.Points {
			mostX, mostY = math.Max(mostX, p.X), math.Max(mostY, c.height(p.Y))
		}
	}
	stepX := niceStep(mostX)
	mostX = math.Max(stepX*math.Ceil(mostX/stepX), stepX)
	stepY := 1.0 // a power of ten
	if !c.Counts {
		stepY = niceStep(mostY)
	}
	mostY = math.Max(stepY*math.Ceil(mostY/stepY), stepY)
	x := func(v float64) float64 { return round(chartLeft + (chartRight-chartLeft)*v/mostX) }
	y := func(v float64) float64 { return round(chartBottom - (chartBottom-chartTop)*v/mostY) }
	for v := 0.0; v <= mostX+stepX/2; v += stepX {
		d.XTicks = append(d.XTicks, mark{x(v), number(v)})
	}
	for v := 0.0; v <= mostY+stepY/2; v += stepY {
		text := number(v)
		if c.Counts {
			text = number(math.Pow(10, v) - 1)
			if v > 0 {
				text = number(math.Pow(10, v))
			}
		}
		d.YTicks = append(d.YTicks, mark{y(v), text})
	}
	for i, l := range c.Lines {
		one := drawn{Name: l.Name, Class: fmt.Sprintf("line%d", i%8), LabelX: chartLabelX, LabelY: chartTop + 10 + chartLineHeight*float64(i)}
		var points []string
		for _, p := range l.Points {
			at := Point{x(p.X), y(c.height(p.Y))}
			points = append(points, fmt.Sprintf("%g,%g", at.X, at.Y))
			if len(l.Points) <= 20 {
				one.Dots = append(one.Dots, at)
			}
		}
		one.Points = strings.Join(points, " ")
		d.Lines = append(d.Lines, one)
	}
	if c.Mark > 0 {
		d.Mark = x(c.Mark)
	}
	return d
}

// height is where a value is on the upper axis.
func (c Chart) height(v float64) float64 {
	if c.Counts {
		return math.Log10(1 + v)
	}
	return v
}

// niceStep is a step of 1, 2 or 5 that parts an axis well.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	raw := most / chartTicks
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, factor := range []float64{1, 2, 5} {
		if raw <= factor*unit {
			return factor * unit
		}
	}
	return 10 * unit
}

func number(v float64) string { return fmt.Sprintf("%.6g", v) }

// inline is the chart as a part of a page, which has the style.
func (c Chart) inline() (template.HTML, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "chart", c.draw()); err != nil {
		return "", fmt.Errorf("make chart: %w", err)
	}
	return template.HTML(b.String()), nil //nolint:gosec // a template made it
}

// SVG is charts below each other, as a picture that needs nothing else.
func SVG(charts ...Chart) ([]byte, error) {
	const title = 26.0
	type placed struct {
		drawing
		Down float64
	}
	var shown struct {
		Width, Height float64
		Charts        []placed
	}
	shown.Width = chartWidth
	for _, c := range charts {
		shown.Charts = append(shown.Charts, placed{c.draw(), shown.Height + title})
		shown.Height += chartHeight + title
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "picture", shown); err != nil {
		return nil, fmt.Errorf("make picture: %w", err)
	}
	return b.Bytes(), nil
}
