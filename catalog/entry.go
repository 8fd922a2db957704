package catalog

import (
	"encoding/json"
	"fmt"
	"time"

	"mahavishnu/repository"
)

// Entry is what the catalog knows about a snapshot.
type Entry struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	// Approximate says that Time comes from an event and not from the snapshot.
	Approximate bool      `json:"approximate,omitempty"`
	Start       time.Time `json:"start,omitzero"`
	End         time.Time `json:"end,omitzero"`
	Host        string    `json:"host,omitempty"`
	Path        string    `json:"path,omitempty"`
	Parent      string    `json:"parent,omitempty"`
	Job         string    `json:"job,omitempty"`
	Tags        []string  `json:"tags,omitempty"`
	// Size is what a restore writes, New what no earlier snapshot held, Stored
	// what it added to the storage.
	Size   int64 `json:"size"`
	New    int64 `json:"new"`
	Stored int64 `json:"stored"`
	Files  int64 `json:"files"`
	Dirs   int64 `json:"dirs"`
	// Unreadable counts entries of the source that could not be read.
	Unreadable int64 `json:"unreadable,omitempty"`
	// Pinned is why somebody wants the snapshot kept, as of the last rebuild.
	Pinned string `json:"pinned,omitempty"`
	// Verified is when the snapshot was last found whole, and VerifiedData how
	// much of its data was read then.
	Verified     time.Time `json:"verified,omitzero"`
	VerifiedData float64   `json:"verified_data,omitempty"`
	// Checked is when a verification last looked at it, whatever it found.
	Checked time.Time `json:"checked,omitzero"`
	// Tested is when a restore test of it last succeeded.
	Tested time.Time `json:"tested,omitzero"`
	// Problem is what the last look at it found wrong; empty when nothing.
	Problem string `json:"problem,omitempty"`
}

// FromSnapshot returns the entry of a snapshot as storage tells it.
func FromSnapshot(s repository.Snapshot) Entry {
	return Entry{
		ID: s.ID, Source: s.Source, Type: s.Type, Time: s.Time.UTC(), Start: s.Start.UTC(), End: s.End.UTC(),
		Host: s.Host, Path: s.Path, Parent: s.Parent, Job: s.Job, Tags: s.Tags,
		Size: s.Totals.Bytes, New: s.Totals.NewBytes, Stored: s.Totals.Cost(),
		Files: s.Totals.Files, Dirs: s.Totals.Dirs, Unreadable: s.UnreadableTotal,
	}
}

// withMarks returns e with what only the catalog knows, taken from old.
func (e Entry) withMarks(old Entry) Entry {
	e.Verified, e.VerifiedData, e.Checked = old.Verified, old.VerifiedData, old.Checked
	e.Tested, e.Problem = old.Tested, old.Problem
	return e
}

func decodeEntry(key string, data []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("decode catalog entry %s: %w", key, err)
	}
	if e.ID != key {
		return e, fmt.Errorf("decode catalog entry %s: it says that it is %q", key, e.ID)
	}
	return e, nil
}
