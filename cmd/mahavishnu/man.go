package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
)

type manOptions struct {
	dir      string
	markdown string
}

func newManCommand(e *env) *cobra.Command {
	var o manOptions
	cmd := &cobra.Command{
		Use:   "man [COMMAND]...",
		Short: "Print or write the manual pages",
		Long: `Print the manual page of a command, write the pages of all commands into a
directory, or write one Markdown file of them all. They are made from the same
source as --help.`,
		Example: `  mahavishnu man backup | man -l -
  mahavishnu man --dir /usr/local/share/man/man1
  mahavishnu man --markdown docs/commands.md`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runMan(e, cmd, args, o) },
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "write a page for each command into `DIRECTORY`")
	cmd.Flags().StringVar(&o.markdown, "markdown", "", "write all commands into one Markdown `FILE`")
	return exits(cmd)
}

func runMan(e *env, cmd *cobra.Command, words []string, o manOptions) error {
	root := cmd.Root()
	switch {
	case o.dir != "" && o.markdown != "":
		return usagef(cmd.CommandPath(), "give --dir or --markdown, not both")
	case o.dir != "":
		return writeManPages(e, root, o.dir)
	case o.markdown != "":
		return writeFile(o.markdown, markdown(root))
	}
	target, rest, err := root.Find(words)
	if err != nil || len(rest) > 0 {
		return usagef(cmd.CommandPath(), "there is no command %q", strings.Join(words, " "))
	}
	manPage(e.out, target)
	return nil
}

func writeManPages(e *env, root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.New("make directory for manual pages", dir, err, "")
	}
	pages := 0
	var failed error
	eachCommand(root, func(c *cobra.Command) {
		var b strings.Builder
		manPage(&b, c)
		if err := writeFile(filepath.Join(dir, manName(c)+".1"), b.String()); err != nil && failed == nil {
			failed = err
		}
		pages++
	})
	if failed == nil {
		e.term.Sayf("wrote %d manual pages to %s", pages, dir)
	}
	return failed
}

func writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fault.New("write", path, err, "")
	}
	return nil
}

// eachCommand calls fn for cmd and every command below it that people may use.
func eachCommand(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			eachCommand(child, fn)
		}
	}
}

func manName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// manPage writes a page in the man macros of roff.
func manPage(w io.Writer, cmd *cobra.Command) {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"mahavishnu %s\" \"Mahavishnu manual\"\n", strings.ToUpper(manName(cmd)), version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(usageLine(cmd)))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(roff(longText(cmd)), "\n\n", "\n.PP\n"))
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	if local := cmd.LocalNonPersistentFlags(); cmd.HasParent() && local.HasAvailableFlags() {
		fmt.Fprintf(&b, ".SH OPTIONS\n.nf\n%s\n.fi\n", roff(local.FlagUsages()))
	}
	global := cmd.InheritedFlags()
	if !cmd.HasParent() {
		global = cmd.PersistentFlags()
	}
	fmt.Fprintf(&b, ".SH GLOBAL OPTIONS\n.nf\n%s\n.fi\n", roff(global.FlagUsages()))
	b.WriteString(".SH EXIT STATUS\n")
	for _, code := range exitCodes(cmd) {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", code, roff(exitMeaning(code)))
	}
	var see []string
	if cmd.HasParent() {
		see = append(see, manName(cmd.Parent()))
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			see = append(see, manName(child))
		}
	}
	for i, name := range see {
		see[i] = ".BR " + roff(name) + " (1)"
	}
	if len(see) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(see, ",\n"))
	}
	fmt.Fprint(w, b.String())
}

// roff escapes text for the man macros.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(strings.TrimRight(text, "\n"))
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// markdown renders all commands as one page.
func markdown(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nWritten by `make docs` from the same source as `--help`; do not edit.\n")
	eachCommand(root, func(c *cobra.Command) { markdownPage(&b, c) })
	return b.String()
}

func markdownPage(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), longText(cmd), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n```\n%s\n```\n", strings.TrimRight(unindent(cmd.Example), "\n"))
	}
	if local := cmd.LocalNonPersistentFlags(); cmd.HasParent() && local.HasAvailableFlags() {
		fmt.Fprintf(b, "\nOptions:\n\n```\n%s```\n", local.FlagUsages())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(b, "\nGlobal options:\n\n```\n%s```\n", cmd.PersistentFlags().FlagUsages())
	}
	b.WriteString("\nExit status: ")
	for i, code := range exitCodes(cmd) {
		if i > 0 {
			b.WriteString(" · ")
		}
		fmt.Fprintf(b, "%d %s", code, exitMeaning(code))
	}
	b.WriteString("\n")
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
