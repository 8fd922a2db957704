package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
)

// Query picks and orders entries. Zero fields pick everything.
type Query struct {
	Source, Type, Tag, Job, Host string
	// Since and Until bound the snapshot's time; Since is included, Until not.
	Since, Until time.Time
	// MinSize and MaxSize bound Entry.Size; MaxSize 0 is no bound.
	MinSize, MaxSize int64
	// NotVerifiedSince picks snapshots last verified before then, or never.
	NotVerifiedSince time.Time
	// Problems picks snapshots with a known problem.
	Problems bool
	// Sort is time, source, type, size, stored, files or verified; "" is time.
	// A minus in front turns it round. "" alone means "-time", newest first.
	Sort string
	// Offset entries are left out, then at most Limit returned; 0 is no limit.
	Offset, Limit int
}

// match reports whether the query picks the entry.
func (q Query) match(e Entry) bool {
	switch {
	case q.Source != "" && e.Source != q.Source,
		q.Type != "" && e.Type != q.Type,
		q.Job != "" && e.Job != q.Job,
		q.Host != "" && e.Host != q.Host,
		q.Tag != "" && !slices.Contains(e.Tags, q.Tag),
		!q.Since.IsZero() && e.Time.Before(q.Since),
		!q.Until.IsZero() && !e.Time.Before(q.Until),
		e.Size < q.MinSize,
		q.MaxSize > 0 && e.Size > q.MaxSize,
		!q.NotVerifiedSince.IsZero() && !e.Verified.Before(q.NotVerifiedSince),
		q.Problems && e.Problem == "":
		return false
	}
	return true
}

var orders = map[string]func(a, b Entry) int{
	"time":     func(a, b Entry) int { return a.Time.Compare(b.Time) },
	"source":   func(a, b Entry) int { return cmp.Compare(a.Source, b.Source) },
	"type":     func(a, b Entry) int { return cmp.Compare(a.Type, b.Type) },
	"size":     func(a, b Entry) int { return cmp.Compare(a.Size, b.Size) },
	"stored":   func(a, b Entry) int { return cmp.Compare(a.Stored, b.Stored) },
	"files":    func(a, b Entry) int { return cmp.Compare(a.Files, b.Files) },
	"verified": func(a, b Entry) int { return a.Verified.Compare(b.Verified) },
}

// order returns the comparison that Sort asks for. Equal ones come newest
// first, then by id, so that pages do not shift.
func (q Query) order() (func(a, b Entry) int, error) {
	name, descending := strings.CutPrefix(cmp.Or(q.Sort, "-time"), "-")
	by, ok := orders[name]
	if !ok {
		return nil, fault.New("sort catalog", fmt.Sprintf("by %q", name), nil, "sort by time, source, type, size, stored, files or verified, with - in front for largest first")
	}
	return func(a, b Entry) int {
		c := by(a, b)
		if descending {
			c = -c
		}
		return cmp.Or(c, b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID))
	}, nil
}

// page cuts out what Offset and Limit ask for.
func (q Query) page(entries []Entry) []Entry {
	entries = entries[min(max(q.Offset, 0), len(entries)):]
	if q.Limit > 0 && len(entries) > q.Limit {
		entries = entries[:q.Limit]
	}
	return entries
}
