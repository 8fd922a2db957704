package prune

import (
	"context"

	"mahavishnu/fault"
)

// retain keeps what snapshots need from being deleted for longer, where the
// repository has retention. That it fails does not undo what was pruned, and is
// told.
func (p *pruner) retain(ctx context.Context) error {
	if !p.repo.Retains() {
		return nil
	}
	survey, err := p.look(ctx) // after packs went and others came
	if err != nil {
		return err
	}
	kept, err := p.c.Retain(ctx, survey)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		p.trouble(fault.New("keep what is needed from being deleted for longer in", p.repo.Backend().Location(), err,
			"see that the storage has retention switched on and that the credentials may extend it: `mahavishnu doctor`"))
	}
	if !kept.Until.IsZero() {
		p.report.Retention = &kept
	}
	at, ok, err := p.repo.Unprotected(ctx)
	if ok {
		p.report.Unprotected = &at
	}
	if err != nil {
		return err
	}
	return nil
}
