package main

import (
	"context"

	"mahavishnu/app"
	"mahavishnu/config"
)

// checkReplication looks at both ends of every copy that this region makes or keeps: what
// is copied must be readable, the place of the copy writable for who copies; then at how
// the copy is.
func (x *examination) checkReplication(ctx context.Context) {
	if x.cfg == nil || !x.cfg.Backup.Replication.Enabled {
		return
	}
	access, err := x.e.access()
	if err != nil {
		return // told as a finding of the configuration
	}
	replicas := app.Replicas{Config: func() *config.Config { return x.cfg }, Storage: access.Storage.Hasty(remotePatience).Members(nil)}
	for _, pair := range ownCopies(x.cfg) {
		x.checkCopy(ctx, replicas, pair)
	}
}

func (x *examination) checkCopy(ctx context.Context, replicas app.Replicas, pair config.RegionPair) {
	check := "copy " + pair.String()
	place, _ := x.cfg.ReplicaPlace(pair.Primary, pair.Secondary)
	primary, replica, err := replicas.Ends(ctx, pair)
	if err != nil {
		x.add(check, bad, hintOr(err, "correct backup.replication.storages"), "%v", err)
		return
	}
	before := x.failures()
	x.checkMembers(ctx, check, replica)
	if x.cfg.Backup.Replication.Runner(pair) == x.cfg.Node.Region {
		x.checkReadable(ctx, check+", from", primary)
		x.checkRights(ctx, check+", to", place.URL, replica)
	}
	_, _ = primary.Close(), replica.Close() // they were only looked at
	if x.failures() > before {
		return // what is behind follows from that
	}
	s, err := lookAtCopyInTime(ctx, x.e, x.e.replicas(x.cfg), pair, statusPatience)
	switch {
	case s.headless != "":
		x.add(check, bad, s.Next, "%s: %v", s.State, err)
	case err != nil:
		x.add(check, bad, hintOr(err, "mahavishnu replication status "+pair.String()), "%v", err)
	}
	for _, f := range troubles(ctx, x.e, x.cfg, pair, s) {
		x.add(check, f.Verdict, f.Fix, "%s", f.Found)
	}
}
