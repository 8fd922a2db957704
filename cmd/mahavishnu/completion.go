package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in your shell",
		Long:  "Print a script that completes commands, options and arguments in your shell.",
		Example: `  mahavishnu completion bash > /etc/bash_completion.d/mahavishnu
  mahavishnu completion zsh > "${fpath[1]}/_mahavishnu"
  mahavishnu completion fish > ~/.config/fish/completions/mahavishnu.fish`,
		Args:      takes(1, 1, "the shell (bash, zsh, fish or powershell)"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCompletion(e, cmd, args[0])
		},
	})
}

func runCompletion(e *env, cmd *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return cmd.Root().GenBashCompletionV2(e.out, true)
	case "zsh":
		return cmd.Root().GenZshCompletion(e.out)
	case "fish":
		return cmd.Root().GenFishCompletion(e.out, true)
	case "powershell":
		return cmd.Root().GenPowerShellCompletionWithDesc(e.out)
	default:
		return usagef(cmd.CommandPath(), "there is no completion for %q; choose bash, zsh, fish or powershell", shell)
	}
}
