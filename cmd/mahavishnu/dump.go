package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/snapshot"
)

type dumpOptions struct {
	output string
}

func newDumpCommand(e *env) *cobra.Command {
	var o dumpOptions
	cmd := &cobra.Command{
		Use:   "dump SNAPSHOT PATH",
		Short: "Write a file of a snapshot to standard output; a directory as a tar archive",
		Long: `Write the content of a file to standard output, or a directory as a tar archive.
When something cannot be read, the output ends there and the command fails: what
was written until then is not the whole.`,
		Example: `  mahavishnu dump latest:home /ops/notes.txt
  mahavishnu dump latest /etc | tar -tv
  mahavishnu dump 4f2a91bc /var/lib --output lib.tar`,
		Args: takes(2, 2, "the snapshot and the path in it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDump(cmd.Context(), e, args[0], strings.Trim(args[1], "/"), o)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to this `FILE` instead; it must not exist")
	return exits(cmd, exitUnreadable, exitIntegrity)
}

func runDump(ctx context.Context, e *env, ref, path string, o dumpOptions) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	done, err := e.reading(ctx, repo.Repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	snap, err := repo.FindSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	dump := func(w io.Writer) error {
		return asShown(path, func(path string) error { return snapshot.Dump(ctx, repo.Repository, snap, path, w) })
	}
	if o.output != "" {
		return dumpInto(o.output, dump)
	}
	if !e.term.Screen() {
		return dump(e.out)
	}
	err = dump(textOnly{e.out})
	if errors.Is(err, errNotText) {
		return &usageError{"mahavishnu dump", fault.New("dump", snapshot.Printable(path), errNotText, "name a file with --output FILE, or send it into a pipe")}
	}
	return err
}

// dumpInto writes a new file.
func dumpInto(name string, dump func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New("write", name, err, "")
	}
	if err := dump(file); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}
