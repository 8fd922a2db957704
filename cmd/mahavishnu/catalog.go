package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/catalog"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/terminal"
)

func newCatalogCommand(e *env) *cobra.Command {
	return parent("catalog", "Query the catalog of snapshots; make it again from storage",
		`The catalog knows every snapshot without opening the repository: source, type,
time, size, and when it was last verified. It is only a cache, kept in the queue, or
in a file where no queue runs: nothing is restored or deleted because of it, and
"catalog rebuild" makes it again from storage alone.`,
		`  mahavishnu catalog list --source home --since 168h
  mahavishnu catalog list --problems
  mahavishnu catalog rebuild`,
		newCatalogListCommand(e), newCatalogShowCommand(e), newCatalogRebuildCommand(e))
}

// catalogFile is where the catalog is kept without a queue, in node.data_dir.
const catalogFile = "catalog.jsonl"

// withCatalog opens the catalog: the queue's where one runs, else the file's.
func (e *env) withCatalog(ctx context.Context, fn func(*catalog.Catalog) error) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if cfg.File() != "" && e.Repository == "" {
		q, err := e.queue(ctx)
		if err == nil {
			defer func() { _ = q.Close() }() // every write was acknowledged
			store, err := q.Store(messages.BucketCatalog)
			if err != nil {
				return err
			}
			c, err := catalog.Open(ctx, catalog.Bucket{Store: store})
			if err != nil {
				return err
			}
			return fn(c)
		}
		if ctx.Err() != nil {
			return err
		}
		e.term.Warnf("the queue cannot be reached, so this is the catalog of this machine: %v", err)
	}
	path := filepath.Join(cfg.Node.DataDir, catalogFile)
	if e.Repository != "" || cfg.File() == "" {
		// Not the configured repository: its catalog is made for this once.
		return e.passingCatalog(ctx, fn)
	}
	file, err := catalog.OpenFile(path)
	if err != nil {
		return err
	}
	c, err := catalog.Open(ctx, file)
	if err != nil {
		return err
	}
	return fn(c)
}

// passingCatalog is a catalog that is rebuilt at once and ends with the command.
func (e *env) passingCatalog(ctx context.Context, fn func(*catalog.Catalog) error) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	c, err := catalog.Open(ctx, &catalog.Memory{})
	if err != nil {
		return err
	}
	if _, err := c.Rebuild(ctx, repo.Repository); err != nil {
		return err
	}
	return fn(c)
}

type catalogListOptions struct {
	query      catalog.Query
	since      time.Duration
	unverified time.Duration
}

func newCatalogListCommand(e *env) *cobra.Command {
	var o catalogListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the snapshots that fit, newest first",
		Example: `  mahavishnu catalog list
  mahavishnu catalog list --source home --type full --since 720h
  mahavishnu catalog list --unverified 168h --sort -size --last 5`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runCatalogList(cmd.Context(), e, o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.query.Source, "source", "", "only of this `SOURCE`")
	flags.StringVar(&o.query.Type, "type", "", "only of this `TYPE`: incremental, full or archival")
	flags.StringVar(&o.query.Tag, "tag", "", "only with this `TAG`")
	flags.StringVar(&o.query.Host, "host", "", "only of this `HOST`")
	flags.DurationVar(&o.since, "since", 0, "only younger than this `TIME`, such as 24h")
	flags.DurationVar(&o.unverified, "unverified", 0, "only those not verified within this `TIME`, such as 168h")
	flags.BoolVar(&o.query.Problems, "problems", false, "only those with a known problem")
	flags.StringVar(&o.query.Sort, "sort", "", "`BY` time, source, type, size, stored, files or verified; - in front turns it round")
	flags.IntVar(&o.query.Limit, "last", 50, "only the first `N` in that order; 0 shows all")
	return exits(cmd)
}

