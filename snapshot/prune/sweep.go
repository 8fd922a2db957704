package prune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
)

// sweepAll sweeps all condemned lists that nobody keeps waiting, until there are
// no more or the time is up.
func (p *pruner) sweepAll(ctx context.Context) error {
	tried := map[string]bool{} // swept as far as can be
	for {
		// In this order: whoever a list waits for is found at work, or has ended.
		lists, _, err := p.c.Condemned(ctx)
		if err != nil {
			return err
		}
		census, err := p.settle(ctx)
		if err != nil {
			return err
		}
		var ready []repository.Condemned
		waiting := map[lease.ID]bool{}
		p.report.Waiting = nil
		for _, list := range lists {
			w := Waiting{List: list.Name, Packs: len(list.Packs), Bytes: p.size(list)}
			for _, s := range census.Unfinished {
				if slices.Contains(list.Waiting, s.ID) {
					w.For = append(w.For, s)
					waiting[s.ID] = true
				}
			}
			switch {
			case tried[list.Name]:
				w.Why = "something needed in them cannot be read"
				switch {
				case p.report.RetainedPacks > 0:
					w.Why = "the storage keeps them from being deleted until their retention ends"
				case p.short != nil:
					w.Why = "there is no room to copy what is needed of them"
				}
				p.report.Waiting = append(p.report.Waiting, w)
			case len(w.For) > 0:
				p.report.Waiting = append(p.report.Waiting, w)
			default:
				ready = append(ready, list)
			}
		}
		if len(ready) > 0 {
			held, err := p.sweep(ctx, ready)
			if err != nil {
				return err
			}
			if held != nil {
				for _, list := range ready {
					p.report.Waiting = append(p.report.Waiting, Waiting{List: list.Name, Packs: len(list.Packs), Bytes: p.size(list), Why: held.Error()})
				}
				return nil
			}
			for _, list := range ready {
				tried[list.Name] = true
			}
			continue
		}
		if len(waiting) == 0 {
			return nil
		}
		if waited, err := p.wait(ctx, len(waiting)); err != nil || !waited {
			return err
		}
	}
}

// size is how many bytes of a list's packs are there still.
func (p *pruner) size(list repository.Condemned) int64 {
	n := int64(0)
	for _, id := range list.Packs {
		n += p.survey.Size(id)
	}
	return n
}

// sweep rescues what is needed after all, and deletes the packs of lists, except
// those from which something could not be rescued. held says why nothing may be
// deleted now.
func (p *pruner) sweep(ctx context.Context, ready []repository.Condemned) (held, err error) {
	spare, gone := map[repository.PackID]error{}, map[repository.PackID]bool{}
	for _, list := range ready {
		for _, id := range list.Packs {
			gone[id] = true
		}
	}
	for {
		survey, err := p.look(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := survey.Uses(ctx); err != nil {
			return nil, err
		}
		if wrong, err := p.prove(ctx, func(id repository.PackID) bool { return gone[id] }); err != nil {
			return nil, err
		} else if wrong {
			continue // what is kept there is kept elsewhere, or rescued
		}
		if survey.Rescues() == 0 || len(spare) > 0 {
			break
		}
		copied, err := p.c.Rescue(ctx, survey, nil)
		p.report.WrittenBytes += copied.Written
		if errors.Is(err, storage.ErrFull) {
			// What they were to be copied from stays; the rest goes, and makes room.
			p.noRoomToRescue(err, survey)
			for _, id := range survey.RescuePacks() {
				spare[id] = err
			}
			break
		}
		p.report.RescuedBytes += copied.Read
		if err != nil {
			return nil, err
		}
		p.spared(copied.Failed)
		maps.Copy(spare, copied.Failed)
	}
	if p.o.Hold != nil {
		if err := p.o.Hold(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return fmt.Errorf("nothing may be deleted now: %w", err), nil
		}
	}
	total := int64(0)
	for _, list := range ready {
		total += int64(len(list.Packs))
	}
	swept, err := p.c.Sweep(ctx, p.survey, ready, spare, func(n int) { p.progress(StageSweep, int64(n), total) })
	p.report.RemovedPacks += swept.Packs
	p.report.RemovedBytes += swept.Bytes
	p.report.RetainedPacks += swept.Retained
	p.report.RetainedBytes += swept.RetainedBytes
	p.compacted(swept.Fragments)
	return nil, err
}

func (p *pruner) compacted(done repository.Compacted) {
	p.compact = true
	p.report.WrittenFragments += done.Written
	p.report.RemovedFragments += done.Removed
}
