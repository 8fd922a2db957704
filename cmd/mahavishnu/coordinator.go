package main

import (
	"github.com/spf13/cobra"

	"mahavishnu/app"
)

func newCoordinatorCommand(e *env) *cobra.Command {
	o := roleOptions{roles: app.Roles{Coordinator: true}}
	cmd := longRunning(e, &o, &cobra.Command{
		Use:   "coordinator",
		Short: "Run a coordinator only: who is alive, who serves",
		Long: `Watches every node by its heartbeats and every service of failover.services by
probes of its own, agrees with the coordinators of other regions on what is down, and
acts on it while it leads. Run one beside each service, and one in each of at least
three regions; name those that vote in failover.coordinators.

A coordinator that reaches no majority of regions decides nothing and does not lead:
it says so in its log, its metrics and in failover status.`,
		Example: "  mahavishnu coordinator --config /etc/mahavishnu/mahavishnu.yaml\n  mahavishnu failover status",
	})
	cmd.Flags().StringVar(&o.region, "region", "", "vote for this `REGION` (default: node.region)")
	return cmd
}
