package main

import (
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/messages"
)

func newJobsSchemaCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "schema KIND",
		Short: "Print the JSON Schema of a kind of job",
		Long: `Print the JSON Schema of the message that asks for a kind of job, generated from
the types that read it. The kinds: ` + kindNames() + `.`,
		Example:   "  mahavishnu jobs schema backup",
		Args:      takes(1, 1, "the kind of job ("+kindNames()+")"),
		ValidArgs: strings.Split(kindNames(), ", "),
		RunE:      func(_ *cobra.Command, args []string) error { return runJobsSchema(e, args[0]) },
	})
}

func kindNames() string {
	var names []string
	for _, kind := range messages.Kinds() {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

func runJobsSchema(e *env, name string) error {
	kind, err := messages.ParseKind(name)
	if err != nil {
		return err
	}
	schema, err := messages.Schema(kind)
	if err != nil {
		return err
	}
	_, err = e.out.Write(append(schema, '\n'))
	return err
}
