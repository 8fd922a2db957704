package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/ledger"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// scrubReport is the JSON of verify --scrub.
type scrubReport struct {
	Objects int   `json:"objects"`
	Packs   int   `json:"packs"` // as they were written
	Bytes   int64 `json:"bytes"`
	// Recorded is whether the ledger knows of it: that takes the key.
	Recorded      bool                     `json:"recorded"`
	Problems      []snapshot.VerifyProblem `json:"problems"`
	ProblemsTotal int                      `json:"problems_total"`
	HarmlessTotal int                      `json:"harmless_total"`
	Seconds       float64                  `json:"seconds"`
}

// runScrub compares the checksums of everything that is stored. It needs the
// storage and nothing else.
func runScrub(ctx context.Context, e *env) error {
	access, err := e.access()
	if err != nil {
		return err
	}
	be, err := access.Storage.Open(ctx, access.Location)
	if err != nil {
		return err
	}
	defer func() { _ = be.Close() }() // it was only read
	progress := e.term.Progress("scrubbing")
	started := e.clock.Now()
	report := scrubReport{Problems: []snapshot.VerifyProblem{}}
	unreadable, allDenied := 0, true
	var first error // that could not be read
	done, err := repository.ScrubAll(ctx, be, func(p repository.Problem) {
		told := snapshot.VerifyProblem{Object: p.Object, Kind: p.Kind, Err: p.Err, Harmless: p.Harmless, Unreadable: errors.Is(p.Err, repository.ErrUnreadable)}
		report.ProblemsTotal++
		switch {
		case p.Harmless:
			report.HarmlessTotal++
		case told.Unreadable:
			unreadable++
			first, allDenied = cmp.Or(first, p.Err), allDenied && snapshot.Denied(p.Err)
		}
		if len(report.Problems) < maxToldProblems {
			report.Problems = append(report.Problems, told)
		}
	}, func(n int64) { adapter{progress}.Add(snapshot.ProgressDelta{Bytes: n}) })
	progress.Stop()
	if err != nil {
		return err
	}
	report.Objects, report.Packs, report.Bytes = done.Objects, len(done.Packs), done.Bytes
	why := e.recordScrub(ctx, done.Packs)
	report.Recorded = why == nil
	took := e.clock.Now().Sub(started)
	report.Seconds = took.Seconds()
	e.term.Event("scrub", report)
	e.tellScrub(report, took)
	if why != nil {
		e.term.Detailf("not noted in the repository's ledger: %v", why)
	}
	harmful := report.ProblemsTotal - report.HarmlessTotal
	switch {
	case harmful == 0:
		return nil
	case harmful == unreadable && allDenied:
		return fault.New("scrub", be.Location(), fmt.Errorf("%s, the first: %w", terminal.Plural(harmful, "problem"), first), "") // says itself what to do
	case harmful == unreadable:
		return fault.New("scrub", be.Location(), fmt.Errorf("%d objects: %w", harmful, repository.ErrUnreadable),
			"look at the storage (the system's log tells of bad sectors), then scrub again; copy what can be read to another disk")
	}
	return fault.New("scrub", be.Location(), fmt.Errorf("%w: %d problems", repository.ErrDamaged, harmful),
		"with the key, `mahavishnu verify` tells which files need it and `mahavishnu verify --repair` mends what can be mended")
}

// maxToldProblems bounds what a scrub lists; the counts cover all.
const maxToldProblems = 1000

// recordScrub notes packs as scrubbed, when there is a key. The error says why
// they are not.
func (e *env) recordScrub(ctx context.Context, packs []repository.PackID) error {
	if _, _, err := e.ring(); err != nil {
		return err
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	now := e.clock.Now()
	marks := make([]ledger.Mark, len(packs))
	for i, id := range packs {
		marks[i] = ledger.Mark{ID: id, Scrub: now.Unix()}
	}
	return errors.Join(repo.RecordVerification(ctx, now, ledger.New(marks, nil)), repo.Close())
}

func (e *env) tellScrub(report scrubReport, took time.Duration) {
	for _, p := range report.Problems {
		e.tellStored(p)
	}
	if hidden := report.ProblemsTotal - len(report.Problems); hidden > 0 {
		e.term.Printf("and %s", terminal.Plural(hidden, "more problem"))
	}
	e.term.Sayf("%s, %s: stored checksums compared, at %s; took %s", terminal.Plural(report.Objects, "object"), terminal.Bytes(report.Bytes),
		terminal.Rate(report.Bytes, took), terminal.Duration(took))
	if harmful := report.ProblemsTotal - report.HarmlessTotal; harmful > 0 {
		e.term.Printf("%s", e.term.Mark(terminal.Bad, terminal.Plural(harmful, "problem")+" found"))
		return
	}
	e.term.Printf("%s", e.term.Mark(terminal.Good, "every object that is there is as it was written"))
}

// tellStored prints what is wrong with a stored object; without the key nobody
// knows what that means.
func (e *env) tellStored(p snapshot.VerifyProblem) {
	switch {
	case e.term.JSON: // the event "scrub" holds it
	case p.Harmless:
		e.term.Sayf("harmless: %s: %v", p.Object, p.Err)
	case p.Unreadable:
		e.term.Printf("%s %s: %v", e.term.Mark(terminal.Bad, "UNREADABLE"), p.Object, p.Err)
	default:
		e.term.Printf("%s %s: %v", e.term.Mark(terminal.Bad, "DAMAGED"), p.Object, p.Err)
	}
}
