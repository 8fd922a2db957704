package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/loadtest/compare"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/peers"
	"mahavishnu/loadtest/process"
)

var update = flag.Bool("update", false, "write what is shown now into the golden files")

// took is a measure of a tenth of a second of processor time for each of wall.
func took(program string, work compare.Work, run, version int, wall float64, stored int64) compare.Measure {
	d := time.Duration(wall * float64(time.Second))
	return compare.Measure{
		Program: program, Work: work, Run: run, Version: version, Stored: stored,
		Usage: process.Usage{Wall: d, User: d, System: d / 10, PeakMemory: 100 << 20},
	}
}

var machine = compare.Machine{OS: "linux/amd64", Kernel: "Linux 6.1", CPU: "a processor", Cores: 2, Memory: 24 << 30, FileSystem: "ext4", Go: "go1.26"}

// large is a comparison with a failure, names that need escaping, and aims that
// are met and missed.
func large() compare.Comparison {
	c := compare.Comparison{
		When: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Runs: 3, Machine: machine, Duration: 90 * time.Minute,
		Corpus: compare.Corpus{Kind: string(corpus.Mixed), Description: "large files", Seed: 1, Files: 200, Bytes: 10e9},
		Programs: []peers.Program{
			{Name: "restic", Kind: peers.Peer, Version: "restic 0.14.0", Settings: []string{"backup"}},
			{Name: "borg", Kind: peers.Peer, Version: "borg 1.2.4", Settings: []string{"create", "zstd,1"}},
			{Name: "kopia", Kind: peers.Peer, Version: "<&|>", Settings: []string{`says "no"`}},
			{Name: peers.OwnName, Kind: peers.Ours, Version: "v1", Settings: []string{"the defaults"}},
			{Name: "cp -a", Kind: peers.Limit, Version: "of this system"},
			{Name: "bare pipeline", Kind: peers.Limit, Version: "of this program"},
		},
		Notes: []string{"restic does not have --no-scan"},
	}
	for run := range 3 {
		slower := float64(run) / 10 // whoever is measured later takes longer
		for _, p := range []struct {
			name                           string
			first, unchanged, check, again float64
		}{{"restic", 50, 1, 13, 27}, {"borg", 40, 0.4, 23, 22}, {peers.OwnName, 18, 0.1, 10, 15}} {
			c.Measured = append(c.Measured,
				took(p.name, compare.FirstBackup, run, 0, p.first+slower, 5_500_000_000),
				took(p.name, compare.Unchanged, run, 0, p.unchanged, 5_500_000_000),
				took(p.name, compare.Check, run, 0, p.check, 0),
				took(p.name, compare.Restore, run, 0, p.again, 0))
		}
		c.Measured = append(c.Measured,
			compare.Measure{Program: "kopia", Work: compare.FirstBackup, Run: run, Failure: "run kopia: exit status 1\n<disk full>"},
			took("cp -a", compare.FirstBackup, run, 0, 9, 10_000_000_000), took("cp -a", compare.Restore, run, 0, 9, 0),
			took("bare pipeline", compare.FirstBackup, run, 0, 19, 5_600_000_000))
	}
	return c
}

// versions is a comparison of what is stored.
func versions() compare.Comparison {
	c := compare.Comparison{
		When: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Runs: 1, Machine: machine, Duration: time.Minute,
		Corpus: compare.Corpus{
			Kind: string(corpus.Versions), Description: "source text", Seed: 1, Files: 10, Bytes: 1 << 20,
			Versions: []compare.Version{{Files: 10, Bytes: 1 << 20}, {Files: 11, Bytes: 1 << 20, Changed: "some"}, {Files: 11, Bytes: 1 << 20}},
		},
		Programs: []peers.Program{
			{Name: "restic", Kind: peers.Peer, Version: "restic 0.14.0"},
			{Name: "borg", Kind: peers.Peer, Version: "borg 1.2.4"},
			{Name: peers.OwnName, Kind: peers.Ours, Version: "v1"},
		},
	}
	for i, p := range c.Programs {
		first := int64(500_000 + 10_000*i)
		c.Measured = append(c.Measured, took(p.Name, compare.FirstBackup, 0, 0, 2, first),
			took(p.Name, compare.NextBackup, 0, 1, 0.5, first+20_000), took(p.Name, compare.NextBackup, 0, 2, 0.5, first+45_000-int64(25_000*i)))
	}
	return c
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

func TestTablesAndSections(t *testing.T) {
	golden(t, "mixed.txt", Text(large()))
	golden(t, "mixed.md", Markdown(large()))
	golden(t, "versions.txt", Text(versions()))
	golden(t, "versions.md", Markdown(versions()))
}

func TestThePageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	page, err := HTML([]compare.Comparison{large(), versions(), {Runs: 1}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "page.html", string(page))
	elements := map[string]int{}
	decoder := xml.NewDecoder(bytes.NewReader(page))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[start.Name.Local]++
		for _, a := range start.Attr {
			if a.Name.Local == "src" || a.Name.Local == "href" {
				t.Errorf("<%s> refers to %s", start.Name.Local, a.Value)
			}
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.Contains(a.Value, "ZgotmplZ") {
				t.Errorf("<%s %s=%q>", start.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	// A plot for each work, and one of what is stored.
	if elements["svg"] != 4+2+1 || elements["polyline"] != 3 || elements["script"] != 0 {
		t.Errorf("elements: %v", elements)
	}
	if !bytes.Contains(page, []byte("prefers-color-scheme: dark")) {
		t.Error("the page has no dark colours")
	}
}

func TestMissesAreSaidPlainly(t *testing.T) {
	text := strings.Join(strings.Fields(Text(large())), " ")
	for _, want := range []string{
		"at most 1.00 x cp -a 1.67 x (1.67 to 1.67) MISSED",
		"at most 0.50 x borg 0.45 x (0.45 to 0.45) met",
		"failed kopia, first backup, run 1: run kopia: exit status 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables do not say %q", want)
		}
	}
}
