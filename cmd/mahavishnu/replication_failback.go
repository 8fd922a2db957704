package main

import (
	"context"
	"errors"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// failback is one run of the command.
type failback struct {
	e                *env
	cfg              *config.Config
	pair             config.RegionPair
	primary, replica storage.Backend
	reason           string
}

func runFailback(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication failback", ref, false, func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error {
		return (&failback{e, cfg, pair, primary, replica, o.reason}).run(ctx)
	})
}

// run does what is left to do, by what the two storages say of themselves.
func (f *failback) run(ctx context.Context) error {
	copied, err := replication.RoleOf(ctx, f.replica)
	if err != nil {
		return err
	}
	old, err := replication.RoleOf(ctx, f.primary)
	if err != nil {
		return err
	}
	switch {
	case copied.Role == replication.Primary:
		return f.fromPrimary(ctx, copied.Noted)
	case old.Role == replication.Primary && (old.Noted || copied.Epoch == 0 && f.sameRepository(ctx)):
		return f.already(ctx, old, copied)
	case old.Role == replication.Primary:
		if f.sameRepository(ctx) { // nobody told it that the copy was promoted
			if _, err := replication.Demote(ctx, replication.DemoteOptions{Primary: f.primary, Reason: "another storage was promoted", Clock: f.e.clock}); err != nil {
				return err
			}
		}
		return f.back(ctx)
	}
	wasOld, err := replication.Last(old, copied)
	if err != nil {
		return fault.New("fail back", f.pair.String(), err, "a third storage has been promoted, which `mahavishnu replication status` names: fail back from that one")
	}
	if wasOld { // demoted, and nothing was promoted: it has all there is
		return f.promote(ctx)
	}
	return f.back(ctx)
}

// fromPrimary copies back from a promoted copy while backups to it go on, ends them, and
// goes on to copy the rest. An old primary that nobody told yet is told now.
func (f *failback) fromPrimary(ctx context.Context, promoted bool) error {
	if !promoted {
		return fault.New("fail back", f.pair.String(), errors.New("nothing was ever copied there"), "mahavishnu replicate "+f.pair.String())
	}
	if f.sameRepository(ctx) {
		if _, untold, err := replication.Promote(ctx, replication.PromoteOptions{Replica: f.replica, Primary: f.primary, Clock: f.e.clock}); err != nil || untold != nil {
			return errors.Join(err, untold)
		}
	}
	if err := f.copyBack(ctx); err != nil {
		return err
	}
	by := replication.DemoteOptions{Primary: f.replica, By: f.cfg.Node.Name, Reason: f.reason, Clock: f.e.clock}
	if _, err := replication.Demote(ctx, by); err != nil {
		return err
	}
	return f.back(ctx)
}

// sameRepository tells whether both storages hold the same repository. One that is new
// and empty holds none.
func (f *failback) sameRepository(ctx context.Context) bool {
	own, err := repository.Identify(ctx, f.primary)
	if err != nil {
		return false
	}
	other, err := repository.Identify(ctx, f.replica)
	return err == nil && own.ID == other.ID
}

// back copies what the copy has, to which nobody stores any more, and makes the old
// primary the primary.
func (f *failback) back(ctx context.Context) error {
	if err := f.copyBack(ctx); err != nil {
		return err
	}
	if err := f.tellKept(ctx); err != nil {
		return err
	}
	return f.promote(ctx)
}

func (f *failback) copyBack(ctx context.Context) error {
	result, err := f.e.copyOnce(ctx, replication.Options{
		From: f.replica, To: f.primary, Retention: app.BackRetention(f.cfg, f.pair),
		DeleteAfter: time.Duration(f.cfg.Backup.Replication.DeleteAfterDays) * 24 * time.Hour,
	})
	f.e.term.Event("replicate", result)
	f.e.term.Sayf("%s, %s copied back", terminal.Plural(result.Copied, "object"), terminal.Bytes(result.CopiedBytes))
	return err
}

// tellKept names the snapshots that only the old primary has: made after its last copying
// and before it was lost.
func (f *failback) tellKept(ctx context.Context) error {
	names, err := replication.Only(ctx, f.primary, f.replica)
	if err != nil || len(names) == 0 {
		return err
	}
	f.e.term.Event("kept", struct {
		Snapshots []string `json:"snapshots"`
	}{names})
	f.e.term.Printf("only %s has %s; they stay there, and are copied again", f.primary.Location(), left(names))
	return nil
}

// already tells that nothing is to be done, but for a copy that was demoted after it had
// been promoted: nothing could be copied to it before the primary counts as newer.
func (f *failback) already(ctx context.Context, old, copied replication.Standing) error {
	if copied.Epoch <= old.Epoch {
		f.e.term.Printf("%s is the primary already, and %s a copy of it", f.primary.Location(), f.replica.Location())
		return nil
	}
	names, err := replication.Only(ctx, f.replica, f.primary)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		f.e.term.Warnf("only %s has %s; they stay there: restore them with --replica %s", f.replica.Location(), left(names), f.pair)
	}
	return f.promote(ctx)
}

func (f *failback) promote(ctx context.Context) error {
	if own, err := repository.Identify(ctx, f.replica); err == nil {
		if err := replication.Differ(ctx, own.ID, f.primary); err != nil {
			return err
		}
	}
	now, untold, err := replication.Promote(ctx, replication.PromoteOptions{
		Replica: f.primary, Primary: f.replica, By: f.cfg.Node.Name, Reason: f.reason, Clock: f.e.clock,
	})
	if err = errors.Join(err, untold); err != nil {
		return err
	}
	f.e.term.Event("promoted", now)
	f.e.term.Printf("%s is the primary again, since epoch %d; %s is a copy of it", f.primary.Location(), now.Epoch, f.replica.Location())
	f.e.term.Sayf("to back up to it, undo what was changed under backup.replication.storages.%s", f.pair.Primary)
	return nil
}
