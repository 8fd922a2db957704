package worker

import (
	"context"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Serves lists the regions whose jobs are taken, sorted.
func (p *Pool) Serves() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.serves)
}

// Serve says whose jobs are taken from now on. Those for any region are taken, too, as
// long as there is one at all: a worker whose region is away has no repository to store
// to. Regions that are not named any more are pulled no longer when Serve returns; what
// runs of them has the grace, or until ctx ends, and is then handed back.
//
// An error means that what was taken before still is. One call at a time.
func (p *Pool) Serve(ctx context.Context, regions []string) error {
	regions = slices.Sorted(slices.Values(regions))
	p.mu.Lock()
	before := p.serves
	p.serves = slices.Compact(regions)
	from := p.from
	p.mu.Unlock()
	if from == nil { // Run begins with them
		return nil
	}
	if err := from.open(); err != nil {
		p.mu.Lock()
		p.serves = before
		p.mu.Unlock()
		return fault.New("take the jobs of other regions as", p.Node, err, "")
	}
	if !p.holdsOthers() {
		return nil
	}
	timer := p.Clock.NewTimer(max(p.Grace, 0))
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
	p.handOver()
	return nil
}

// mine tells whether the jobs of an attempt's region are taken here. The caller holds mu.
func (p *Pool) mine(a *attempt) bool {
	region := a.task.Job.Region
	return region == messages.AnyRegion || slices.Contains(p.serves, region)
}

// holdsOthers tells whether jobs run here of regions that are not served any more.
func (p *Pool) holdsOthers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.running {
		if !p.mine(a) {
			return true
		}
	}
	return false
}

// handOver ends what runs of regions that are not served any more.
func (p *Pool) handOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.running {
		if !p.mine(a) {
			a.cancel(ErrMoved)
		}
	}
}
