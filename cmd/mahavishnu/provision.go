package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mahavishnu/app"
)

func newProvisionCommand(e *env) *cobra.Command {
	var update, island bool
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make the streams and consumers of the queue",
		Long: `Makes what is missing in the queue at nats.url, for the regions in the
configuration, and leaves alone what is there. A scheduler does so, too, when it
starts; this is for queues whose users may do no more than they need, where one user
makes streams and no other does (deploy/nats has such a configuration). With --island
it does the same in the queue at nats.island.url, which the region works with while it
is cut off.`,
		Example: `  mahavishnu provision
  MAHAVISHNU_NATS_USER=provisioner MAHAVISHNU_NATS_PASSWORD_FILE=provisioner.password mahavishnu provision`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runProvision(cmd.Context(), e, update, island) },
	}
	cmd.Flags().BoolVar(&update, "update-streams", false, "change existing streams and consumers to what the configuration says")
	cmd.Flags().BoolVar(&island, "island", false, "make those of the region's own queue, nats.island.url")
	return exits(cmd)
}

func runProvision(ctx context.Context, e *env, update, island bool) (err error) {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if island {
		if cfg.NATS.Island.URL == "" {
			return &usageError{"mahavishnu provision", errors.New("nats.island.url is not set; a queue inside the process needs nobody to make its streams")}
		}
		cfg = app.IslandOf(cfg)
	}
	conn, err := app.Dial(ctx, cfg, "mahavishnu "+cfg.Node.Name, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := app.Provision(ctx, conn, cfg, update); err != nil {
		return err
	}
	e.term.Document(struct {
		Server  string   `json:"server"`
		Regions []string `json:"regions"`
		Updated bool     `json:"updated"`
	}{conn.Server(), cfg.Regions, update})
	e.term.Printf("the queue has its streams and the consumers of %v", cfg.Regions)
	return nil
}
