// Package report shows a comparison: as tables for a terminal, as the section of
// a Markdown page, and as an HTML page with plots that needs nothing else.
//
// All three say the same: the median of all runs with the least and the most,
// ratios of runs to the same run of another program, and beside each aim what was
// reached.
package report

import (
	"fmt"
	"strings"
	"time"

	"mahavishnu/loadtest/compare"
	"mahavishnu/loadtest/peers"
	"mahavishnu/terminal"
)

// Text is the comparison as tables for a terminal.
func Text(c compare.Comparison) string {
	var b strings.Builder
	for _, g := range grids(c) {
		g.write(&b)
	}
	b.WriteString("\n")
	for _, line := range facts(c) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// grid is a table with a title; its first columns are text, the others numbers.
type grid struct {
	title string
	text  int // how many columns are text
	head  []string
	rows  [][]string
}

// write puts the table out for a terminal.
func (g grid) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", g.title)
	head := make([]string, len(g.head))
	for i, name := range g.head {
		head[i] = name
		if i >= g.text {
			head[i] += ">"
		}
	}
	table := terminal.NewTable(head...)
	for _, row := range g.rows {
		table.Row(row...)
	}
	b.WriteString(table.String())
}

// grids are all tables of a comparison.
func grids(c compare.Comparison) []grid {
	var all []grid
	for _, work := range compare.Works() {
		if g, ok := workGrid(c, work); ok {
			all = append(all, g)
		}
	}
	if c.Series() {
		all = append(all, versionGrid(c))
	}
	if g, ok := aimGrid(c); ok {
		all = append(all, g)
	}
	return all
}

// workGrid is what each program took for one kind of work.
func workGrid(c compare.Comparison, work compare.Work) (grid, bool) {
	best := c.Best(work)
	g := grid{title: string(work), text: 1, head: []string{"program", "wall", "least to most", "processor", "memory at most"}}
	if work == compare.NextBackup {
		g.title = fmt.Sprintf("all %d further versions together", len(c.Corpus.Versions)-1)
	}
	stores := work == compare.FirstBackup || work == compare.NextBackup
	if stores {
		g.head = append(g.head, "stored")
	}
	if best != "" {
		g.head = append(g.head, "x "+best)
	}
	for _, s := range c.Summaries(work) {
		row := []string{s.Program.Name}
		if s.Failure != "" {
			row = append(row, "failed")
		} else {
			row = append(row, seconds(compare.Median(s.Wall)))
		}
		if len(s.Wall) == 0 {
			g.rows = append(g.rows, row)
			continue
		}
		row = append(row, spread(s.Wall), seconds(compare.Median(s.CPU)), terminal.Bytes(s.Peak))
		if stores {
			row = append(row, terminal.Bytes(s.Stored))
		}
		if best != "" {
			row = append(row, ratio(c.RatioTo(work, s.Program.Name, best)))
		}
		g.rows = append(g.rows, row)
	}
	return g, len(g.rows) > 0
}

// versionGrid is what is stored after each version.
func versionGrid(c compare.Comparison) grid {
	g := grid{title: "stored after each version, and how many times over it is in the backups", text: 1, head: []string{"version", "tree"}}
	for _, p := range c.Programs {
		g.head = append(g.head, p.Name)
	}
	var logical int64
	for v, version := range c.Corpus.Versions {
		logical += version.Bytes
		row := []string{fmt.Sprint(v + 1), terminal.Bytes(version.Bytes)}
		for _, p := range c.Programs {
			stored := c.StoredAt(p.Name, v)
			if stored == 0 {
				row = append(row, "failed")
				continue
			}
			row = append(row, fmt.Sprintf("%s (%.1f x)", terminal.Bytes(stored), float64(logical)/float64(stored)))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// aimGrid is what is aimed at and what was reached, of all our programs.
func aimGrid(c compare.Comparison) (grid, bool) {
	g := grid{title: "aims", text: 5, head: []string{"program", "work", "aim", "reached", ""}}
	for _, p := range c.Programs {
		if p.Kind != peers.Ours {
			continue
		}
		for _, a := range c.Aims(p.Name) {
			got := fmt.Sprintf("%.2f x", a.Got)
			switch {
			case a.Bytes:
				got = terminal.Bytes(int64(a.Got))
			case c.Runs > 1 && a.UpTo > 0:
				got += fmt.Sprintf(" (%.2f to %.2f)", a.From, a.UpTo)
			}
			g.rows = append(g.rows, []string{p.Name, string(a.Work), a.Text, got, verdict(a)})
		}
	}
	return g, len(g.rows) > 0
}

func verdict(a compare.Aim) string {
	if a.Met() {
		return "met"
	}
	return "MISSED"
}

// facts are lines about what was compared, how and where.
func facts(c compare.Comparison) []string {
	m := c.Machine
	lines := []string{
		fmt.Sprintf("data      %s; in all %s, %s; seed %d", c.Corpus.Description, terminal.Plural(c.Corpus.Files, "file"), terminal.Bytes(c.Corpus.Bytes), c.Corpus.Seed),
		"machine   " + m.String(),
		fmt.Sprintf("runs      %d, %s, in all %s", c.Runs, c.When.Format(time.RFC3339), terminal.Duration(c.Duration)),
		"method    " + method,
	}
	for _, p := range c.Programs {
		lines = append(lines, fmt.Sprintf("program   %s (%s): %s", p.Name, p.Version, strings.Join(p.Settings, "; ")))
	}
	for _, note := range c.Notes {
		lines = append(lines, "note      "+note)
	}
	for _, f := range failures(c) {
		lines = append(lines, "failed    "+f)
	}
	return lines
}

// method is how it is measured, the same for every program.
const method = "each step is a process of its own, as the kernel accounts for it; what it reads was read just before; " +
	"before it the file system has nothing left to write, and writing out what it wrote is part of its time; " +
	"the order of programs changes from run to run; what is restored is compared byte by byte"

func failures(c compare.Comparison) []string {
	var all []string
	for _, m := range c.Measured {
		if m.Failure != "" {
			why := strings.Join(strings.Fields(m.Failure), " ")
			all = append(all, fmt.Sprintf("%s, %s, run %d: %s", m.Program, m.Work, m.Run+1, terminal.Cut(why, 400)))
		}
	}
	return all
}

// seconds has three digits that matter, whatever the size.
func seconds(d time.Duration) string {
	s := d.Seconds()
	switch {
	case s < 1:
		return fmt.Sprintf("%.3f s", s)
	case s < 10:
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.1f s", s)
}

func spread(walls []time.Duration) string {
	if len(walls) < 2 {
		return ""
	}
	least, most := walls[0], walls[0]
	for _, w := range walls {
		least, most = min(least, w), max(most, w)
	}
	return strings.TrimSuffix(seconds(least), " s") + " to " + seconds(most)
}

func ratio(r compare.Ratio) string {
	if !r.Measured {
		return ""
	}
	if r.From == r.UpTo {
		return fmt.Sprintf("%.2f", r.Median)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", r.Median, r.From, r.UpTo)
}
