package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"

	"mahavishnu/loadtest/compare"
)

//go:embed *.html
var pages embed.FS

// templates are the pages and their common parts. They are well-formed XML too, so that
// any tool can read them.
var templates = template.Must(template.New("").ParseFS(pages, "*.html"))

// section is a comparison as the template has it.
type section struct {
	Title, Lead string
	Runs        string
	Plots       []plot
	Lines       *lines
	Tables      []shownTable
	Facts       []fact
	Failures    []string
}

type shownTable struct {
	Title string
	Head  []cell
	Rows  [][]cell
}

type cell struct {
	Text   string
	Number bool
	Tone   string // class: "met", "missed" or nothing
}

type fact struct{ Name, Text string }

// HTML is the comparisons as one page with plots.
func HTML(all []compare.Comparison) ([]byte, error) {
	sections := make([]section, len(all))
	for i, c := range all {
		sections[i] = newSection(c)
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "page.html", struct {
		Sections []section
		Method   string
	}{sections, upper(method)}); err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	return b.Bytes(), nil
}

func newSection(c compare.Comparison) section {
	s := section{
		Title: "Corpus " + c.Corpus.Kind, Lead: upper(c.Corpus.Description) + ".",
		Runs:     fmt.Sprintf("Bars are medians of %d runs, lines go from the least to the most.", c.Runs),
		Failures: failures(c),
	}
	if c.Runs == 1 {
		s.Runs = "One run."
	}
	for _, work := range compare.Works() {
		if p, ok := newPlot(c, work); ok {
			s.Plots = append(s.Plots, p)
		}
	}
	if c.Series() {
		s.Lines = newLines(c)
	}
	for _, g := range grids(c) {
		s.Tables = append(s.Tables, newTable(g))
	}
	for _, line := range facts(c) {
		name, text := cut(line)
		if name != "failed" && name != "method" {
			s.Facts = append(s.Facts, fact{name, text})
		}
	}
	return s
}

func newTable(g grid) shownTable {
	t := shownTable{Title: upper(g.title)}
	for i, name := range g.head {
		t.Head = append(t.Head, cell{Text: name, Number: i >= g.text})
	}
	for _, row := range g.rows {
		cells := make([]cell, len(g.head))
		for i := range cells {
			cells[i].Number = i >= g.text
			if i < len(row) {
				cells[i].Text = row[i]
			}
			switch cells[i].Text {
			case "met":
				cells[i].Tone = "met"
			case "MISSED", "failed":
				cells[i].Tone = "missed"
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}
