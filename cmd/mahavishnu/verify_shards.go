package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/app"
	"mahavishnu/storage/dispersed"
	"mahavishnu/terminal"
)

// shardsReport is the event "shards": what a repair of dispersed storage found and did.
type shardsReport struct {
	Objects  int            `json:"objects"`
	Bytes    int64          `json:"bytes"`
	Stored   int64          `json:"stored"`
	Problems map[string]int `json:"problems"`
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

// mendShards makes good what the storages of a dispersed repository lack, before its
// objects are verified. With data every byte of every shard is read. It does nothing
// where a repository lies in one place.
func (e *env) mendShards(ctx context.Context, repo *app.Opened, data bool) error {
	d, ok := repo.Dispersed()
	if !ok {
		return nil
	}
	out := shardsReport{Problems: map[string]int{}, Left: []shardLeft{}, Away: []int{}}
	o := dispersed.CheckOptions{Depth: dispersed.Heads, Found: func(f dispersed.Finding) error {
		e.term.Detailf("found: %s at storage %d: %s", f.Name, f.Storage, f.Problem)
		if !f.Repaired && len(out.Left) < mostLeft {
			left := shardLeft{Object: f.Name, Storage: f.Storage, Problem: string(f.Problem)}
			if f.Err != nil {
				left.Error = f.Err.Error()
			}
			out.Left = append(out.Left, left)
		}
		return nil
	}}
	if data {
		o.Depth = dispersed.Cells
	}
	progress := e.term.Progress("comparing the storages")
	report, err := d.Repair(ctx, o)
	progress.Stop()
	if err != nil {
		return err
	}
	out.Objects, out.Bytes, out.Stored = report.Objects, report.Bytes, report.Stored
	out.Repaired, out.Cleaned = report.Repaired, report.Cleaned
	out.Away = append(out.Away, report.Away...)
	for problem, n := range report.Problems {
		out.Problems[string(problem)] = n
	}
	e.term.Event("shards", out)
	e.tellShards(out)
	return nil
}

// tellShards prints what became of the shards.
func (e *env) tellShards(r shardsReport) {
	if e.term.JSON {
		return
	}
	for _, l := range r.Left {
		where := ""
		if l.Storage > 0 {
			where = fmt.Sprintf(" at storage %d", l.Storage)
		}
		e.term.Printf("%s %s%s: %s: %s", e.term.Mark(terminal.Bad, "LEFT"), l.Object, where, l.Problem, l.Error)
	}
	for _, i := range r.Away {
		e.term.Warnf("storage %d of the repository does not answer; run the repair again when it is back", i)
	}
	if len(r.Problems) == 0 {
		e.term.Sayf("the storages have all shards of %s", terminal.Plural(r.Objects, "object"))
		return
	}
	var words []string
	for _, problem := range slices.Sorted(maps.Keys(r.Problems)) {
		words = append(words, fmt.Sprintf("%s %s", terminal.Count(r.Problems[problem]), problem))
	}
	e.term.Printf("shards: %s; %s made good", strings.Join(words, ", "), terminal.Count(r.Repaired))
}
