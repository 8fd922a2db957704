package main

import (
	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

type failoverApproverOptions struct {
	keyFile string
}

func newFailoverApproverCommand(e *env) *cobra.Command {
	return parent("approver", "Make keys for those who may approve a failover",
		`Plans that move a region ask people first. Each has a key of their own: the private
part in a file that only they can read, the public part in everybody's configuration.`,
		"  mahavishnu failover approver create ann --key-file ~/approver.key",
		newFailoverApproverCreateCommand(e))
}

func newFailoverApproverCreateCommand(e *env) *cobra.Command {
	var o failoverApproverOptions
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key, and print what belongs into the configuration",
		Long: `Make a new key. The private part goes into a new file that only you can read, and
never anywhere else; the public part is printed, for the configuration.`,
		Example: "  mahavishnu failover approver create ann --key-file ~/approver.key",
		Args:    takes(1, 1, "the name of the approver"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.keyFile == "":
				return usagef(cmd.CommandPath(), "--key-file is missing: the file to make")
			case !messages.ValidName(args[0]):
				return usagef(cmd.CommandPath(), "%q cannot name an approver: use letters, digits, dash and underscore, at most 64", args[0])
			}
			return runFailoverApproverCreate(e, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.keyFile, "key-file", "", "`FILE` to make; an existing one is never overwritten")
	return exits(cmd)
}

func runFailoverApproverCreate(e *env, name string, o failoverApproverOptions) error {
	key, err := plan.CreateKey(o.keyFile)
	if err != nil {
		return err
	}
	e.term.Document(struct {
		Approver  string `json:"approver"`
		KeyFile   string `json:"key_file"`
		PublicKey string `json:"public_key"`
	}{name, o.keyFile, key.Public().String()})
	// All of it is YAML, so that it can be added to a configuration as it is.
	e.term.Sayf("# %s holds the private key: keep it to yourself, and a copy of it apart.", o.keyFile)
	e.term.Sayf("# This belongs into the configuration of every coordinator, and of %s:", name)
	e.term.Printf("failover:\n  approvers:\n    %s:\n      public_key: %s", name, key.Public())
	return nil
}
