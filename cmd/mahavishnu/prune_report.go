package main

import (
	"fmt"
	"strings"

	"mahavishnu/repository"
	"mahavishnu/snapshot/prune"
	"mahavishnu/terminal"
)

// tellPrune prints what a run found, did and left.
func (e *env) tellPrune(repo *repository.Repository, r prune.Report, held []repository.Hold, err error) {
	if err != nil && r.Packs == 0 && len(r.Plan) == 0 {
		return // it ended before there was anything to tell
	}
	e.term.Document(struct {
		prune.Report
		Seconds  float64           `json:"seconds"`
		Clean    bool              `json:"clean"`
		Held     []repository.Hold `json:"held"`
		Troubles []string          `json:"troubles"`
	}{r, r.End.Sub(r.Start).Seconds(), err == nil && r.Clean(), nonNil(held), nonNil(texts(r.Troubles))})
	if e.term.JSON {
		return
	}
	var f terminal.Fields
	f.Add("stored", fmt.Sprintf("%s in %s", terminal.Bytes(r.PackBytes), terminal.Plural(r.Packs, "pack")))
	f.Add("not needed by any of "+terminal.Plural(r.Snapshots, "snapshot"), fmt.Sprintf("%s, %s of what is stored",
		terminal.Bytes(r.UnusedBytes), terminal.Percent(float64(r.UnusedBytes), float64(r.PackBytes))))
	if r.UnindexedPacks > 0 {
		f.Add("of unfinished backups", fmt.Sprintf("%s in %s", terminal.Bytes(r.UnindexedBytes), terminal.Plural(r.UnindexedPacks, "pack")))
	}
	e.term.Printf("%s", f.String())
	e.tellResumed(r)
	e.tellPrunePlan(r)
	for _, h := range held {
		e.term.Warnf("nothing would be removed: %s is held by %s (%s)", terminal.Name(h.Source), h.Name, h.String())
	}
	for _, trouble := range r.Troubles {
		e.term.Warnf("left alone: %v", trouble)
	}
	if r.DryRun {
		for _, s := range r.Fenced {
			e.term.Printf("left by a process that has ended, and would be cleared away: %s", s.String())
		}
		e.tellWaiting(r)
		e.term.Printf("nothing was removed: that was a dry run")
		return
	}
	e.tellPruned(r)
	e.tellWaiting(r)
	for _, short := range r.NoRoom {
		e.term.Warnf("no room to %s: %s or more must be free", short.What, terminal.Bytes(short.Bytes))
	}
	if err == nil && r.Clean() {
		e.term.Sayf("nothing is left to remove from %s", repo.Backend().Location())
	}
}

// tellResumed says what becomes of the sealing anew that another run had begun.
func (e *env) tellResumed(r prune.Report) {
	switch {
	case r.Resumed == nil:
	case r.Dropped:
		e.term.Warnf("sealing anew what older versions of the key have sealed is not gone on with (%s); to do that: mahavishnu prune --reseal", r.Resumed)
	case r.DryRun:
		e.term.Printf("would go on with sealing anew, %s and not finished", r.Resumed)
	default:
		e.term.Printf("went on with sealing anew, %s and not finished", r.Resumed)
	}
}

// tellPrunePlan explains what is done with which packs, class by class.
func (e *env) tellPrunePlan(r prune.Report) {
	if len(r.Plan) == 0 {
		return
	}
	table := terminal.NewTable("", "packs>", "bytes>", "needed>", "why")
	for _, l := range r.Plan {
		needed := ""
		if l.Action == prune.Repack || l.Action == prune.Later {
			needed = terminal.Bytes(l.Live)
		}
		table.Row(string(l.Action), terminal.Count(l.Packs), terminal.Bytes(l.Bytes), needed, l.Reason)
	}
	e.term.Printf("\n%s", strings.TrimRight(table.String(), "\n"))
	for _, l := range r.Plan {
		for _, object := range l.Examples {
			e.term.Detailf("  %s %s", l.Action, object)
		}
	}
}

func (e *env) tellPruned(r prune.Report) {
	e.term.Printf("\nremoved %s in %s", terminal.Bytes(r.RemovedBytes), terminal.Plural(r.RemovedPacks, "pack"))
	if r.RetainedPacks > 0 {
		e.term.Printf("%s in %s cannot be deleted yet: the storage keeps them until their retention ends", terminal.Bytes(r.RetainedBytes), terminal.Plural(r.RetainedPacks, "pack"))
	}
	if k := r.Retention; k != nil && k.Objects > 0 {
		e.term.Printf("kept %s from being deleted until %s", terminal.Plural(k.Objects, "object"), terminal.Moment(k.Until.Local()))
	}
	if r.RepackedBytes > 0 {
		text := fmt.Sprintf("rewrote %s of packs as %s", terminal.Bytes(r.RepackedBytes), terminal.Bytes(r.WrittenBytes))
		if r.RescuedBytes > 0 {
			text += fmt.Sprintf(", of which new snapshots needed %s", terminal.Bytes(r.RescuedBytes))
		}
		e.term.Printf("%s", text)
	}
	if r.Resealed > 0 {
		e.term.Printf("sealed %s anew", terminal.Plural(r.Resealed, "object"))
	}
	for _, s := range r.Fenced {
		if s.Gone {
			e.term.Sayf("cleared away what a process left that has ended: %s", s.String())
			continue
		}
		e.term.Warnf("taken for dead: %s; should it be alive, it starts anew", s.String())
	}
	for _, name := range r.Published {
		e.term.Sayf("finished the commit of a backup that had died: %s", name)
	}
}

// tellWaiting says for whom packs wait, and what becomes of them.
func (e *env) tellWaiting(r prune.Report) {
	now := e.clock.Now()
	for _, w := range r.Waiting {
		what := fmt.Sprintf("%s in %s", terminal.Bytes(w.Bytes), terminal.Plural(w.Packs, "pack"))
		switch {
		case len(w.For) > 0:
			e.term.Printf("%s will be removed when these have ended:", what)
			for _, s := range w.For {
				line := "  " + s.String()
				if since := waitingSince(s, now); since != "" {
					line += ", for " + since
				}
				e.term.Printf("%s", line)
			}
			e.term.Printf("  the next run removes it; to wait for them: mahavishnu prune --wait 1h")
		case w.Why != "":
			e.term.Printf("%s will be removed by a later run: %s", what, w.Why)
		default:
			e.term.Printf("%s will be removed by the next run", what)
		}
	}
}
