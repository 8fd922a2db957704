package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/terminal"
)

// env is what every command gets: the global flags and the way to the outside.
type env struct {
	ConfigPath string
	Repository string
	Replica    string
	KeyPath    string
	CacheDir   string
	JSON       bool
	Quiet      bool
	Verbose    bool

	in        io.Reader
	out, errs io.Writer
	clock     clock.Clock
	term      *terminal.Terminal
	getenv    func(string) string
	loaded    *config.Config
	retries   *retries
	members   *members
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	e := &env{in: in, out: out, errs: errs, clock: clock.System(), getenv: os.Getenv}
	// Until the flags are read, their mistakes are told the way they ask for.
	e.term = terminal.New(out, errs, terminal.Options{JSON: slices.Contains(args, "--json")})
	root := newRootCommand(e)
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	// What a command was told to stop for is the better story than the
	// cancelled call it stopped in.
	if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
		err = errors.Join(cause, err)
		if text := interruption(err); text != nil {
			err = text
		}
	}
	if err == nil {
		err = e.term.Err()
	}
	code := exitCode(err)
	var told reported
	if err != nil && !errors.As(err, &told) {
		e.term.Failure(ran.CommandPath(), code, err)
	}
	return code
}

// interruption returns only the signal's sentence: the calls that were under
// way when it came are of no interest.
func interruption(err error) error {
	var interrupted *interruptedError
	if errors.As(err, &interrupted) {
		return interrupted
	}
	return nil
}

// The groups in which the root command lists the others.
const (
	groupStart   = "start"
	groupBackups = "backups"
	groupUpkeep  = "upkeep"
	groupJobs    = "jobs"
	groupSetup   = "setup"
)

func newRootCommand(e *env) *cobra.Command {
	showVersion := false
	root := &cobra.Command{
		Use:   "mahavishnu",
		Short: "Keep systems recoverable: back up, verify, restore, rehearse",
		Long: `Mahavishnu backs up directories, proves the backups by restoring them, and does
both by itself on a schedule, through a queue that survives crashes.

A repository holds encrypted, deduplicated backups in any storage. It can always
be restored with this binary, the storage and the key alone: see "restore --direct".`,
		Example: `  mahavishnu demo                                  the whole story on this machine, in under a minute
  mahavishnu key create --key ~/mahavishnu.key     the key; without it no backup can be read
  mahavishnu backup ~/documents --repository /mnt/backups --key ~/mahavishnu.key
  mahavishnu restore latest --target /tmp/back --repository /mnt/backups --key ~/mahavishnu.key`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return unknownCommand(cmd, args[0])
			case showVersion:
				return runVersion(e)
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			slip := refuseEmpty(cmd, args)
			e.fillFromEnvironment()
			e.term = terminal.New(e.out, e.errs, terminal.Options{JSON: e.JSON, Quiet: e.Quiet, Verbose: e.Verbose, Clock: e.clock})
			if slip == nil {
				slip = e.checkPlace()
			}
			return slip
		},
	}
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.errs)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.Flags().BoolVar(&showVersion, "version", false, "print the version")
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(e.out, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd.CommandPath(), err} })
	e.addGlobalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Start here:"},
		&cobra.Group{ID: groupBackups, Title: "Back up and restore:"},
		&cobra.Group{ID: groupUpkeep, Title: "Keep backups good:"},
		&cobra.Group{ID: groupJobs, Title: "Run and watch jobs:"},
		&cobra.Group{ID: groupSetup, Title: "Set up:"},
	)
	addGrouped(root, groupStart, newDemoCommand(e), newUpCommand(e))
	addGrouped(root, groupBackups, newBackupCommand(e), newRestoreCommand(e), newSnapshotsCommand(e), newLsCommand(e), newDumpCommand(e))
	addGrouped(root, groupUpkeep, newVerifyCommand(e), newForgetCommand(e), newHoldCommand(e), newPruneCommand(e),
		newReplicateCommand(e), newReplicationCommand(e), newCatalogCommand(e))
	addGrouped(root, groupJobs, newStatusCommand(e), newJobsCommand(e), newSchedulerCommand(e), newWorkerCommand(e), newCoordinatorCommand(e), newFailoverCommand(e))
	addGrouped(root, groupSetup, newKeyCommand(e), newConfigCommand(e), newProvisionCommand(e), newDoctorCommand(e), newVersionCommand(e), newHelpCommand(e), newManCommand(e), newCompletionCommand(e))
	root.AddCommand(newKeeperWatchdogCommand())
	return root
}

// addGrouped adds commands under a heading.
func addGrouped(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
}

func (e *env) addGlobalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&e.ConfigPath, "config", "",
		"configuration `FILE` (else $MAHAVISHNU_CONFIG, ./mahavishnu.yaml, /etc/mahavishnu/mahavishnu.yaml)")
	flags.StringVar(&e.Repository, "repository", "",
		"repository `URL` or path, instead of the configured one (else $MAHAVISHNU_REPOSITORY)")
	flags.StringVar(&e.Replica, "replica", "",
		"the copy of the repository that this `REGION` keeps, instead of the repository; PRIMARY@REGION where it keeps several")
	flags.StringVar(&e.KeyPath, "key", "",
		"key ring `FILE`, instead of the configured one (else $MAHAVISHNU_KEY)")
	flags.StringVar(&e.CacheDir, "cache-dir", "",
		"`DIRECTORY` for decrypted indexes (else $MAHAVISHNU_CACHE_DIR; by default a private one, removed at the end)")
	flags.BoolVar(&e.JSON, "json", false, "write JSON: one document, or one event a line while running")
	flags.BoolVarP(&e.Quiet, "quiet", "q", false, "leave out progress and what only reassures")
	flags.BoolVarP(&e.Verbose, "verbose", "v", false, "tell more, for instance every file")
	flags.BoolP("help", "h", false, "show this help")
}

// fillFromEnvironment gives what the command line left out.
func (e *env) fillFromEnvironment() {
	for name, value := range map[string]*string{
		"MAHAVISHNU_CONFIG":     &e.ConfigPath,
		"MAHAVISHNU_REPOSITORY": &e.Repository,
		"MAHAVISHNU_KEY":        &e.KeyPath,
		"MAHAVISHNU_CACHE_DIR":  &e.CacheDir,
	} {
		if *value == "" {
			*value = e.getenv(name)
		}
	}
}

// unknownCommand names what was probably meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	near := cmd.SuggestionsFor(name)
	if len(near) > 0 {
		return usagef(cmd.CommandPath(), "there is no command %q; did you mean %q?", name, near[0])
	}
	return usagef(cmd.CommandPath(), "there is no command %q", name)
}

// takes checks the number of arguments; what names them for the error.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef(cmd.CommandPath(), "missing: %s", what)
		case most >= 0 && len(args) > most && most == 0:
			return usagef(cmd.CommandPath(), "takes no argument, got %q", args[0])
		case most >= 0 && len(args) > most:
			return usagef(cmd.CommandPath(), "too many arguments, the first one too many is %q; quote names with blanks", args[most])
		}
		return nil
	}
}

// parent makes a command that only holds others.
func parent(use, short, long, example string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(children...)
	return cmd
}
