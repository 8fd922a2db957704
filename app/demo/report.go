package demo

import (
	"fmt"
	"path/filepath"
	"time"

	"mahavishnu/terminal"
)

// Report is what the demo measured.
type Report struct {
	Source   string    `json:"source"`
	Chapters []Chapter `json:"chapters"`
	Seconds  float64   `json:"seconds"`
	// Stored is the size of the repository at the end, in bytes.
	Stored int64 `json:"stored_bytes"`
	// Compared are the files and bytes of the restored tree found equal to the
	// source.
	ComparedFiles int64 `json:"compared_files"`
	ComparedBytes int64 `json:"compared_bytes"`
}

// Chapter is one thing that was done.
type Chapter struct {
	Name    string  `json:"name"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	Stored  int64   `json:"stored_bytes"`
	Seconds float64 `json:"seconds"`
	Note    string  `json:"note"`
}

// chapter writes a chapter down and shows it.
func (d *demo) chapter(c Chapter) {
	d.report.Chapters = append(d.report.Chapters, c)
	d.say("%d. %s: %s", len(d.report.Chapters), c.Name, c.Note)
}

// print ends the story with the table.
func (d *demo) print() {
	d.Terminal.Document(d.report)
	table := terminal.NewTable("what", "files>", "size>", "stored>", "time>", "rate>")
	for _, c := range d.report.Chapters {
		took := time.Duration(c.Seconds * float64(time.Second))
		stored := ""
		if c.Stored > 0 {
			stored = terminal.Bytes(c.Stored)
		}
		table.Row(c.Name, terminal.Count(c.Files), terminal.Bytes(c.Bytes), stored, terminal.Duration(took), terminal.Rate(c.Bytes, took))
	}
	d.Terminal.Printf("\n%s\nRepository: %s. %s in %s compared byte by byte with the source: equal.\nEverything above was measured in this run, in %s.",
		table, terminal.Bytes(d.report.Stored), plural(d.report.ComparedFiles, "file"), terminal.Bytes(d.report.ComparedBytes),
		terminal.Duration(time.Duration(d.report.Seconds*float64(time.Second))))
	if d.Keep {
		d.Terminal.Printf("\nKept in %s. Look around:\n  mahavishnu snapshots --repository %s --key %s\n  mahavishnu config show --config %s",
			d.dir, d.replica(), filepath.Join(d.dir, "key"), d.configPath())
	}
}

func plural(n int64, one string) string { return terminal.Plural(n, one) }

func since(d *demo, start time.Time) float64 { return d.Clock.Now().Sub(start).Seconds() }

func pid(n int) string { return fmt.Sprintf("pid %d", n) }
