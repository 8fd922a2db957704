package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/compress"
	"mahavishnu/snapshot"
	"mahavishnu/terminal"
)

type backupOptions struct {
	typ           string
	name          string
	tags          []string
	exclude       []string
	excludeFrom   []string
	excludeCaches bool
	oneFileSystem bool
	allowEmpty    bool
	direct        bool
	detach        bool
	verifyInline  bool
}

func newBackupCommand(e *env) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup PATH|SOURCE",
		Short: "Back up a directory, or a source of the configuration",
		Long: `Back up a SOURCE that the configuration names, or any directory.

A source is backed up by a worker: the job goes into the queue, and its progress
is shown until it ends. With --direct, and for any PATH, the work is done here
and now, straight on the repository, with no queue.

The first backup makes the repository where there is nothing yet. Only what no
backup has stored before is stored. An interrupted backup keeps what it stored;
the same command again goes on from there.`,
		Example: `  mahavishnu backup home
  mahavishnu backup home --type full --direct
  mahavishnu backup /srv/data --repository /mnt/backups --key ~/mahavishnu.key
  mahavishnu backup . --exclude '*.tmp' --exclude /build/ --tag before-upgrade`,
		Args: takes(1, 1, "what to back up (a path, or a source of the configuration)"),
		RunE: func(cmd *cobra.Command, args []string) error { return runBackup(cmd.Context(), e, args[0], o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.typ, "type", "incremental", "`TYPE`: incremental (reads what changed), full (reads everything) or archival (full, compressed hardest)")
	flags.StringSliceVar(&o.tags, "tag", nil, "put this `TAG` on the snapshot; may be repeated")
	flags.StringArrayVar(&o.exclude, "exclude", nil, "leave out what fits this `PATTERN`, as in .gitignore; may be repeated")
	flags.StringArrayVar(&o.excludeFrom, "exclude-from", nil, "read patterns from this `FILE`; may be repeated")
	flags.BoolVar(&o.excludeCaches, "exclude-caches", false, "leave out directories that carry a CACHEDIR.TAG")
	flags.BoolVar(&o.oneFileSystem, "one-file-system", false, "leave out other file systems mounted below")
	flags.BoolVar(&o.allowEmpty, "allow-empty", false, "accept a directory with nothing in it; by default that is taken for a disk that is not mounted")
	flags.StringVar(&o.name, "source", "", "keep the snapshot under this `NAME`; by default a PATH is its own name")
	flags.BoolVar(&o.direct, "direct", false, "do the work here, without the queue")
	flags.BoolVar(&o.verifyInline, "verify-inline", false, "decode and compare every new piece of data before it is stored, instead of one of 64; only of a backup made here: a PATH, or with --direct")
	flags.BoolVar(&o.detach, "detach", false, "put the job into the queue and do not wait for it")
	return exits(cmd, exitUnreadable, exitIntegrity, exitFenced)
}

func runBackup(ctx context.Context, e *env, what string, o backupOptions) error {
	if err := oneOf("mahavishnu backup", "--type", o.typ, snapshot.Incremental, snapshot.Full, snapshot.Archival); err != nil {
		return err
	}
	patterns, err := readPatterns(o.excludeFrom)
	if err != nil {
		return err
	}
	o.exclude = append(o.exclude, patterns...)
	cfg, err := e.config()
	if err != nil {
		return err
	}
	source, configured := cfg.Sources[what]
	switch {
	case configured && o.name != "":
		return usagef("mahavishnu backup", "--source is for a PATH; %s has its name from the configuration", what)
	case configured && !o.direct && e.Repository == "" && o.verifyInline:
		return usagef("mahavishnu backup", "--verify-inline needs --direct: workers verify one new piece of data of 64 while backing up")
	case configured && !o.direct && e.Repository == "":
		return e.backupByQueue(ctx, what, o)
	case configured:
		return e.backupDirect(ctx, cfg, sourceBackup(what, source, o))
	}
	request, err := pathBackup(cfg, what, o)
	if err != nil {
		return err
	}
	if !o.direct && len(cfg.Sources) > 0 {
		e.term.Sayf("%s is no source of the configuration: backing it up directly, without the queue", terminal.Name(what))
	}
	return e.backupDirect(ctx, cfg, request)
}

// sourceBackup is the backup of a source as the configuration has it; the
// command line adds to it.
func sourceBackup(name string, s config.Source, o backupOptions) snapshot.BackupOptions {
	return snapshot.BackupOptions{
		Source: name, Path: s.Path, Type: o.typ, Tags: append(s.Tags, o.tags...),
		Exclude: append(s.Exclude, o.exclude...), ExcludeCaches: s.ExcludeCaches || o.excludeCaches,
		OneFileSystem: s.OneFileSystem || o.oneFileSystem, AllowEmpty: o.allowEmpty,
		VerifyEvery: o.verifyEvery(),
	}
}

