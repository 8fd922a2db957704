package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/snapshot"
	"mahavishnu/snapshot/tree"
	"mahavishnu/terminal"
)

type lsOptions struct {
	recursive bool
	long      bool
}

func newLsCommand(e *env) *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:   "ls SNAPSHOT [PATH]",
		Short: "List the files in a snapshot",
		Long: `List what is in a snapshot, or in a directory of it. Paths start at the root of
what was backed up, with or without a slash. Bytes of names that no terminal can
show are printed as \xNN, and may be typed so.`,
		Example: "  mahavishnu ls latest\n  mahavishnu ls latest:home /ops/documents --long\n  mahavishnu ls 4f2a91bc --recursive --json",
		Args:    takes(1, 2, "the snapshot (an id, latest, or latest:SOURCE)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 2 {
				path = strings.Trim(args[1], "/")
			}
			return runLs(cmd.Context(), e, args[0], path, o)
		},
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "R", false, "list everything below, too")
	cmd.Flags().BoolVarP(&o.long, "long", "l", false, "show mode, owner, size and time")
	return exits(cmd, exitIntegrity)
}

// listed is the JSON of the event "entry".
type listed struct {
	Path   string    `json:"path"`
	Type   string    `json:"type"`
	Mode   string    `json:"mode"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	User   string    `json:"user,omitempty"`
	Group  string    `json:"group,omitempty"`
	Size   uint64    `json:"size"`
	Time   time.Time `json:"time"`
	Target string    `json:"target,omitempty"`
}

func runLs(ctx context.Context, e *env, ref, path string, o lsOptions) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	snap, err := repo.FindSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	show := func(path string, n tree.Node) error {
		entry := describeNode(path, n)
		e.term.Event("entry", entry)
		switch {
		case o.long:
			e.term.Printf("%s", entry.line())
		case n.Type == tree.Dir:
			e.term.Printf("%s/", entry.Path)
		default:
			e.term.Printf("%s", entry.Path)
		}
		return e.term.Err() // nobody reads on: list no more
	}
	return asShown(path, func(path string) error {
		return snapshot.List(ctx, repo.Repository, snap, path, o.recursive, show)
	})
}

func describeNode(path string, n tree.Node) listed {
	return listed{
		Path: shown(path), Type: n.Type.String(), Mode: modeText(n), UID: n.UID, GID: n.GID, User: n.User, Group: n.Group,
		Size: n.Size, Time: n.ModTime.Time().UTC(), Target: snapshot.Printable(string(n.LinkTarget)),
	}
}

// line renders an entry as "ls -l" does.
func (l listed) line() string {
	text := fmt.Sprintf("%s %-8s %-8s %10s  %s  %s", l.Mode, owner(l.User, l.UID), owner(l.Group, l.GID),
		terminal.Bytes(l.Size), l.Time.Local().Format("2006-01-02 15:04:05"), l.Path)
	if l.Target != "" {
		text += " -> " + l.Target
	}
	return text
}

func owner(name string, number uint32) string {
	if name != "" {
		return terminal.Name(name)
	}
	return fmt.Sprint(number)
}

// modeText renders permissions as people know them: "drwxr-sr-x".
func modeText(n tree.Node) string {
	mode := fs.FileMode(n.Mode & 0o777)
	kind := map[tree.Type]byte{
		tree.File: '-', tree.Dir: 'd', tree.Symlink: 'l', tree.FIFO: 'p', tree.Socket: 's', tree.CharDev: 'c', tree.BlockDev: 'b',
	}[n.Type]
	text := []byte(mode.Perm().String())
	text[0] = kind
	for _, special := range []struct {
		bit        uint32
		at         int
		with, bare byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		if n.Mode&special.bit == 0 {
			continue
		}
		if text[special.at] == 'x' {
			text[special.at] = special.with
		} else {
			text[special.at] = special.bare
		}
	}
	return string(text)
}
