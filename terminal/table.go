package terminal

import (
	"strings"
	"unicode/utf8"
)

// Table lines up columns. Columns of numbers are named with a trailing '>' to
// be aligned right. Cells are escaped with [Name] unless they came from this
// package's own renderers, which never hold a control character.
type Table struct {
	head  []string
	right []bool
	rows  [][]string
}

// NewTable starts a table with the columns' names.
func NewTable(columns ...string) *Table {
	t := &Table{right: make([]bool, len(columns))}
	for i, name := range columns {
		bare := strings.TrimSuffix(name, ">")
		t.right[i] = bare != name
		t.head = append(t.head, strings.ToUpper(bare))
	}
	return t
}

// Row adds a row; missing cells are empty, surplus ones a mistake that panics.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.head))
	for i, cell := range cells {
		if cell != "" {
			row[i] = printable(cell)
		}
	}
	t.rows = append(t.rows, row)
}

// Len returns how many rows were added.
func (t *Table) Len() int { return len(t.rows) }

// String renders the table, two blanks between columns and none at line ends.
func (t *Table) String() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// printable escapes a cell, but leaves an empty one empty.
func printable(cell string) string {
	if cell == "" {
		return ""
	}
	return Name(cell)
}

// Fields lines up names and values, one a line, as "name:  value".
type Fields struct{ pairs [][2]string }

// Add adds a line. An empty value is shown as "-".
func (f *Fields) Add(name, value string) {
	if value == "" {
		value = "-"
	}
	f.pairs = append(f.pairs, [2]string{name, value})
}

// String renders the lines.
func (f *Fields) String() string {
	width := 0
	for _, pair := range f.pairs {
		width = max(width, utf8.RuneCountInString(pair[0]))
	}
	var b strings.Builder
	for _, pair := range f.pairs {
		b.WriteString(pair[0] + ":" + strings.Repeat(" ", width-utf8.RuneCountInString(pair[0])+2))
		b.WriteString(strings.ReplaceAll(printable(pair[1]), "\n", "\n"+strings.Repeat(" ", width+3)))
		b.WriteByte('\n')
	}
	return b.String()
}