// pathBackup is the backup of any directory. Its absolute path is its name, so
// that two directories are never taken for one source.
func pathBackup(cfg *config.Config, path string, o backupOptions) (snapshot.BackupOptions, error) {
	absolute, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(absolute)
	}
	if errors.Is(err, os.ErrNotExist) {
		hint := "name a directory"
		if names := sortedKeys(cfg.Sources); len(names) > 0 {
			hint += ", or one of the configured sources: " + fmt.Sprint(names)
		}
		return snapshot.BackupOptions{}, &usageError{"mahavishnu backup", fault.New("back up", path, errors.New("there is no such path and no such source"), hint)}
	}
	if err != nil {
		return snapshot.BackupOptions{}, fault.New("back up", path, err, "")
	}
	name := o.name
	if name == "" {
		name = absolute
	}
	if err := repository.CheckSource(name); err != nil {
		return snapshot.BackupOptions{}, &usageError{"mahavishnu backup", fault.New("back up", absolute, err, "give it a short name with --source NAME")}
	}
	return snapshot.BackupOptions{
		Source: name, Path: absolute, Type: o.typ, Tags: o.tags, Exclude: o.exclude,
		ExcludeCaches: o.excludeCaches, OneFileSystem: o.oneFileSystem, AllowEmpty: o.allowEmpty,
		VerifyEvery: o.verifyEvery(),
	}, nil
}

// verifyEvery is how many new blobs there are to one that is verified at once;
// 0 leaves it to the repository.
func (o backupOptions) verifyEvery() int {
	if o.verifyInline {
		return 1
	}
	return 0
}

func readPatterns(files []string) ([]string, error) {
	var patterns []string
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return nil, fault.New("read patterns from", path, err, "")
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			patterns = append(patterns, lines.Text())
		}
		if err := lines.Err(); err != nil {
			return nil, fault.New("read patterns from", path, err, "")
		}
	}
	return patterns, nil
}

// backupDirect does the work in this process.
func (e *env) backupDirect(ctx context.Context, cfg *config.Config, request snapshot.BackupOptions) (err error) {
	repo, err := e.openOrCreate(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	progress := e.term.Progress("backing up")
	request.Progress = adapter{progress}
	request.Engine = "mahavishnu " + currentVersion().Version
	request.Clock = e.clock
	if request.Type != snapshot.Archival {
		algorithm, level := cfg.EffectiveCompression()
		request.Compression = compress.Setting{Algorithm: compress.Algorithm(algorithm), Level: level}
	}
	result, err := snapshot.Backup(ctx, repo.Repository, request)
	progress.Stop()
	if err != nil {
		return e.explainBackup(ctx, result, err)
	}
	e.tellBackup(repo, result)
	if validation := cfg.Backup.Validation; validation.Enabled && validation.VerifyOnCreate && !result.Existing {
		if err := e.verifyNew(ctx, repo.Repository, result.Snapshot); err != nil {
			return err
		}
	}
	if result.Stats.Unreadable > 0 {
		return reported{fault.New("back up", result.Snapshot.Source, errUnreadable, "")}
	}
	return nil
}

// verifyNew checks the snapshot that was just made and what its backup stored, as the
// configuration's verify_on_create asks, at a cost that does not grow with the repository.
// Its data was checked while it was sealed.
func (e *env) verifyNew(ctx context.Context, repo *repository.Repository, snap repository.Snapshot) error {
	report, err := snapshot.Verify(ctx, repo, snapshot.VerifyOptions{
		Snapshots: []repository.Snapshot{snap}, New: true, Structure: true, Clock: e.clock,
	})
	if err != nil {
		for _, p := range report.Problems {
			e.tellProblem(p, p.Err.Error())
		}
		e.term.Event("verify", report)
		return err
	}
	e.term.Event("verify", report)
	e.term.Sayf("verified: every one of %s is whole in the index and the storage, in %s", terminal.Plural(report.Entries, "entry"), terminal.Duration(report.Duration))
	return nil
}

// explainBackup says of a backup that did not end well what is kept of it.
func (e *env) explainBackup(ctx context.Context, result snapshot.Result, err error) error {
	kept := result.Stats.BytesStored
	switch {
	case ctx.Err() != nil:
		e.term.Event("interrupted", struct {
			Stored int64 `json:"stored_bytes"`
		}{kept})
		e.term.Warnf("interrupted; no snapshot was made. %s stored until now are kept: the same command again stores none of it twice", terminal.Bytes(kept))
		return err
	case kept > 0 && !errors.Is(err, snapshot.ErrEmptySource):
		return fault.WithHint(err, "what reached the storage is kept: once the cause is mended, the same command again stores none of it twice")
	}
	return err
}
