package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

func newSnapshotsDiffCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "diff SNAPSHOT SNAPSHOT",
		Short: "Tell what differs between two snapshots",
		Long: `Tell every difference from the first snapshot to the second: in content, and in
the metadata that a restore brings back. Nothing is printed for what is the same.

  +  added      -  removed      M  content      m  metadata only`,
		Example: "  mahavishnu snapshots diff 4f2a91bc latest\n  mahavishnu snapshots diff 4f2a91bc 91bc7e03 --json",
		Args:    takes(2, 2, "two snapshots (an id, latest, or latest:SOURCE)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSnapshotsDiff(cmd.Context(), e, args[0], args[1])
		},
	}, exitIntegrity)
}

// diffTotals is the JSON of the event "totals", the last of a diff.
type diffTotals struct {
	Added    int64 `json:"added"`
	Removed  int64 `json:"removed"`
	Content  int64 `json:"content"`
	Metadata int64 `json:"metadata"`
}

func runSnapshotsDiff(ctx context.Context, e *env, from, to string) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	a, err := repo.FindSnapshot(ctx, from)
	if err != nil {
		return err
	}
	b, err := repo.FindSnapshot(ctx, to)
	if err != nil {
		return err
	}
	var totals diffTotals
	err = snapshot.Diff(ctx, repo.Repository, a, b, func(c snapshot.Change) error {
		sign := totals.count(c)
		c.Path = shown(c.Path)
		e.term.Event("change", c)
		line := sign + "  " + c.Path
		if c.Op == snapshot.Altered {
			line += "  (" + strings.Join(c.What, ", ") + ")"
			if c.Before != c.After {
				line += "  " + terminal.Bytes(c.Before) + " → " + terminal.Bytes(c.After)
			}
		}
		e.term.Printf("%s", line)
		return nil
	})
	if err != nil {
		return err
	}
	e.term.Event("totals", totals)
	if totals == (diffTotals{}) {
		e.term.Printf("no difference between %s and %s", a.ID, b.ID)
		return nil
	}
	e.term.Sayf("%s added, %s removed, %s with other content, %s with other metadata only", terminal.Count(totals.Added),
		terminal.Count(totals.Removed), terminal.Count(totals.Content), terminal.Count(totals.Metadata))
	return nil
}

// count adds a change to the totals and returns its sign.
func (t *diffTotals) count(c snapshot.Change) string {
	switch c.Op {
	case snapshot.Added:
		t.Added++
		return "+"
	case snapshot.Removed:
		t.Removed++
		return "-"
	}
	for _, what := range c.What {
		if what == "content" || what == "type" {
			t.Content++
			return "M"
		}
	}
	t.Metadata++
	return "m"
}

// shown is a path of a snapshot as people see it; the root is a dot.
func shown(path string) string {
	if path == "" {
		return "."
	}
	return snapshot.Printable(path)
}
