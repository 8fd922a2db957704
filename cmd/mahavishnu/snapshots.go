package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/terminal"
)

type snapshotsOptions struct {
	source string
	typ    string
	tags   []string
	last   int
}

func newSnapshotsCommand(e *env) *cobra.Command {
	var o snapshotsOptions
	cmd := &cobra.Command{
		Use:   "snapshots",
		Short: "List snapshots, show one, compare two, keep some",
		Long: `List the snapshots in the repository, oldest first within each source. A damaged
snapshot never hides the others: it is named, and the command ends with 4.

A snapshot is named by its id, a beginning of it that no other has, "latest", or
"latest:SOURCE".`,
		Example: `  mahavishnu snapshots
  mahavishnu snapshots --source home --last 5
  mahavishnu snapshots show latest:home
  mahavishnu snapshots diff 4f2a 91bc
  mahavishnu snapshots pin 4f2a --reason migration`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return runSnapshots(cmd.Context(), e, o)
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the snapshots", Example: "  mahavishnu snapshots list --source home",
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runSnapshots(cmd.Context(), e, o) },
	}
	for _, c := range []*cobra.Command{cmd, list} {
		c.Flags().StringVar(&o.source, "source", "", "only snapshots of this `SOURCE`")
		c.Flags().StringVar(&o.typ, "type", "", "only this `TYPE`: incremental, full or archival")
		c.Flags().StringSliceVar(&o.tags, "tag", nil, "only snapshots with this `TAG`; may be repeated, all must be there")
		c.Flags().IntVar(&o.last, "last", 0, "only the newest `N` of each source; 0 shows all")
	}
	cmd.AddCommand(exits(list, exitIntegrity), newSnapshotsShowCommand(e), newSnapshotsDiffCommand(e), newSnapshotsPinCommand(e), newSnapshotsUnpinCommand(e))
	return exits(cmd, exitIntegrity)
}

func runSnapshots(ctx context.Context, e *env, o snapshotsOptions) (err error) {
	if err := oneOf("mahavishnu snapshots", "--type", o.typ, "", "incremental", "full", "archival"); err != nil {
		return err
	}
	if o.last < 0 {
		return usagef("mahavishnu snapshots", "--last cannot be %d; 0 shows all", o.last)
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	all, damaged, err := repo.Snapshots(ctx, o.source)
	if err != nil {
		return err
	}
	pins, err := e.pins(ctx, repo.Repository, o.source)
	if err != nil {
		return err
	}
	chosen := o.choose(all)
	e.term.Document(struct {
		Snapshots []listedSnapshot `json:"snapshots"`
		Damaged   []string         `json:"damaged"`
	}{withPins(chosen, pins), nonNil(texts(damaged))})
	table := terminal.NewTable("snapshot", "time", "source", "type", "files>", "size>", "new>", "stored>", "notes")
	for _, s := range chosen {
		table.Row(s.ID, terminal.Moment(s.Time.Local()), s.Source, s.Type, terminal.Count(s.Totals.Files),
			terminal.Bytes(s.Totals.Bytes), terminal.Bytes(s.Totals.NewBytes), terminal.Bytes(s.Totals.Cost()), notes(s, pins))
	}
	switch {
	case table.Len() > 0:
		e.term.Printf("%s", table)
		e.term.Sayf("%s", terminal.Plural(len(chosen), "snapshot"))
	case len(all) == 0:
		e.term.Printf("no snapshot yet in %s", repo.Backend().Location())
	default:
		e.term.Printf("none of %s fits", terminal.Plural(len(all), "snapshot"))
	}
	return e.damagedSnapshots(damaged)
}

// pins returns the pins of snapshots to show. Without knowing them snapshots can be
// shown all the same.
func (e *env) pins(ctx context.Context, repo *repository.Repository, source string) (map[string]repository.Keep, error) {
	pins, err := repo.Pins(ctx, source)
	if errors.Is(err, repository.ErrUnlisted) {
		e.term.Warnf("%v; it is not known which snapshots are pinned", err)
		return nil, nil
	}
	return pins, err
}

func (o snapshotsOptions) choose(all []repository.Snapshot) []repository.Snapshot {
	bySource := map[string][]repository.Snapshot{}
	for _, s := range all {
		fits := o.typ == "" || s.Type == o.typ
		for _, tag := range o.tags {
			fits = fits && slices.Contains(s.Tags, tag)
		}
		if fits {
			bySource[s.Source] = append(bySource[s.Source], s)
		}
	}
	var chosen []repository.Snapshot
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		list := bySource[source] // in the repository's order, by time
		if o.last > 0 && len(list) > o.last {
			list = list[len(list)-o.last:]
		}
		chosen = append(chosen, list...)
	}
	return chosen
}

// listedSnapshot is a snapshot with the pin that keeps it, if any.
type listedSnapshot struct {
	repository.Snapshot
	Pin *repository.Keep `json:"pin,omitempty"`
}

