package main

import (
	"context"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/replication"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

func runFailback(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication failback", ref, false, func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error {
		done, err := replication.Failback(ctx, replication.FailbackOptions{
			Name: pair.String(), Primary: primary, Replica: replica, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock,
			Back: replication.Options{
				Retention: app.BackRetention(cfg, pair), DeleteAfter: time.Duration(cfg.Backup.Replication.DeleteAfterDays) * 24 * time.Hour,
			},
			Copy: e.copyBack,
		})
		e.tellUnequal(pair, primary, replica, done)
		switch {
		case err != nil:
			return err
		case done.Already:
			e.term.Printf("%s is the primary already, and %s a copy of it", primary.Location(), replica.Location())
			return nil
		}
		e.term.Event("promoted", done.Now)
		e.term.Printf("%s is the primary again, since epoch %d; %s is a copy of it", primary.Location(), done.Now.Epoch, replica.Location())
		e.term.Sayf("to back up to it, undo what was changed under backup.replication.storages.%s", pair.Primary)
		return nil
	})
}

// copyBack is copyOnce, told as part of a failback.
func (e *env) copyBack(ctx context.Context, o replication.Options) (replication.Result, error) {
	result, err := e.copyOnce(ctx, o)
	e.term.Event("replicate", result)
	e.term.Sayf("%s, %s copied back", terminal.Plural(result.Copied, "object"), terminal.Bytes(result.CopiedBytes))
	return result, err
}

// tellUnequal names the snapshots that only one of the storages has.
func (e *env) tellUnequal(pair config.RegionPair, primary, replica storage.Backend, done replication.FailedBack) {
	if len(done.Kept) > 0 {
		e.term.Event("kept", struct {
			Snapshots []string `json:"snapshots"`
		}{done.Kept})
		e.term.Printf("only %s has %s; they stay there, and are copied again", primary.Location(), left(done.Kept))
	}
	if len(done.Left) > 0 {
		e.term.Warnf("only %s has %s; they stay there: restore them with --replica %s", replica.Location(), left(done.Left), pair)
	}
}
