package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mahavishnu/app"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
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
	// Causes sums up what is left.
	Causes []*shardCause `json:"causes"`
	// Accept is what to give to --accept-rolled-back to go on without what is lost.
	Accept string `json:"accept,omitempty"`
}

// shardLeft is a shard, or an object, that could not be made good.
type shardLeft struct {
	Object  string `json:"object"`
	Storage int    `json:"storage"`
	Problem string `json:"problem"`
	Error   string `json:"error,omitempty"`
}

// shardCause is one reason for what is left, however many objects suffer from it.
type shardCause struct {
	Problem  string `json:"problem"`
	Error    string `json:"error,omitempty"`
	Storages []int  `json:"storages"`
	Count    int    `json:"count"`
	First    string `json:"first"`
}

// mostLeft bounds how many of them are listed.
const mostLeft = 100

// add notes what is left.
func (r *shardsReport) add(f dispersed.Finding) {
	left := shardLeft{Object: f.Name, Storage: f.Storage, Problem: string(f.Problem)}
	why := ""
	if f.Err != nil {
		left.Error = f.Err.Error()
		why = cmp.Or(dispersed.Cause(f.Err), left.Error)
		if failed, ok := errors.AsType[*fault.Error](f.Err); ok && failed.Err != nil && dispersed.Cause(f.Err) == "" {
			why = failed.Err.Error() // the object is named beside it
		}
	}
	if len(r.Left) < mostLeft {
		r.Left = append(r.Left, left)
	}
	i := slices.IndexFunc(r.Causes, func(c *shardCause) bool { return c.Problem == left.Problem && c.Error == why })
	if i < 0 {
		i = len(r.Causes)
		r.Causes = append(r.Causes, &shardCause{Problem: left.Problem, Error: why, Storages: []int{}, First: f.Name})
	}
	c := r.Causes[i]
	c.Count++
	if f.Storage > 0 && !slices.Contains(c.Storages, f.Storage) {
		c.Storages = append(c.Storages, f.Storage)
		slices.Sort(c.Storages)
	}
}

// String is a line for people.
func (c *shardCause) String() string {
	text := c.First
	many := c.Count > 1 && !slices.Contains(ofStorages, dispersed.Problem(c.Problem))
	if many && c.Problem == string(dispersed.Unreadable) {
		text = terminal.Plural(c.Count, "object")
	} else if many {
		text = terminal.Plural(c.Count, "shard")
	}
	if len(c.Storages) > 0 {
		text += " at " + storagesOf(c.Storages)
	}
	text += ": " + c.Problem
	if c.Error != "" {
		text += ": " + c.Error
	}
	if many {
		text += "; the first: " + c.First
	}
	return text
}

// ofStorages are the problems of whole storages, and not of objects.
var ofStorages = []dispersed.Problem{dispersed.Emptied, dispersed.Foreign, dispersed.RolledBack}

// storagesOf names storages by their numbers.
func storagesOf(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	last := len(words) - 1
	if last == 0 {
		return "storage " + words[0]
	}
	return "storages " + strings.Join(words[:last], ", ") + " and " + words[last]
}

// checkShards finds what the storages of a dispersed repository lack, and with mend
// makes it good, before its objects are verified. With data every byte of every
// shard is read. It does nothing where a repository lies in one place. What is left
// of problems is found, an error that the caller ends with when the rest was verified.
func (e *env) checkShards(ctx context.Context, repo *app.Opened, data, mend bool) (found, err error) {
	d, ok := repo.Dispersed()
	if !ok {
		return nil, nil
	}
	out := shardsReport{Problems: map[string]int{}, Left: []shardLeft{}, Away: []int{}, Causes: []*shardCause{}}
	harmful, beyond := 0, false
	o := dispersed.CheckOptions{Found: func(f dispersed.Finding) error {
		e.term.Detailf("found: %s at storage %d: %s", f.Name, f.Storage, f.Problem)
		if f.Repaired {
			return nil
		}
		// What a put left that never was confirmed takes no redundancy from anything.
		if f.Problem != dispersed.Unfinished {
			harmful++
		}
		beyond = beyond || f.Problem == dispersed.Unreadable && errors.Is(f.Err, storage.ErrDamaged)
		out.add(f)
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
	advice := "what is emptied, missing, stale or damaged is made good by `mahavishnu verify --repair`: mount first what should be mounted"
	if older := d.MayStore(ctx); beyond || older != nil {
		advice, out.Accept = e.beyondAdvice(ctx, d, older)
	}
	e.term.Event("shards", out)
	e.tellShards(out, mend)
	if harmful == 0 {
		return nil, nil
	}
	return fault.New("compare the storages", d.Location(), fmt.Errorf("%w: %s", repository.ErrDamaged, terminal.Plural(harmful, "problem")), advice), nil
}

// beyondAdvice says what to do when too few shards of something are left, and what stands
// for going on without that. older is why nothing is stored meanwhile, if that is so.
func (e *env) beyondAdvice(ctx context.Context, d *dispersed.Backend, older error) (advice, accept string) {
	advice = "a repair cannot make good what more storages have lost than may be: bring back what those had"
	if older != nil {
		advice = "put the newest state of the storages back that were rolled back, and nothing is lost; a repair cannot make good what more of them lack than may be lost"
	}
	lost, err := d.Lost(ctx)
	switch {
	case err != nil:
		return strings.Join(append([]string{advice}, fault.Hints(err)...), "; "), ""
	case lost.None():
		return advice, ""
	}
	accept = lost.Token()
	if e.Replica != "" {
		return advice + fmt.Sprintf("; only if that is nowhere, let go of it, and have it copied again: mahavishnu verify --replica %s --accept-rolled-back %s", e.Replica, accept), accept
	}
	return advice + "; or take it from a copy (--replica); only if it is nowhere, give up what is named above, for good: mahavishnu verify --accept-rolled-back " + accept, accept
}

// tellShards prints what became of the shards.
func (e *env) tellShards(r shardsReport, mend bool) {
	if e.term.JSON {
		return
	}
	word := "FOUND"
	if mend {
		word = "LEFT"
	}
	for _, c := range r.Causes {
		e.term.Printf("%s %s", e.term.Mark(terminal.Bad, word), c)
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
