package main

import (
	"errors"
	"fmt"
	"strings"

	"mahavishnu/app"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

// adapter hands the engine's progress to the terminal.
type adapter struct{ shown *terminal.Progress }

// Add implements snapshot.Progress.
func (a adapter) Add(d snapshot.ProgressDelta) {
	a.shown.Update(func(w *terminal.Work) {
		w.Files += d.Files
		w.Bytes += d.Bytes
		w.Unchanged += d.Unchanged
		w.Stored += d.Stored
		w.Errors += d.Failed
		w.TotalFiles += d.ExpectFiles
		w.TotalBytes += d.ExpectBytes
		if d.Path != "" {
			w.Path = d.Path
		}
	})
}

// backupSummary is the JSON of the event "backup", the last of a good backup.
type backupSummary struct {
	Snapshot   repository.Snapshot `json:"snapshot"`
	Repository string              `json:"repository"`
	Existing   bool                `json:"existing,omitempty"`

	NewFiles       int64 `json:"new_files"`
	ChangedFiles   int64 `json:"changed_files"`
	UnchangedFiles int64 `json:"unchanged_files"`
	Removed        int64 `json:"removed"`
	Excluded       int64 `json:"excluded"`
	Vanished       int64 `json:"vanished"`
	Unreadable     int64 `json:"unreadable"`
	ChangedReading int64 `json:"changed_while_read"`

	Bytes        int64   `json:"bytes"`
	BytesRead    int64   `json:"read_bytes"`
	BytesNew     int64   `json:"new_bytes"`
	BytesStored  int64   `json:"stored_bytes"`
	BytesReused  int64   `json:"reused_bytes"`
	BytesAdopted int64   `json:"adopted_bytes"`
	TakenOver    int64   `json:"taken_over_bytes"`
	Seconds      float64 `json:"seconds"`
	Rate         float64 `json:"bytes_per_second"`
}

func summarizeBackup(location string, r snapshot.Result) backupSummary {
	s := r.Stats
	return backupSummary{
		Snapshot: r.Snapshot, Repository: location, Existing: r.Existing,
		NewFiles: s.Files.New, ChangedFiles: s.Files.Changed, UnchangedFiles: s.Files.Unchanged,
		Removed: s.Removed, Excluded: s.Excluded, Vanished: s.Vanished, Unreadable: s.Unreadable, ChangedReading: s.ChangedWhileRead,
		Bytes: s.Bytes, BytesRead: s.BytesRead, BytesNew: s.BytesNew, BytesStored: s.BytesStored,
		BytesReused: s.BytesReused, BytesAdopted: s.BytesAdopted, TakenOver: s.BytesTakenOver, Seconds: s.Duration.Seconds(), Rate: s.Rate(),
	}
}

// tellBackup prints what a backup did, and names everything that is missing
// from it.
func (e *env) tellBackup(repo *app.Opened, r snapshot.Result) {
	for _, u := range r.Unreadable {
		e.term.Event("unreadable", struct {
			Path  string `json:"path"`
			Error string `json:"error"`
		}{snapshot.Printable(u.Path), u.Err.Error()})
	}
	e.term.Event("backup", summarizeBackup(repo.Backend().Location(), r))
	if e.term.JSON {
		return
	}
	e.term.Printf("snapshot %s of %s, %s", r.Snapshot.ID, terminal.Name(r.Snapshot.Source), r.Snapshot.Type)
	e.term.Sayf("%s", backupFields(r))
	for _, path := range r.Changed {
		e.term.Warnf("changed while it was read: %s; the next backup reads it again", snapshot.Printable(path))
	}
	for _, err := range r.ParentErrors {
		if errors.Is(err, repository.ErrServed) {
			e.term.Warnf("an older snapshot is damaged (%v); run: mahavishnu verify", err)
			continue
		}
		e.term.Warnf("the parent snapshot is damaged (%v); what it lacked was read from the source; run: mahavishnu verify", err)
	}
	if r.Stats.Unreadable == 0 {
		return
	}
	for _, u := range r.Unreadable {
		e.term.Warnf("not read: %s: %v", snapshot.Printable(u.Path), u.Err)
	}
	if hidden := r.Stats.Unreadable - int64(len(r.Unreadable)); hidden > 0 {
		e.term.Warnf("and %s more could not be read", terminal.Count(hidden))
	}
	e.term.Warnf("the snapshot is good, but %s could not be read and %s not in it", terminal.Plural(r.Stats.Unreadable, "entry"), isAre(r.Stats.Unreadable))
}

func isAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func backupFields(r snapshot.Result) string {
	s := r.Stats
	var f terminal.Fields
	files := fmt.Sprintf("%s: %s new, %s changed, %s unchanged", terminal.Plural(s.Files.Total(), "file"),
		terminal.Count(s.Files.New), terminal.Count(s.Files.Changed), terminal.Count(s.Files.Unchanged))
	for _, more := range []struct {
		n    int64
		what string
	}{{s.Removed, "removed"}, {s.Excluded, "excluded"}, {s.Vanished, "vanished while it was read"}} {
		if more.n > 0 {
			files += fmt.Sprintf(", %s %s", terminal.Count(more.n), more.what)
		}
	}
	f.Add("  holds", files)
	f.Add("  size", fmt.Sprintf("%s, of which %s were read", terminal.Bytes(s.Bytes), terminal.Bytes(s.BytesRead)))
	stored := "nothing new"
	if s.BytesNew > 0 {
		stored = fmt.Sprintf("%s new, stored in %s", terminal.Bytes(s.BytesNew), terminal.Bytes(s.BytesStored))
	}
	var spared []string
	if s.BytesReused > 0 {
		spared = append(spared, terminal.Bytes(s.BytesReused)+" stored already")
	}
	if s.BytesAdopted > 0 {
		spared = append(spared, fmt.Sprintf("%s taken over from a backup that did not finish, stored in %s",
			terminal.Bytes(s.BytesAdopted), terminal.Bytes(s.BytesTakenOver)))
	}
	if len(spared) > 0 {
		stored += "; " + strings.Join(spared, ", ")
	}
	f.Add("  data", stored)
	f.Add("  took", fmt.Sprintf("%s, %s", terminal.Duration(s.Duration), terminal.Rate(s.Bytes, s.Duration)))
	return f.String()
}
