package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mahavishnu/messages"
)

// result is what the catalog reads in the results of backup, verify, forget
// and restore test jobs. Fields it does not know are left alone.
type result struct {
	Snapshot        string `json:"snapshot"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Files           int64  `json:"files"`
	Dirs            int64  `json:"dirs"`
	Bytes           int64  `json:"bytes"`
	NewBytes        int64  `json:"new_bytes"`
	StoredBytes     int64  `json:"stored_bytes"`
	TakenOverBytes  int64  `json:"taken_over_bytes"`
	UnreadableTotal int64  `json:"unreadable_total"`
	DurationMillis  int64  `json:"duration_ms"`

	ReadData      float64   `json:"read_data"`
	Problems      []problem `json:"problems"`
	ProblemsTotal int       `json:"problems_total"`
	HarmlessTotal int       `json:"harmless_total"`

	DryRun    bool       `json:"dry_run"`
	Forgotten int        `json:"forgotten"`
	Decisions []decision `json:"decisions"`
}

type problem struct {
	Object   string `json:"object"`
	Problem  string `json:"problem"`
	Harmless bool   `json:"harmless"`
	Affected []struct {
		Snapshot string `json:"snapshot"`
	} `json:"affected"`
}

type decision struct {
	Snapshot string `json:"snapshot"`
	Keep     bool   `json:"keep"`
}

// Apply follows an event. It returns false when the event tells of changes that
// it does not spell out: then only a rebuild makes the catalog agree again.
func (c *Catalog) Apply(ctx context.Context, e messages.Event) (complete bool, err error) {
	if e.Outcome != messages.OutcomeSucceeded && e.Outcome != messages.OutcomeFailed {
		return true, nil
	}
	var r result
	if len(e.Result) > 0 {
		if err := json.Unmarshal(e.Result, &r); err != nil {
			return false, fmt.Errorf("result of %s job %s: %w", e.Kind, e.Job, err)
		}
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	switch {
	case e.Kind == messages.KindBackup && e.Outcome == messages.OutcomeSucceeded:
		return c.backedUp(ctx, e, r)
	case e.Kind == messages.KindVerify && len(e.Result) > 0:
		return true, c.verified(ctx, e, r)
	case e.Kind == messages.KindRestoreTest && e.Outcome == messages.OutcomeSucceeded && r.Snapshot != "":
		return true, c.change(ctx, r.Snapshot, func(x *Entry) { x.Tested = later(x.Tested, e.Time) })
	case e.Kind == messages.KindForget && !r.DryRun:
		return c.forgot(ctx, r)
	}
	return true, nil
}

// backedUp enters a new snapshot, as far as the event tells.
func (c *Catalog) backedUp(ctx context.Context, e messages.Event, r result) (bool, error) {
	if r.Snapshot == "" {
		return false, nil
	}
	if _, err := c.Get(r.Snapshot); err == nil {
		return true, nil // by a rebuild, which knows more
	}
	took := time.Duration(r.DurationMillis) * time.Millisecond
	_, err := c.put(ctx, Entry{
		ID: r.Snapshot, Source: e.Source, Type: r.Type, Time: e.Time.UTC().Add(-took).Truncate(time.Second), Approximate: true,
		Start: e.Time.UTC().Add(-took), End: e.Time.UTC(), Job: e.Job,
		Size: r.Bytes, New: r.NewBytes, Stored: r.StoredBytes + r.TakenOverBytes, Files: r.Files, Dirs: r.Dirs, Unreadable: r.UnreadableTotal,
	})
	return true, err
}

// verified marks what a verification looked at: snapshots that were there when
// it began.
func (c *Catalog) verified(ctx context.Context, e messages.Event, r result) error {
	began := e.Time.Add(-time.Duration(r.DurationMillis) * time.Millisecond)
	bad := r.bad()
	// More may be wrong than the event can name.
	unclear := e.Outcome == messages.OutcomeFailed && (len(bad) == 0 || r.ProblemsTotal > len(r.Problems))
	for id, x := range c.all() {
		if (r.Snapshot != "" && id != r.Snapshot) || (r.Source != "" && x.Source != r.Source) || x.End.After(began) {
			continue
		}
		if !e.Time.After(x.Checked) {
			continue // an older event, or this one again
		}
		x.Checked = e.Time.UTC()
		switch problem := bad[id]; {
		case problem != "":
			x.Problem = problem
		case unclear:
			// Not found bad, but not found good either.
		default:
			x.Verified, x.VerifiedData, x.Problem = e.Time.UTC(), r.ReadData, ""
		}
		if _, err := c.put(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// bad returns the snapshots that harmful problems affect, and one of them each.
func (r result) bad() map[string]string {
	bad := map[string]string{}
	for _, p := range r.Problems {
		if p.Harmless {
			continue
		}
		text := p.Object + ": " + p.Problem
		for _, a := range p.Affected {
			bad[a.Snapshot] = text
		}
		if i := strings.LastIndexByte(p.Object, '-'); strings.HasPrefix(p.Object, "snapshots/") && i >= 0 {
			bad[p.Object[i+1:]] = text // the snapshot itself
		}
	}
	return bad
}

// forgot removes the snapshots that a forget job names.
func (c *Catalog) forgot(ctx context.Context, r result) (bool, error) {
	named := 0
	for _, d := range r.Decisions {
		if d.Keep {
			continue
		}
		named++
		if err := c.remove(ctx, d.Snapshot); err != nil {
			return false, err
		}
	}
	return named >= r.Forgotten, nil
}

// change changes an entry if there is one.
func (c *Catalog) change(ctx context.Context, id string, fn func(*Entry)) error {
	c.mu.RLock()
	e, ok := c.entries[id]
	c.mu.RUnlock()
	if !ok {
		return nil
	}
	fn(&e)
	_, err := c.put(ctx, e)
	return err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}
