package prune

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
)

// pollEvery is how often a waiting run looks whether others have ended.
const pollEvery = 5 * time.Second

// Run prunes a repository, as far as it can be done now. The report is filled
// in as far as possible when there is an error too. A *lease.BusyError says that
// another run is at work, repository.ErrFenced that this one was taken for dead.
// A run that died is finished by the next.
func Run(ctx context.Context, repo *repository.Repository, o Options) (report Report, err error) {
	o.Clock = clock.Or(o.Clock)
	if o.TTL <= 0 {
		o.TTL = lease.DefaultTTL
	}
	p := &pruner{repo: repo, o: o, report: Report{DryRun: o.DryRun, Start: o.Clock.Now().UTC()}}
	defer func() {
		p.report.End = o.Clock.Now().UTC()
		report = p.report
	}()
	if o.DryRun {
		return report, p.dryRun(ctx)
	}
	p.c, err = repo.Collect(ctx, lease.Options{TTL: o.TTL, Keeper: o.Keeper, Clock: o.Clock})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, p.c.End(context.WithoutCancel(ctx))) }()
	ctx, stop := p.c.Guard(ctx)
	defer stop()
	p.deadline = o.Clock.Now().Add(o.Wait)
	err = p.run(ctx)
	if fenced := context.Cause(ctx); err != nil && errors.Is(fenced, repository.ErrFenced) {
		err = errors.Join(fenced, err)
	}
	return report, err
}

// pruner is one run.
type pruner struct {
	repo     *repository.Repository
	c        *repository.Collector
	o        Options
	deadline time.Time
	survey   *repository.Survey // the last one
	compact  bool               // the index was looked at
	tight    bool               // the storage is full: what is copied is copied pack by pack
	short    error              // what found no room last
	suspect  map[repository.PackID]bool
	older    bool   // packs sealed with an older version of the key are left to a later run
	done     []Line // of the plan, in earlier rounds
	report   Report
}

func (p *pruner) progress(stage Stage, done, total int64) {
	if p.o.Progress != nil {
		p.o.Progress(Progress{Stage: stage, Done: done, Total: total})
	}
}

func (p *pruner) run(ctx context.Context) error {
	if err := p.turn(ctx); err != nil {
		return err
	}
	if err := p.resume(ctx); err != nil {
		return err
	}
	if err := p.c.Tidy(ctx); err != nil {
		return err
	}
	if err := p.discard(ctx); err != nil {
		return err
	}
	for {
		removed := p.report.RemovedBytes
		decided, err := p.decide(ctx)
		if err != nil {
			return err
		}
		if err := p.condemn(ctx, decided); err != nil {
			return err
		}
		rescued := p.report.RescuedBytes
		if err := p.sweepAll(ctx); err != nil {
			return err
		}
		if p.goOn(removed) {
			continue
		}
		if p.report.RescuedBytes > rescued && len(p.report.Waiting) == 0 {
			continue // a bad copy of it need not stay any more
		}
		// What was left because somebody might be at work may be garbage after all.
		switch again, err := p.outlive(ctx, decided); {
		case err != nil:
			return err
		case !again:
			return p.finish(ctx)
		}
	}
}

// resume goes on with the sealing anew that another run had begun, and notes this
// run's own for whoever takes its place.
func (p *pruner) resume(ctx context.Context) error {
	begun, err := p.repo.Resealing(ctx)
	if err != nil {
		return err
	}
	if begun != nil && !p.o.Reseal {
		p.report.Resumed, p.report.Dropped = begun, p.o.DropReseal
		if p.o.DropReseal {
			return p.c.EndReseal(ctx)
		}
		p.o.Reseal = true
	}
	if begun == nil && p.o.Reseal {
		return p.c.BeginReseal(ctx)
	}
	return nil
}

// outlive waits for sessions that packs were left to and that show no sign of life,
// and reports whether one of them has ended.
func (p *pruner) outlive(ctx context.Context, decided []decision) (ended bool, err error) {
	left := map[[4]byte]bool{}
	for _, d := range decided {
		if d.reason == reasonAtWork {
			left[d.use.ID.Tag()] = true
		}
	}
	for len(left) > 0 {
		census, err := p.settle(ctx)
		if err != nil {
			return false, err
		}
		open := census.Tags()
		silent := 0
		for tag := range left {
			if !open[tag] {
				return true, nil
			}
		}
		for _, s := range census.Unfinished {
			if left[s.ID.Tag()] && !s.Alive {
				silent++
			}
		}
		if silent == 0 {
			return false, nil
		}
		if waited, err := p.wait(ctx, silent); err != nil || !waited {
			return false, err
		}
	}
	return false, nil
}

// settle goes through the sessions and notes what was done with them.
func (p *pruner) settle(ctx context.Context) (*lease.Census, error) {
	p.progress(StageSessions, 0, 0)
	census, err := p.c.Settle(ctx)
	if census != nil {
		p.report.Fenced = append(p.report.Fenced, census.Fenced...)
		p.report.Published = append(p.report.Published, census.Published...)
		p.report.Cleared += census.Cleared
		for _, stuck := range census.Stuck {
			p.trouble(stuck)
		}
	}
	return census, err
}

