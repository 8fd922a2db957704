package prune

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// partBlobs is how many blobs are copied before what they were copied from is
// condemned: so much work is lost at most when a run dies, and kept in mind, some
// 90 bytes each.
const partBlobs = 256 << 10

// decide surveys and plans.
func (p *pruner) decide(ctx context.Context) ([]decision, error) {
	survey, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := survey.Uses(ctx)
	if err != nil {
		return nil, err
	}
	// After packs were listed: whose packs these are had begun by then.
	census, err := p.repo.Sessions(ctx, p.o.Keeper, p.o.Clock)
	if err != nil {
		return nil, err
	}
	in := planInput{
		packs: uses, atWork: census.Tags(), current: p.repo.KeyVersion(), reseal: p.o.Reseal,
		maxUnused: p.o.MaxUnused, maxRepack: p.o.MaxRepack, tight: p.tight,
		cold:     p.repo.InCold,
		retained: func(stored int64) bool { return p.o.Clock.Now().Before(p.repo.RetainedSince(stored)) },
	}
	if p.c != nil {
		delete(in.atWork, p.c.Tag())
	} else {
		p.report.Fenced = census.Left()
		for _, s := range p.report.Fenced {
			delete(in.atWork, s.ID.Tag())
		}
	}
	decided := plan(in)
	if !p.o.DryRun {
		for {
			wrong, err := p.prove(ctx, goingBy(decided))
			if err != nil {
				return nil, err
			}
			if !wrong {
				break
			}
			if in.packs, err = survey.Uses(ctx); err != nil {
				return nil, err
			}
			decided = plan(in)
		}
	}
	p.found(in.packs, decided)
	return decided, nil
}

// found notes what is stored as the run finds it, and adds what it decides.
func (p *pruner) found(uses []repository.PackUse, decided []decision) {
	r := &p.report
	if r.Plan != nil {
		p.done = slices.DeleteFunc(r.Plan, func(l Line) bool { return l.Action == Keep || l.Action == Later })
		p.planned(decided)
		return
	}
	r.Snapshots = len(p.survey.Snapshots)
	for _, use := range uses {
		r.Packs++
		r.PackBytes += use.Size
		r.UnusedBytes += unused(use)
		switch {
		case !use.Indexed:
			r.UnindexedPacks++
			r.UnindexedBytes += use.Size
		case use.LiveBlobs == 0:
			r.UnusedPacks++
			r.UnusedPackBytes += use.Size
		}
	}
	p.planned(decided)
}

// planned tells what was done in earlier rounds, and what is decided in this one.
func (p *pruner) planned(decided []decision) {
	p.older = slices.ContainsFunc(decided, func(d decision) bool {
		return d.action == Later && d.use.KeyVersion != p.repo.KeyVersion()
	})
	p.report.Plan = order(slices.Concat(p.done, lines(decided)))
}

// goingBy tells which packs are to go.
func goingBy(decided []decision) func(repository.PackID) bool {
	going := map[repository.PackID]bool{}
	for _, d := range decided {
		going[d.use.ID] = d.action == Remove || d.action == Repack
	}
	return func(id repository.PackID) bool { return going[id] }
}

// prove reads packs that were never verified and keep blobs of which another copy
// is going. With wrong ones the last survey must decide anew.
func (p *pruner) prove(ctx context.Context, going func(repository.PackID) bool) (wrong bool, err error) {
	packs := p.survey.Unproven(going)
	if i := slices.IndexFunc(packs, p.repo.InCold); i >= 0 {
		// Reading it would mean thawing: what else there is of it stays.
		for _, id := range packs[i:] {
			if p.repo.InCold(id) {
				p.distrust(id)
				p.survey.Suspect(id)
			}
		}
		return true, nil
	}
	done, total := int64(0), int64(0)
	for _, id := range packs {
		total += p.survey.Size(id)
	}
	bad, err := p.c.Prove(ctx, p.survey, packs, func(n int64) {
		done += n
		p.progress(StageProve, done, total)
	})
	for id, why := range bad {
		p.distrust(id)
		p.trouble(fault.New("read", id.Object(), why, "other copies of what is in it were kept: run `mahavishnu verify --repair`"))
	}
	return len(bad) > 0, err
}

// distrust takes nothing in a pack for stored.
func (p *pruner) distrust(id repository.PackID) {
	if p.suspect == nil {
		p.suspect = map[repository.PackID]bool{}
	}
	p.suspect[id] = true
}

// condemn copies what is needed of packs that are to go, and condemns all that
// are, part by part. A pack of which something cannot be read stays.
func (p *pruner) condemn(ctx context.Context, decided []decision) error {
	var going []repository.PackID
	var sources []repository.PackUse
	total := int64(0)
	for _, d := range decided {
		switch {
		case d.use.Condemned:
		case d.action == Remove:
			going = append(going, d.use.ID)
		case d.action == Repack:
			sources = append(sources, d.use)
			total += d.use.Live
			p.report.RepackedBytes += d.use.Size
		}
	}
	slices.SortFunc(sources, func(a, b repository.PackUse) int {
		if p.tight { // the smallest first: each makes room for the next
			return cmp.Or(cmp.Compare(a.Live, b.Live), a.ID.Compare(b.ID))
		}
		return cmp.Or(cmp.Compare(a.Met, b.Met), a.ID.Compare(b.ID))
	})
	done := int64(0)
	for len(sources) > 0 {
		n := p.part(sources)
		copied, err := p.repack(ctx, sources[:n], func(n int64) {
			done += n
			p.progress(StageRepack, done, total)
		})
		if errors.Is(err, storage.ErrFull) {
			p.noRoomToCopy(err, sources, decided)
			break // what needs no copying goes first
		}
		if err != nil {
			return err
		}
		if err := p.give(ctx, append(going, copied...)); err != nil {
			return err
		}
		going, sources = nil, sources[n:]
	}
	return p.give(ctx, going)
}

// part returns how many packs, from the first, are copied before they are
// condemned.
func (p *pruner) part(sources []repository.PackUse) int {
	if p.tight {
		return 1
	}
	n, blobs := 0, 0
	for ; n < len(sources) && (n == 0 || blobs+sources[n].LiveBlobs <= cmp.Or(p.o.part, partBlobs)); n++ {
		blobs += sources[n].LiveBlobs
	}
	return n
}

// give condemns packs.
func (p *pruner) give(ctx context.Context, going []repository.PackID) error {
	if len(going) == 0 {
		return nil
	}
	_, err := p.c.Condemn(ctx, going)
	return err
}

// repack copies what is needed of packs and returns those that may go then.
func (p *pruner) repack(ctx context.Context, sources []repository.PackUse, progress func(n int64)) (going []repository.PackID, err error) {
	chosen := map[repository.PackID]bool{}
	for _, use := range sources {
		chosen[use.ID] = true
	}
	copied, err := p.c.Repack(ctx, p.survey, func(id repository.PackID) bool { return chosen[id] }, progress)
	p.report.WrittenBytes += copied.Written
	if err != nil {
		return nil, err
	}
	p.spared(copied.Failed)
	for _, use := range sources {
		if copied.Failed[use.ID] == nil {
			going = append(going, use.ID)
		}
	}
	return going, nil
}