func withPins(snapshots []repository.Snapshot, pins map[string]repository.Keep) []listedSnapshot {
	list := []listedSnapshot{}
	for _, s := range snapshots {
		listed := listedSnapshot{Snapshot: s}
		if pin, ok := pins[s.ID]; ok {
			listed.Pin = &pin
		}
		list = append(list, listed)
	}
	return list
}

// notes is what a person should know of a snapshot in a list.
func notes(s repository.Snapshot, pins map[string]repository.Keep) string {
	var all []string
	if pin, ok := pins[s.ID]; ok {
		all = append(all, "pinned: "+pin.String())
	}
	if s.UnreadableTotal > 0 {
		all = append(all, terminal.Plural(s.UnreadableTotal, "unreadable file"))
	}
	if s.ChangedTotal > 0 {
		all = append(all, terminal.Count(s.ChangedTotal)+" changed while read")
	}
	if len(s.Tags) > 0 {
		all = append(all, strings.Join(s.Tags, " "))
	}
	return strings.Join(all, ", ")
}

// damagedSnapshots turns what could not be read into the command's error. With
// JSON the document has told it.
func (e *env) damagedSnapshots(damaged []error) error {
	// Places that cannot be listed were told when that was found.
	damaged = slices.DeleteFunc(slices.Clone(damaged), func(err error) bool { return errors.Is(err, repository.ErrUnlisted) })
	if len(damaged) == 0 {
		return nil
	}
	if !slices.ContainsFunc(damaged, func(err error) bool { return !errors.Is(err, keyring.ErrNoVersion) }) {
		// A newer key sealed them: nothing is wrong with them.
		err := fault.New("read "+terminal.Plural(len(damaged), "snapshot"), "", errors.Join(damaged...), "")
		if e.term.JSON {
			return reported{err}
		}
		return err
	}
	if e.term.JSON {
		return reported{errIntegrity}
	}
	return fault.New("read "+terminal.Plural(len(damaged), "snapshot"), "", errors.Join(append([]error{errIntegrity}, damaged...)...),
		"mahavishnu verify")
}

func newSnapshotsShowCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "show SNAPSHOT",
		Short: "Show all that is known of a snapshot",
		Long: `Show all that is known of a snapshot: what it holds, what storing it took, and
every file that could not be read.`,
		Example: "  mahavishnu snapshots show latest\n  mahavishnu snapshots show 4f2a9c --json",
		Args:    takes(1, 1, "the snapshot (an id, latest, or latest:SOURCE)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSnapshotsShow(cmd.Context(), e, args[0])
		},
	}, exitIntegrity)
}

func runSnapshotsShow(ctx context.Context, e *env, ref string) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	s, err := repo.FindSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	pins, err := e.pins(ctx, repo.Repository, s.Source)
	if err != nil {
		return err
	}
	e.term.Document(withPins([]repository.Snapshot{s}, pins)[0])
	e.term.Printf("%s", describeSnapshot(s))
	if pin, ok := pins[s.ID]; ok {
		e.term.Printf("pinned by %s: %s", terminal.Name(cmp.Or(pin.By, "somebody")), terminal.Name(pin.String()))
	}
	for _, u := range s.Unreadable {
		e.term.Printf("  not read: %s: %s", terminal.Name(u.Path), u.Err)
	}
	if hidden := s.UnreadableTotal - int64(len(s.Unreadable)); hidden > 0 {
		e.term.Printf("  and %s more", terminal.Count(hidden))
	}
	for _, path := range s.Changed {
		e.term.Printf("  changed while read: %s", terminal.Name(path))
	}
	return nil
}

func describeSnapshot(s repository.Snapshot) string {
	var f terminal.Fields
	f.Add("snapshot", s.ID)
	f.Add("source", s.Source)
	f.Add("of", s.Host+":"+s.Path)
	f.Add("type", s.Type)
	f.Add("time", terminal.Moment(s.Time.Local()))
	f.Add("took", terminal.Duration(s.End.Sub(s.Start)))
	f.Add("holds", terminal.Plural(s.Totals.Files, "file")+", "+terminal.Plural(s.Totals.Dirs, "directory")+", "+
		terminal.Plural(s.Totals.Others, "other entry")+", "+terminal.Bytes(s.Totals.Bytes))
	f.Add("new", terminal.Bytes(s.Totals.NewBytes)+", stored in "+terminal.Bytes(s.Totals.StoredBytes))
	if s.Totals.TakenOverBytes > 0 {
		f.Add("taken over", terminal.Bytes(s.Totals.TakenOverBytes)+" that an attempt had stored which died")
	}
	f.Add("reused", terminal.Bytes(s.Totals.ReusedBytes))
	f.Add("parent", s.Parent)
	f.Add("job", s.Job)
	f.Add("tags", strings.Join(s.Tags, " "))
	f.Add("made by", s.Engine)
	return f.String()
}