// trouble notes what did not stop the run, once.
func (p *pruner) trouble(err error) {
	for _, known := range p.report.Troubles {
		if known.Error() == err.Error() {
			return
		}
	}
	p.report.Troubles = append(p.report.Troubles, err)
}

// turn waits until no other collector is at work, as long as it may.
func (p *pruner) turn(ctx context.Context) error {
	for {
		census, err := p.settle(ctx)
		if err != nil {
			return err
		}
		err = p.c.Turn(ctx, census)
		busy := new(lease.BusyError)
		if !errors.As(err, &busy) {
			return err
		}
		if waited, waitErr := p.wait(ctx, 1); waitErr != nil || !waited {
			return errors.Join(waitErr, fault.New("prune", p.repo.Backend().Location(), err, ""))
		}
	}
}

// wait waits a little, if there is time left.
func (p *pruner) wait(ctx context.Context, sessions int) (waited bool, err error) {
	left := p.deadline.Sub(p.o.Clock.Now())
	if left <= 0 {
		return false, nil
	}
	p.progress(StageWait, 0, int64(sessions))
	return true, p.o.Clock.Sleep(ctx, min(left, pollEvery, p.o.TTL/3))
}

// discard removes condemned lists that nobody can read. While one is there every
// session takes all packs for condemned.
func (p *pruner) discard(ctx context.Context) error {
	_, damaged, err := p.c.Condemned(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		if err := p.c.Discard(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// look surveys what is stored and marks what is needed: everything that the last
// survey marked, and what snapshots need that came since.
func (p *pruner) look(ctx context.Context) (*repository.Survey, error) {
	next, err := p.repo.Survey(ctx)
	if err != nil {
		return nil, err
	}
	for name, err := range next.Condemned.Damaged {
		if !p.o.DryRun {
			return nil, fault.New("prune", name, err, "it was damaged just now; prune again, which drops it")
		}
	}
	todo := next.Snapshots
	if p.survey != nil {
		err := next.Inherit(ctx, p.survey)
		switch {
		case err == nil:
			todo = since(p.survey.Snapshots, todo)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default: // it was needed then, and is gone: start over
			if next, err = p.repo.Survey(ctx); err != nil {
				return nil, err
			}
			todo = next.Snapshots
		}
	}
	p.survey = nil
	for id := range p.suspect {
		next.Suspect(id)
	}
	total := int64(len(todo))
	p.progress(StageMark, 0, total)
	err = mark(ctx, p.repo, next, todo, func(n int) { p.progress(StageMark, int64(n), total) })
	if err != nil {
		return nil, err
	}
	p.survey = next
	return next, nil
}

// since returns the snapshots that are not among the old ones.
func since(old, now []repository.Snapshot) []repository.Snapshot {
	type name struct{ source, id, time string }
	of := func(s repository.Snapshot) name { return name{s.Source, s.ID, s.Time.String()} }
	known := map[name]bool{}
	for _, s := range old {
		known[of(s)] = true
	}
	var fresh []repository.Snapshot
	for _, s := range now {
		if !known[of(s)] {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// spared notes packs that stay because something in them cannot be read.
func (p *pruner) spared(failed map[repository.PackID]error) {
	for id, err := range failed {
		p.trouble(fault.New("copy from", id.Object(), err, "the pack was left as it is: run `mahavishnu verify --repair`"))
	}
}

// finish tidies the index, the stripes of parity and the ledger, and seals again
// what an older key has sealed.
func (p *pruner) finish(ctx context.Context) error {
	if !p.compact || p.o.Reseal {
		done, err := p.c.Compact(ctx, p.survey, repository.CompactOptions{Reseal: p.o.Reseal})
		p.compacted(done)
		if err := p.ifRoom("join parts of the index", err); err != nil {
			return err
		}
	}
	if err := p.ifRoom("join stripes of parity", p.c.TidyStripes(ctx)); err != nil {
		return err
	}
	if p.o.Reseal {
		n, err := p.c.Reseal(ctx, func(n int) { p.progress(StageReseal, int64(n), 0) })
		p.report.Resealed += n
		if err != nil {
			return err
		}
	}
	if err := p.retain(ctx); err != nil {
		return err
	}
	// Doubts about packs that are gone are about nothing.
	if err := p.ifRoom("join ledgers", p.repo.CompactLedger(ctx, p.o.Clock.Now())); err != nil {
		return err
	}
	if len(p.report.NoRoom) > 0 {
		return p.full()
	}
	if p.o.Reseal && !p.older {
		return p.c.EndReseal(ctx)
	}
	return nil
}

// dryRun plans without a session of its own, and writes nothing.
func (p *pruner) dryRun(ctx context.Context) error {
	begun, err := p.repo.Resealing(ctx)
	if err != nil {
		return err
	}
	if begun != nil && !p.o.Reseal {
		p.report.Resumed, p.report.Dropped = begun, p.o.DropReseal
		p.o.Reseal = !p.o.DropReseal
	}
	if _, err := p.decide(ctx); err != nil {
		return err
	}
	lists := p.survey.Condemned.Lists
	for _, list := range lists {
		c := repository.Condemned{List: list}
		p.report.Waiting = append(p.report.Waiting, Waiting{List: list.Name, Packs: len(list.Packs), Bytes: p.size(c), Why: "condemned by an earlier run"})
	}
	return nil
}
