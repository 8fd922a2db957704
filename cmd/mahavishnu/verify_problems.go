package main

import (
	"errors"
	"fmt"
	"strings"

	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage/dispersed"
	"mahavishnu/terminal"
)

// tellProblems prints what is wrong. The reason that many objects of a dispersed
// repository share is told once.
func (e *env) tellProblems(problems []snapshot.VerifyProblem) {
	told, more, harmless := map[string]bool{}, 0, 0
	for _, p := range problems {
		cause, text := dispersed.Cause(p.Err), p.Err.Error()
		switch {
		case cause == "" || !told[cause]:
			told[cause] = true
		case p.Harmless:
			harmless++
			continue
		case len(p.Affected) == 0 && !irreplaceable(p):
			more++
			continue
		default:
			text = "it is damaged for the same reason"
		}
		e.tellProblem(p, text)
	}
	if harmless > 0 && !e.term.JSON {
		e.term.Sayf("harmless: %s for the same reason", terminal.Plural(harmless, "more object"))
	}
	if more > 0 && !e.term.JSON {
		e.term.Printf("%s %s for the same reason; no file of a snapshot that was verified is affected by them", e.term.Mark(terminal.Bad, "DAMAGED"), terminal.Plural(more, "more object"))
	}
}

// irreplaceable tells what is named in any case: what nothing else in the repository says.
func irreplaceable(p snapshot.VerifyProblem) bool {
	return (p.Kind == repository.ObjectSnapshot || p.Kind == repository.ObjectKeep) && !strings.HasPrefix(p.Object, "copies/")
}

// tellProblem prints what is wrong with an object, and what it means.
func (e *env) tellProblem(p snapshot.VerifyProblem, text string) {
	if e.term.JSON {
		return // the event "verify" holds it
	}
	if p.Harmless {
		e.term.Sayf("harmless: %s: %s", p.Object, text)
		return
	}
	var b strings.Builder
	word := "DAMAGED"
	if p.Unreadable {
		word = "UNREADABLE"
	}
	fmt.Fprintf(&b, "%s %s: %s\n", e.term.Mark(terminal.Bad, word), p.Object, text)
	if len(p.Affected) == 0 {
		b.WriteString("  " + nobodyAffected(p) + "\n")
	}
	for _, a := range p.Affected {
		fmt.Fprintf(&b, "  snapshot %s of %s, %s: %s\n", a.Snapshot, terminal.Name(a.Source), terminal.Moment(a.Time.Local()), terminal.Plural(a.Entries, "damaged entry"))
		for _, path := range a.Paths {
			fmt.Fprintf(&b, "    %s\n", shownText(path))
		}
		if hidden := a.Entries - int64(len(a.Paths)); hidden > 0 {
			fmt.Fprintf(&b, "    and %s more\n", terminal.Count(hidden))
		}
	}
	e.term.Printf("%s", b.String())
}

// nobodyAffected says what damage means that no snapshot was found to suffer from.
func nobodyAffected(p snapshot.VerifyProblem) string {
	switch {
	case errors.Is(p.Err, repository.ErrLost):
		return "if it was deleted by hand, say so: mahavishnu verify --accept-loss " + p.Object[strings.LastIndexByte(p.Object, '-')+1:]
	case p.Kind == repository.ObjectSnapshot && dispersed.Cause(p.Err) != "":
		return "it cannot be restored as long as its second copy cannot be read either"
	case p.Mendable:
		return "nothing is lost: parity makes it whole"
	}
	return "no file of a snapshot that was verified is affected"
}
