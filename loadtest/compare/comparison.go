// Package compare has several programs do the same work on the same data and
// tells what each took.
//
// Everything is made equal: each step is a process of its own, measured as the
// operating system accounts for it; the data it reads was read just before, so
// that it is in the page cache; the file system has nothing left to write when it
// starts, and writing out what it wrote is part of its time; the order of the
// programs changes from run to run; what is restored is compared with the tree,
// byte by byte.
//
// [Run] measures, a [Comparison] holds what was measured and can be written as
// JSON, and package report shows it.
package compare

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/loadtest/peers"
	"mahavishnu/loadtest/process"
)

// Work is a step of a comparison.
type Work string

// The steps.
const (
	FirstBackup Work = "first backup"
	Unchanged   Work = "nothing changed"
	Check       Work = "full read of all data in check"
	Restore     Work = "restore into an empty directory"
	NextBackup  Work = "backup of the next version"
)

// Works lists the steps in the order they are done.
func Works() []Work { return []Work{FirstBackup, Unchanged, NextBackup, Check, Restore} }

// Comparison is what was compared, where, and what came out.
type Comparison struct {
	When     time.Time       `json:"when"`
	Corpus   Corpus          `json:"corpus"`
	Runs     int             `json:"runs"`
	Machine  Machine         `json:"machine"`
	Programs []peers.Program `json:"programs"`
	// Notes are sentences about what could not be done as wished.
	Notes    []string  `json:"notes,omitempty"`
	Measured []Measure `json:"measured"`
	// Duration of all, with making the corpus and comparing.
	Duration time.Duration `json:"duration_ns"`
}

// Corpus describes the data.
type Corpus struct {
	Kind        string `json:"kind"`
	Description string `json:"description"`
	Seed        uint64 `json:"seed"`
	Files       int64  `json:"files"`
	Bytes       int64  `json:"bytes"`
	// Versions is the size of each version of a corpus that changes.
	Versions []Version `json:"versions,omitempty"`
}

// Version is a state of a corpus that changes.
type Version struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Changed says what differs from the version before.
	Changed string `json:"changed,omitempty"`
}

// Measure is one step of one program in one run.
type Measure struct {
	Program string `json:"program"`
	Work    Work   `json:"work"`
	Run     int    `json:"run"`     // from 0
	Version int    `json:"version"` // from 0, of a corpus that changes
	process.Usage
	// Stored is the size of the repository after a backup.
	Stored int64 `json:"stored,omitempty"`
	// Failure says why there are no figures.
	Failure string `json:"failure,omitempty"`
}

// Load reads a comparison that was written as JSON.
func Load(path string) (Comparison, error) {
	var c Comparison
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, fault.New("read comparison", path, err, "name a file that `loadtest compare --json` wrote")
	}
	return c, nil
}

// Series tells whether versions of the corpus were backed up one after another.
func (c Comparison) Series() bool { return len(c.Corpus.Versions) > 0 }

// Logical is what all backups of a series together hold.
func (c Comparison) Logical() int64 {
	if !c.Series() {
		return c.Corpus.Bytes
	}
	var sum int64
	for _, v := range c.Corpus.Versions {
		sum += v.Bytes
	}
	return sum
}

// Summary is what a program took for a kind of work over all runs.
type Summary struct {
	Program peers.Program
	Work    Work
	Wall    []time.Duration // of each run, in their order; of a series the sum of its versions
	CPU     []time.Duration
	Peak    int64 // the largest of all
	Stored  int64 // median
	Failure string
}

// Summaries returns what each program took for the work, in the order of the
// programs; those that did not try are left out.
func (c Comparison) Summaries(work Work) []Summary {
	var all []Summary
	for _, p := range c.Programs {
		s := Summary{Program: p, Work: work}
		var stored []int64
		runs := map[int]int{} // run: its place in Wall
		found := false
		for _, m := range c.Measured {
			if m.Program != p.Name || m.Work != work {
				continue
			}
			found = true
			if m.Failure != "" {
				s.Failure = cmp.Or(s.Failure, m.Failure)
				continue
			}
			at, ok := runs[m.Run]
			if !ok {
				at = len(s.Wall)
				runs[m.Run] = at
				s.Wall, s.CPU, stored = append(s.Wall, 0), append(s.CPU, 0), append(stored, 0)
			}
			s.Wall[at] += m.Wall
			s.CPU[at] += m.CPU()
			stored[at] = m.Stored // of a series, the last version's
			s.Peak = max(s.Peak, m.PeakMemory)
		}
		s.Stored = Median(stored)
		if found {
			all = append(all, s)
		}
	}
	return all
}

// StoredAt returns the size of a program's repository after a version.
func (c Comparison) StoredAt(program string, version int) int64 {
	var sizes []int64
	for _, m := range c.Measured {
		if m.Program == program && m.Version == version && m.Failure == "" && (m.Work == FirstBackup || m.Work == NextBackup) {
			sizes = append(sizes, m.Stored)
		}
	}
	return Median(sizes)
}

// Median returns the middle of the values, or between the two in the middle; 0
// of none.
func Median[T ~int64 | ~float64](values []T) T {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[n/2]
}

// Ratio compares the times of two programs run by run.
type Ratio struct {
	To       string  `json:"to"`
	Median   float64 `json:"median"`
	From     float64 `json:"from"` // the least of all runs
	UpTo     float64 `json:"up_to"`
	Measured bool    `json:"measured"`
}

// RatioTo compares wall times of the same runs. Runs that one of them lacks are
// left out.
func (c Comparison) RatioTo(work Work, program, other string) Ratio {
	of := func(name string) map[int]time.Duration {
		sums := map[int]time.Duration{}
		for _, m := range c.Measured {
			if m.Program == name && m.Work == work && m.Failure == "" {
				sums[m.Run] += m.Wall
			}
		}
		return sums
	}
	ours, theirs := of(program), of(other)
	var ratios []float64
	for run, wall := range ours {
		if theirs[run] > 0 {
			ratios = append(ratios, wall.Seconds()/theirs[run].Seconds())
		}
	}
	if len(ratios) == 0 {
		return Ratio{To: other}
	}
	return Ratio{To: other, Median: Median(ratios), From: slices.Min(ratios), UpTo: slices.Max(ratios), Measured: true}
}

// Best returns the name of the peer with the least median time for the work, ""
// when none did it.
func (c Comparison) Best(work Work) string {
	best, least := "", time.Duration(0)
	for _, s := range c.Summaries(work) {
		if s.Program.Kind != peers.Peer || len(s.Wall) == 0 || s.Failure != "" {
			continue
		}
		if wall := Median(s.Wall); best == "" || wall < least {
			best, least = s.Program.Name, wall
		}
	}
	return best
}
