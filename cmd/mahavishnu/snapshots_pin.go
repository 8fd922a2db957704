package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mahavishnu/repository"
	"mahavishnu/terminal"
)

func newSnapshotsPinCommand(e *env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pin SNAPSHOT...",
		Short: "Keep snapshots, whatever the retention policy says",
		Long: `Keep snapshots until they are unpinned, whatever the retention policy says. The pin
lies in the repository: it holds for everybody who forgets, on any machine, with a
queue or without.`,
		Example: "  mahavishnu snapshots pin 4f2a91bc --reason migration\n  mahavishnu snapshots pin latest:home",
		Args:    takes(1, -1, "the snapshot (an id, latest, or latest:SOURCE)"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runPin(cmd.Context(), e, args, reason) },
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `SENTENCE` that is shown to whoever wonders")
	return exits(cmd, exitIntegrity)
}

func newSnapshotsUnpinCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "unpin SNAPSHOT...",
		Short:   "Leave snapshots to the retention policy again",
		Long:    "Take the pins away from snapshots. The next forget may remove them.",
		Example: "  mahavishnu snapshots unpin 4f2a91bc",
		Args:    takes(1, -1, "the snapshot (an id, latest, or latest:SOURCE)"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runUnpin(cmd.Context(), e, args) },
	}, exitIntegrity)
}

// pinLine is what pin and unpin tell of a snapshot.
type pinLine struct {
	Snapshot string           `json:"snapshot"`
	Source   string           `json:"source"`
	Changed  bool             `json:"changed"`
	Pin      *repository.Keep `json:"pin"`
}

func runPin(ctx context.Context, e *env, refs []string, reason string) error {
	return e.eachPin(ctx, refs, func(repo *repository.Repository, s repository.Snapshot, old *repository.Keep) (pinLine, error) {
		line := pinLine{Snapshot: s.ID, Source: s.Source, Pin: old}
		if old != nil {
			e.term.Printf("%s of %s is pinned already: %s", s.ID, terminal.Name(s.Source), terminal.Name(old.String()))
			return line, nil
		}
		keep := repository.Keep{Reason: reason, By: whoami(), Time: e.clock.Now()}
		err := repo.Pin(ctx, s, keep)
		if err != nil && !errors.Is(err, repository.ErrKept) {
			return line, err
		}
		line.Changed, line.Pin = err == nil, &keep
		e.term.Printf("pinned %s of %s", s.ID, terminal.Name(s.Source))
		return line, nil
	})
}

func runUnpin(ctx context.Context, e *env, refs []string) error {
	return e.eachPin(ctx, refs, func(repo *repository.Repository, s repository.Snapshot, old *repository.Keep) (pinLine, error) {
		line := pinLine{Snapshot: s.ID, Source: s.Source, Changed: old != nil}
		if old == nil {
			e.term.Printf("%s of %s is not pinned", s.ID, terminal.Name(s.Source))
			return line, nil
		}
		e.term.Printf("unpinned %s of %s", s.ID, terminal.Name(s.Source))
		return line, repo.Unpin(ctx, s)
	})
}

// eachPin calls fn for every snapshot that is named, with its pin if it has one.
func (e *env) eachPin(ctx context.Context, refs []string, fn func(*repository.Repository, repository.Snapshot, *repository.Keep) (pinLine, error)) (err error) {
	repo, err := e.openToWrite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	var named []repository.Snapshot
	for _, ref := range refs { // all of them are found before any is changed
		s, err := repo.FindSnapshot(ctx, ref)
		if err != nil {
			return err
		}
		named = append(named, s)
	}
	pins, err := repo.Pins(ctx, "")
	if err != nil {
		return err
	}
	lines := []pinLine{}
	for _, s := range named {
		var old *repository.Keep
		if pin, ok := pins[s.ID]; ok {
			old = &pin
		}
		line, err := fn(repo.Repository, s, old)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	e.term.Document(struct {
		Snapshots []pinLine `json:"snapshots"`
	}{lines})
	return nil
}