func runCatalogList(ctx context.Context, e *env, o catalogListOptions) error {
	now := e.clock.Now()
	if o.since > 0 {
		o.query.Since = now.Add(-o.since)
	}
	if o.unverified > 0 {
		o.query.NotVerifiedSince = now.Add(-o.unverified)
	}
	return e.withCatalog(ctx, func(c *catalog.Catalog) error {
		entries, total, err := c.List(o.query)
		if err != nil {
			return &usageError{"mahavishnu catalog list", err}
		}
		e.term.Document(struct {
			Total     int             `json:"total"`
			Snapshots []catalog.Entry `json:"snapshots"`
		}{total, nonNil(entries)})
		if len(entries) == 0 {
			e.tellEmpty(c)
			return nil
		}
		table := terminal.NewTable("snapshot", "time", "source", "type", "files>", "size>", "stored>", "verified", "notes")
		for _, s := range entries {
			table.Row(s.ID, terminal.Moment(s.Time.Local()), s.Source, s.Type, terminal.Count(s.Files), terminal.Bytes(s.Size),
				terminal.Bytes(s.Stored), terminal.Ago(s.Verified, now), terminal.Cut(entryNote(s), 60))
		}
		e.term.Printf("%s", table)
		if total > len(entries) {
			e.term.Sayf("%d of %s", len(entries), terminal.Plural(total, "snapshot"))
		}
		return nil
	})
}

func (e *env) tellEmpty(c *catalog.Catalog) {
	if c.Len() == 0 {
		e.term.Printf("the catalog is empty; if there are backups: mahavishnu catalog rebuild")
		return
	}
	e.term.Printf("none of %s fits", terminal.Plural(c.Len(), "snapshot"))
}

func entryNote(s catalog.Entry) string {
	switch {
	case s.Problem != "":
		return "PROBLEM: " + s.Problem
	case s.Unreadable > 0:
		return terminal.Plural(s.Unreadable, "unreadable file")
	case s.Pinned != "":
		return "pinned: " + s.Pinned
	}
	return ""
}

func newCatalogShowCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "show SNAPSHOT",
		Short:   "Show what the catalog knows of a snapshot",
		Example: "  mahavishnu catalog show 4f2a91bc",
		Args:    takes(1, 1, "the snapshot's id"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runCatalogShow(cmd.Context(), e, args[0]) },
	})
}

func runCatalogShow(ctx context.Context, e *env, id string) error {
	return e.withCatalog(ctx, func(c *catalog.Catalog) error {
		s, err := c.Get(id)
		if err != nil {
			return fault.New("look up", id, err, "mahavishnu catalog list, or after a loss: mahavishnu catalog rebuild")
		}
		e.term.Document(s)
		now := e.clock.Now()
		var f terminal.Fields
		f.Add("snapshot", s.ID)
		f.Add("source", s.Source)
		f.Add("of", s.Host+":"+s.Path)
		f.Add("type", s.Type)
		f.Add("time", terminal.Moment(s.Time.Local()))
		f.Add("holds", terminal.Plural(s.Files, "file")+", "+terminal.Plural(s.Dirs, "directory")+", "+terminal.Bytes(s.Size))
		f.Add("new", terminal.Bytes(s.New)+", stored in "+terminal.Bytes(s.Stored))
		f.Add("job", s.Job)
		f.Add("verified", terminal.Ago(s.Verified, now))
		f.Add("restore tested", terminal.Ago(s.Tested, now))
		f.Add("notes", entryNote(s))
		e.term.Printf("%s", f.String())
		return nil
	})
}

func newCatalogRebuildCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "rebuild",
		Short: "Make the catalog again from storage alone",
		Long: `Read every snapshot in the storage and make the catalog agree with them. Only the
times of verification cannot be read there: a snapshot that is new to the catalog
counts as not verified.`,
		Example: "  mahavishnu catalog rebuild",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCatalogRebuild(cmd.Context(), e) },
	}, exitIntegrity)
}

func runCatalogRebuild(ctx context.Context, e *env) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	return e.withCatalog(ctx, func(c *catalog.Catalog) error {
		r, err := c.Rebuild(ctx, repo.Repository)
		if err != nil {
			return err
		}
		e.term.Document(struct {
			Snapshots int      `json:"snapshots"`
			Added     int      `json:"added"`
			Changed   int      `json:"changed"`
			Removed   int      `json:"removed"`
			Damaged   []string `json:"damaged"`
		}{r.Snapshots, r.Added, r.Changed, r.Removed, nonNil(texts(r.Damaged))})
		e.term.Printf("%s in the storage; in the catalog %s added, %s corrected, %s removed", terminal.Plural(r.Snapshots, "snapshot"),
			terminal.Count(r.Added), terminal.Count(r.Changed), terminal.Count(r.Removed))
		return e.damagedSnapshots(r.Damaged)
	})
}
