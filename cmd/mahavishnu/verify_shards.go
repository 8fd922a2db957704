package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage/dispersed"
	"mahavishnu/terminal"
)

// shardsReport is the event "shards": what was found of the storages of a dispersed
// repository, and made good.
type shardsReport struct {
	Objects  int            `json:"objects"`
	Bytes    int64          `json:"bytes"`
	Stored   int64          `json:"stored"`
	Problems map[string]int `json:"problems"`
	Reduced  int            `json:"reduced"`
	Repaired int            `json:"repaired"`
	Cleaned  int            `json:"cleaned"`
	Away     []int          `json:"away"`
	Left     []shardLeft    `json:"left"`
}

// shardLeft is a shard, or an object, that could not be made good.
type shardLeft struct {
	Object  string `json:"object"`
	Storage int    `json:"storage"`
	Problem string `json:"problem"`
	Error   string `json:"error,omitempty"`
}

// mostLeft bounds how many of them are listed.
const mostLeft = 100

// checkShards finds what the storages of a dispersed repository lack, and with mend
// makes it good, before its objects are verified. With data every byte of every
// shard is read. It does nothing where a repository lies in one place. What is left
// of problems is found, an error that the caller ends with when the rest was verified.
func (e *env) checkShards(ctx context.Context, repo *app.Opened, data, mend bool) (found, err error) {
	d, ok := repo.Dispersed()
	if !ok {
		return nil, nil
	}
	out := shardsReport{Problems: map[string]int{}, Left: []shardLeft{}, Away: []int{}}
	harmful := 0
	o := dispersed.CheckOptions{Found: func(f dispersed.Finding) error {
		e.term.Detailf("found: %s at storage %d: %s", f.Name, f.Storage, f.Problem)
		// What a put left that never was confirmed takes no redundancy from anything.
		if !f.Repaired && f.Problem != dispersed.Unfinished {
			harmful++
		}
		if !f.Repaired && len(out.Left) < mostLeft {
			left := shardLeft{Object: f.Name, Storage: f.Storage, Problem: string(f.Problem)}
			if f.Err != nil {
				left.Error = f.Err.Error()
			}
			out.Left = append(out.Left, left)
		}
		return nil
	}}
	look := d.Check // a listing tells what is missing or cut off
	if mend {
		look, o.Depth = d.Repair, dispersed.Heads
	}
	if data {
		o.Depth = dispersed.Cells
	}
	progress := e.term.Progress("comparing the storages")
	report, err := look(ctx, o)
	progress.Stop()
	if err != nil {
		return nil, err
	}
	out.Objects, out.Bytes, out.Stored = report.Objects, report.Bytes, report.Stored
	out.Reduced, out.Repaired, out.Cleaned = report.Reduced, report.Repaired, report.Cleaned
	out.Away = append(out.Away, report.Away...)
	for problem, n := range report.Problems {
		out.Problems[string(problem)] = n
	}
	e.term.Event("shards", out)
	e.tellShards(out, mend)
	if harmful == 0 {
		return nil, nil
	}
	return fault.New("compare the storages", d.Location(), fmt.Errorf("%w: %s", repository.ErrDamaged, terminal.Plural(harmful, "problem")),
		"what is emptied, missing, stale or damaged is made good by `mahavishnu verify --repair`: mount first what should be mounted"), nil
}

// tellShards prints what became of the shards.
func (e *env) tellShards(r shardsReport, mend bool) {
	if e.term.JSON {
		return
	}
	for _, l := range r.Left {
		where := ""
		if l.Storage > 0 {
			where = fmt.Sprintf(" at storage %d", l.Storage)
		}
		word, why := "FOUND", ""
		if mend {
			word = "LEFT"
		}
		if l.Error != "" {
			why = ": " + l.Error
		}
		e.term.Printf("%s %s%s: %s%s", e.term.Mark(terminal.Bad, word), l.Object, where, l.Problem, why)
	}
	for _, i := range r.Away {
		e.term.Warnf("storage %d of the repository does not answer: no redundancy can be counted on there; run `mahavishnu verify --repair` when it is back", i)
	}
	if len(r.Problems) == 0 {
		e.term.Sayf("the storages have all shards of %s", terminal.Plural(r.Objects, "object"))
		return
	}
	var words []string
	for _, problem := range slices.Sorted(maps.Keys(r.Problems)) {
		words = append(words, fmt.Sprintf("%s %s", terminal.Count(r.Problems[problem]), problem))
	}
	if mend {
		e.term.Printf("shards: %s; %s made good", strings.Join(words, ", "), terminal.Count(r.Repaired))
		return
	}
	e.term.Printf("shards: %s; %s of %s have fewer good shards than they should", strings.Join(words, ", "), terminal.Count(r.Reduced), terminal.Plural(r.Objects, "object"))
}
