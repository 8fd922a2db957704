package main

import (
	"github.com/spf13/cobra"

	"mahavishnu/app/demo"
)

func newDemoCommand(e *env) *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole story on this machine, in under a minute",
		Long: `Shows what Mahavishnu does, for real, in a directory of its own: a copy of a
directory tree is backed up through a queue by two worker processes, changed and
backed up again, a worker is killed in the middle of a job, a message typed by
hand becomes a backup, all stored data is verified, one byte is flipped and found,
and the tree is restored and compared. It ends with what it all took.

The source is only read. Needs about 2 GiB of disk, and removes it again.`,
		Example: `  mahavishnu demo
  mahavishnu demo --source /etc
  mahavishnu demo --keep --dir /tmp/look-around`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Terminal, o.Clock = e.term, e.clock
			_, err := demo.Run(cmd.Context(), o)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Source, "source", "", "`DIRECTORY` to back up (default: Go's own source tree)")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "`DIRECTORY` to work in, new or empty (default: a temporary one)")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "keep the directory for a look around")
	return exits(cmd)
}
