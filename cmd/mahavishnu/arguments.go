package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mahavishnu/snapshot"
)

// oneOf refuses the value of a command's flag that is not among the choices.
func oneOf(command, flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	choices = slices.DeleteFunc(slices.Clone(choices), func(s string) bool { return s == "" })
	return &usageError{command, fmt.Errorf("%s cannot be %q; choose %s", flag, value, strings.Join(choices, ", "))}
}

// refuseEmpty refuses an empty argument and an empty value. They come from
// variables of scripts that were never set, and would be taken for the default
// or for the working directory.
func refuseEmpty(cmd *cobra.Command, args []string) error {
	if cmd.Name() == cobra.ShellCompRequestCmd { // a shell asks what may stand where nothing does yet
		return nil
	}
	if slices.Contains(args, "") {
		return usagef(cmd.CommandPath(), "an argument is empty; is a variable of a script not set?")
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" {
			err = usagef(cmd.CommandPath(), "the value of --%s is empty; is a variable of a script not set?", f.Name)
		}
	})
	return err
}

// asShown calls f with a path of a snapshot as it was typed and, where there is
// no such path, with the one that is shown like that: bytes that no terminal can
// show are printed as \xNN, and may be typed so.
func asShown(path string, f func(path string) error) error {
	err := f(path)
	if raw := snapshot.ParsePrintable(path); raw != path && errors.Is(err, snapshot.ErrNoPath) {
		if second := f(raw); !errors.Is(second, snapshot.ErrNoPath) {
			return second
		}
	}
	return err
}

// textOnly keeps what is no text off a screen.
type textOnly struct{ io.Writer }

var errNotText = errors.New("this is no text, and standard output is a terminal")

func (w textOnly) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, errNotText
	}
	return w.Writer.Write(p)
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nonNil makes an empty list encode as [] and not as null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// texts renders errors.
func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
