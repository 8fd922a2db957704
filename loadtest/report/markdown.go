package report

import (
	"fmt"
	"strings"

	"mahavishnu/loadtest/compare"
)

// Markdown is the comparison as a section of a page.
func Markdown(c compare.Comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Corpus %s\n\n%s.\n", c.Corpus.Kind, upper(c.Corpus.Description))
	for _, g := range grids(c) {
		g.writeMarkdown(&b)
	}
	b.WriteString("\n")
	for _, fact := range facts(c) {
		name, text, _ := strings.Cut(fact, " ")
		fmt.Fprintf(&b, "- %s: %s\n", name, escape(strings.TrimSpace(text)))
	}
	return b.String()
}

func (g grid) writeMarkdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%s**\n\n", upper(g.title))
	line(b, g.head)
	marks := make([]string, len(g.head))
	for i := range marks {
		marks[i] = "---"
		if i >= g.text {
			marks[i] = "---:"
		}
	}
	line(b, marks)
	for _, row := range g.rows {
		line(b, append(row, make([]string, len(g.head)-len(row))...))
	}
}

func line(b *strings.Builder, cells []string) {
	b.WriteString("|")
	for _, cell := range cells {
		b.WriteString(" " + escape(cell) + " |")
	}
	b.WriteString("\n")
}

// escape keeps a text within its cell, and from being read as markup.
func escape(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "\n", " ").Replace(text)
}

func upper(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
