package report

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
)

// Document is what a measurement that is no comparison has to say.
type Document struct {
	// Title and Lead are its beginning; Lead is a sentence or a few.
	Title, Lead string
	Tables      []Table
	Charts      []Chart
	// Facts are names and texts about how and where it was measured.
	Facts [][2]string
	// Failures are what went wrong.
	Failures []string
}

// Table has a title; its first columns are text, the others numbers. A cell "met" or
// "MISSED" is about an aim.
type Table struct {
	Title string
	// Text is how many columns are text.
	Text int
	Head []string
	Rows [][]string
}

func (t Table) grid() grid { return grid{title: t.Title, text: t.Text, head: t.Head, rows: t.Rows} }

// Text is the document for a terminal.
func (d Document) Text() string {
	var b strings.Builder
	b.WriteString("\n" + d.Lead + "\n")
	for _, t := range d.Tables {
		t.grid().write(&b)
	}
	b.WriteString("\n")
	for _, f := range d.Facts {
		fmt.Fprintf(&b, "%-9s %s\n", f[0], f[1])
	}
	for _, f := range d.Failures {
		fmt.Fprintf(&b, "%-9s %s\n", "failed", f)
	}
	return b.String()
}

// Markdown is the document as a section of a page.
func (d Document) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n", d.Title, escape(d.Lead))
	for _, t := range d.Tables {
		t.grid().writeMarkdown(&b)
	}
	b.WriteString("\n")
	for _, f := range d.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", f[0], escape(f[1]))
	}
	for _, f := range d.Failures {
		fmt.Fprintf(&b, "- failed: %s\n", escape(f))
	}
	return b.String()
}

// HTML is the document as a page that needs nothing else.
func (d Document) HTML() ([]byte, error) {
	type figure struct {
		Title string
		SVG   template.HTML
	}
	var shown struct {
		Title, Lead string
		Figures     []figure
		Tables      []shownTable
		Facts       []fact
		Failures    []string
	}
	shown.Title, shown.Lead, shown.Failures = d.Title, d.Lead, d.Failures
	for _, c := range d.Charts {
		svg, err := c.inline()
		if err != nil {
			return nil, err
		}
		shown.Figures = append(shown.Figures, figure{c.Title, svg})
	}
	for _, t := range d.Tables {
		shown.Tables = append(shown.Tables, newTable(t.grid()))
	}
	for _, f := range d.Facts {
		shown.Facts = append(shown.Facts, fact{f[0], f[1]})
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "document.html", shown); err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	return b.Bytes(), nil
}
