package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// annotationExit keeps a command's exit codes beside it, so that help and
// manual pages are written from the same source.
const annotationExit = "exit"

// exits notes which codes a command may end with, beyond 0, 1, 2 and 130.
func exits(cmd *cobra.Command, more ...int) *cobra.Command {
	codes := append([]int{exitDone, exitFailed, exitUsage, exitInterrupted}, more...)
	slices.Sort(codes)
	texts := make([]string, len(codes))
	for i, code := range codes {
		texts[i] = strconv.Itoa(code)
	}
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[annotationExit] = strings.Join(texts, " ")
	return cmd
}

// exitCodes returns the codes a command may end with.
func exitCodes(cmd *cobra.Command) []int {
	text, ok := cmd.Annotations[annotationExit]
	if !ok {
		return []int{exitDone, exitFailed, exitUsage, exitInterrupted}
	}
	var codes []int
	for word := range strings.FieldsSeq(text) {
		if code, err := strconv.Atoi(word); err == nil {
			codes = append(codes, code)
		}
	}
	return codes
}

// newHelpCommand is what people type who do not know --help.
func newHelpCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "help [COMMAND]...",
		Short:   "Show the help of a command",
		Example: "  mahavishnu help backup\n  mahavishnu help snapshots pin",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			printHelp(e.out, about)
			return nil
		},
	})
}

// printHelp writes a command's help: what it does, how it is called, examples,
// flags, exit status.
func printHelp(w io.Writer, cmd *cobra.Command) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(longText(cmd)), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	printSubcommands(&b, cmd)
	if local := cmd.LocalNonPersistentFlags(); local.HasAvailableFlags() && cmd.HasParent() {
		fmt.Fprintf(&b, "\nOptions:\n%s", local.FlagUsages())
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, "\nGlobal options:\n%s", cmd.InheritedFlags().FlagUsages())
	} else {
		fmt.Fprintf(&b, "\nGlobal options:\n%s%s", cmd.PersistentFlags().FlagUsages(), cmd.LocalNonPersistentFlags().FlagUsages())
	}
	b.WriteString("\nExit status:\n")
	for _, code := range exitCodes(cmd) {
		fmt.Fprintf(&b, "  %-4d %s\n", code, exitMeaning(code))
	}
	fmt.Fprint(w, b.String())
}

func printSubcommands(b *strings.Builder, cmd *cobra.Command) {
	list := func(title, group string) {
		first := true
		for _, child := range cmd.Commands() {
			if !child.IsAvailableCommand() || child.GroupID != group {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s\n", title)
				first = false
			}
			fmt.Fprintf(b, "  %-11s %s\n", child.Name(), child.Short)
		}
	}
	for _, group := range cmd.Groups() {
		list(group.Title, group.ID)
	}
	list("Commands:", "")
}

func longText(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
	switch {
	case cmd.HasAvailableSubCommands():
		return line + " COMMAND"
	case cmd.LocalNonPersistentFlags().HasAvailableFlags():
		return line + " [OPTION]..."
	}
	return line
}
