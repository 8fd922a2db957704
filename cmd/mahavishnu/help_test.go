package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// every calls fn for each command that people may use.
func every(t *testing.T, fn func(t *testing.T, cmd *cobra.Command)) {
	t.Helper()
	root := newRootCommand(&env{getenv: func(string) string { return "" }})
	eachCommand(root, func(cmd *cobra.Command) {
		t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) { fn(t, cmd) })
	})
}

func TestEveryCommandExplainsItself(t *testing.T) {
	every(t, func(t *testing.T, cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("the one-line description %q must be there and end without a dot", cmd.Short)
		}
		if cmd.Example == "" {
			t.Error("no example")
		}
		if !cmd.HasSubCommands() && cmd.Annotations[annotationExit] == "" {
			t.Error("the exit codes are not noted")
		}
		if cmd.HasParent() && !cmd.Parent().HasParent() && cmd.GroupID == "" {
			t.Error("the command is in no group, so help does not list it")
		}
		var b bytes.Buffer
		printHelp(&b, cmd)
		for _, part := range []string{"Usage:", "Examples:", "Exit status:"} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("help lacks %q", part)
			}
		}
		for line := range strings.Lines(cmd.Example) {
			if words := strings.Fields(line); len(words) > 0 && !slices.Contains(words, "mahavishnu") && !strings.HasPrefix(line, "   ") && !strings.Contains(line, "nats") {
				t.Errorf("example line %q does not run the command", line)
			}
		}
	})
}

func TestEveryExampleIsACommandLineThatParses(t *testing.T) {
	every(t, func(t *testing.T, cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "mahavishnu ") {
				continue
			}
			words, _, _ := strings.Cut(line, "   ") // the explanation follows after blanks
			words, _, _ = strings.Cut(words, " | ")
			words, _, _ = strings.Cut(words, " > ")
			fields := strings.Fields(words)[1:]
			root := newRootCommand(&env{getenv: func(string) string { return "" }})
			found, rest, err := root.Find(fields)
			if err != nil || found == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%q: no such command", line)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

func TestHelpEndsWellEverywhere(t *testing.T) {
	every(t, func(t *testing.T, cmd *cobra.Command) {
		var out, errs bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if code := execute(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("--help ended with %d and said %q", code, errs.String())
		}
		if !strings.Contains(out.String(), "Exit status:") {
			t.Errorf("--help said %q", out.String())
		}
	})
}

func TestTheCommandsPageIsFresh(t *testing.T) {
	written, err := os.ReadFile(filepath.Join("..", "..", "docs", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	root := newRootCommand(&env{getenv: func(string) string { return "" }})
	if diff := cmp.Diff(markdown(root), string(written)); diff != "" {
		t.Errorf("docs/commands.md is old; run make docs (-want +got):\n%s", diff)
	}
}
