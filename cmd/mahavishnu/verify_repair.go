package main

import (
	"context"
	"errors"

	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// repair verifies, mends what it can, and tells what it did and what is left; clean says
// that nothing was wrong.
func (e *env) repair(ctx context.Context, repo *repository.Repository, clean string, o snapshot.VerifyOptions) error {
	progress := e.term.Progress("verifying and mending")
	o.Progress, o.Clock = adapter{progress}, e.clock
	o.OnProblem = func(p repository.Problem) {
		e.term.Detailf("found: %s %s: %v", p.Kind, p.Object, p.Err)
	}
	access, err := e.access()
	if err != nil {
		return err
	}
	copies, done := access.Copies(ctx)
	o.Replicas = copies
	report, err := snapshot.Repair(ctx, repo, o, e.tellMended)
	progress.Stop()
	err = errors.Join(err, done())
	if ctx.Err() != nil {
		e.term.Warnf("interrupted; %s mended until now, and nothing is half done: run it again", terminal.Plural(report.Mended, "object"))
		return err
	}
	e.term.Event("repair", report)
	e.tellVerified(report.Verify)
	left := report.Verify.ProblemsTotal - report.Verify.HarmlessTotal
	switch {
	case left > 0:
		e.term.Printf("%s; %s", terminal.Plural(report.Mended, "object")+" mended",
			e.term.Mark(terminal.Bad, terminal.Plural(left, "problem")+" left"))
	case err == nil && report.Mended == 0:
		e.term.Printf("%s", e.term.Mark(terminal.Good, clean+", nothing to mend"))
	case err == nil:
		e.term.Printf("%s", e.term.Mark(terminal.Good, terminal.Plural(report.Mended, "object")+" mended, no problem left"))
	}
	return err
}

// tellMended prints what was done about one object.
func (e *env) tellMended(a repository.Action) {
	switch {
	case e.term.JSON: // the event "repair" holds it
	case a.Mended():
		e.term.Printf("%s %v", e.term.Mark(terminal.Good, "MENDED"), a)
	case a.Harmless:
		e.term.Sayf("harmless: %v", a)
	default:
		e.term.Printf("%s %v", e.term.Mark(terminal.Bad, "LEFT"), a)
	}
}

// tellCorrections prints how much was read right only because there is parity or a
// second copy.
func (e *env) tellCorrections(repo *repository.Repository) {
	if n := repo.Corrections(); n > 0 {
		e.term.Warnf("%s of damaged objects while reading; run `mahavishnu verify --repair` to mend them for good", terminal.Plural(n, "correction"))
	}
}
