package main

import (
	"context"

	"mahavishnu/app"
	"mahavishnu/config"
)

// checkReplication looks at both ends of every copy that this region's workers
// make: what is copied must be readable, and the place of the copy writable.
func (x *examination) checkReplication(ctx context.Context) {
	if x.cfg == nil || !x.cfg.Backup.Replication.Enabled {
		return
	}
	access, err := x.e.access()
	if err != nil {
		return // told as a finding of the configuration
	}
	replicas := app.Replicas{Config: func() *config.Config { return x.cfg }, Storage: access.Storage.Hasty(remotePatience)}
	for _, pair := range x.cfg.Backup.Replication.Regions {
		if x.cfg.Backup.Replication.Runner(pair) != x.cfg.Node.Region {
			continue
		}
		check := "copy " + pair.String()
		place, _ := x.cfg.ReplicaPlace(pair.Primary, pair.Secondary)
		primary, replica, err := replicas.Ends(ctx, pair)
		if err != nil {
			x.add(check, bad, hintOr(err, "correct backup.replication.storages"), "%v", err)
			continue
		}
		x.checkReadable(ctx, check+", from", primary)
		x.checkRights(ctx, check+", to", place.URL, replica)
		_, _ = primary.Close(), replica.Close() // they were only looked at
	}
}
