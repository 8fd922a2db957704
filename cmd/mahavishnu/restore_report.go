package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// tellAction names an entry: always in a dry run, else with --verbose.
func (e *env) tellAction(a snapshot.Action, dryRun bool) {
	if a.Op == "unchanged" && !e.term.Verbose {
		return
	}
	if !dryRun && !e.term.Verbose {
		return
	}
	a.Path = shown(a.Path)
	e.term.Event("action", a)
	size := ""
	if a.Bytes > 0 {
		size = "  " + terminal.Bytes(a.Bytes)
	}
	e.term.Printf("%-9s %-8s %s%s", a.Op, a.Type, a.Path, size)
}

// issueTeller names entries that are not as in the snapshot, as they come. What
// this user may not set is mostly the owner of everything: that is one line at the
// end, unless each is asked for.
type issueTeller struct {
	e      *env
	denied int64
	first  snapshot.Issue
}

func (t *issueTeller) tell(i snapshot.Issue) {
	if t.e.term.JSON || t.e.term.Verbose || i.Kind != snapshot.IssueLost || !allDenied(i.Err) {
		t.e.tellIssue(i)
		return
	}
	if t.denied++; t.denied == 1 {
		t.first = i
	}
}

// end tells of what was kept back.
func (t *issueTeller) end() {
	switch t.denied {
	case 0:
	case 1:
		t.e.tellIssue(t.first)
	default:
		t.e.term.Warnf("%s: of %s, the first: %s: %s; --json and --verbose list all", t.first.Kind, terminal.Plural(t.denied, "entry"),
			shown(t.first.Path), oneLine(t.first.Err))
	}
}

// oneLine is the text of an error that may be several joined.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// allDenied tells whether an error is about nothing but a lack of permission.
func allDenied(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(many.Unwrap(), func(one error) bool { return !allDenied(one) })
	}
	return errors.Is(err, fs.ErrPermission)
}

// tellIssue names an entry that is not as in the snapshot.
func (e *env) tellIssue(i snapshot.Issue) {
	if e.term.JSON {
		e.term.Event("issue", i)
		return
	}
	path := shown(i.Path)
	switch i.Kind {
	case snapshot.IssueDamaged:
		var missing int64
		for _, r := range i.Ranges {
			missing += r.Length
		}
		text := fmt.Sprintf("damaged: %s: %v", path, i.Err)
		if missing > 0 {
			text += fmt.Sprintf("; %s of it are lost", terminal.Bytes(missing))
		}
		if i.Saved != "" {
			text += "; what is whole is in " + snapshot.Printable(i.Saved)
		}
		e.term.Warnf("%s", text)
	case snapshot.IssueSkipped:
		e.term.Warnf("kept as it is: %s: %v", path, i.Err)
	default:
		e.term.Warnf("%s: %s: %s", i.Kind, path, oneLine(i.Err))
	}
}

// tellRestore prints what a restore came to.
func (e *env) tellRestore(r snapshot.RestoreReport) {
	e.term.Event("restore", r)
	if e.term.JSON {
		return
	}
	verb := "restored"
	if r.DryRun {
		verb = "would restore"
	}
	written := "written"
	if r.DryRun {
		written = "to write"
	}
	e.term.Printf("%s %s, %s, %s: %s %s", verb, terminal.Plural(r.Files, "file"), terminal.Plural(r.Dirs, "directory"),
		terminal.Plural(r.Others, "other entry"), terminal.Bytes(r.WrittenBytes), written)
	var details []string
	if r.Bytes != r.WrittenBytes { // holes, and what was there already
		details = append(details, "files of "+terminal.Bytes(r.Bytes)+" in all")
	}
	if r.Unchanged > 0 {
		details = append(details, terminal.Plural(r.Unchanged, "entry")+" as wanted already")
	}
	if !r.DryRun {
		details = append(details, terminal.Bytes(r.FetchedBytes)+" fetched")
	}
	if r.Kept > 0 {
		details = append(details, terminal.Count(r.Kept)+" kept as they were")
	}
	if r.Deleted > 0 {
		details = append(details, terminal.Count(r.Deleted)+" deleted")
	}
	details = append(details, terminal.Duration(r.Duration))
	if !r.DryRun {
		details = append(details, terminal.Rate(r.WrittenBytes, r.Duration))
	}
	e.term.Sayf("  %s", strings.Join(details, ", "))
	for _, bad := range []struct {
		n    int64
		what string
	}{
		{r.Damaged, "damaged in the repository"},
		{r.Failed, "could not be written"},
		{r.Skipped, "kept because they are newer"},
		{r.Lost, "restored without all of their metadata"},
	} {
		if bad.n > 0 {
			e.term.Printf("  %s: %s", bad.what, terminal.Count(bad.n))
		}
	}
}
