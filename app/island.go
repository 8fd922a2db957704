package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/scheduler"
)

const (
	// leaseHandover is held in an island's own queue by who hands it over: of several
	// processes that share it, one at a time.
	leaseHandover = "handover"
	// signIsland is what the names begin with of the keys that a process writes to
	// learn whether its queue takes writes.
	signIsland = "island."
)

// island lets a region go on while it is cut off from the queue. It writes to the
// queue now and then. When nothing was acknowledged for a while, it opens a queue of
// the region's own and runs a scheduler and a worker on it, for the sources of the
// region alone; when the line is back it stops them and hands over what was done, and
// what is left to do.
//
// Nothing depends on everybody agreeing on who is cut off. Both sides may run the job
// of the same slot: it has the same id on both, and a repository commits it once. An
// island deletes nothing, copies nothing to other regions, and holds no lease of a
// service.
type island struct {
	app *App
	log zerolog.Logger
	// after is how long nothing must be acknowledged; every is how often that is tried.
	after, every time.Duration
	// now is the region's own queue and what works with it; nil while it is not alone.
	now atomic.Pointer[solitude]
	// owes says that a queue of an earlier life may hold what was not handed over.
	owes bool
}

// solitude is a region on its own.
type solitude struct {
	app *App
	// since is when the common queue acknowledged something last.
	since time.Time
}

// startIsland watches whether the queue takes writes.
func (a *App) startIsland(context.Context) error {
	o := a.cfg.NATS.Island
	if o.After == 0 || a.alone {
		return nil
	}
	log := a.Log.With().Str("part", "island").Logger()
	switch {
	case !a.Roles.Scheduler && !a.Roles.Worker:
		return nil // it makes and does no jobs
	case o.URL == "" && (!a.Roles.Scheduler || !a.Roles.Worker):
		log.Warn().Msg("this process alone cannot go on when the region is cut off: set nats.island.url to a server of the region, which schedulers and workers share")
		return nil
	}
	i := &island{app: a, log: log, after: o.After.Std(), every: max(o.After.Std()/6, 250*time.Millisecond)}
	if o.URL == "" {
		_, err := os.Stat(a.cfg.IslandStore())
		i.owes = err == nil
	} else {
		i.owes = a.Roles.Scheduler
	}
	a.island = i
	a.launch("island", func(ctx context.Context) error { i.watch(ctx); return nil })
	return nil
}

// watch tries the queue until ctx ends, and lives alone whenever it must.
func (i *island) watch(ctx context.Context) {
	heard := i.app.Clock.Now()
	for {
		switch acknowledged := i.acknowledged(ctx); {
		case ctx.Err() != nil:
			return
		case acknowledged && i.owes:
			i.report(ctx, i.settle(ctx), "what is left in the region's own queue could not be handed over; trying again")
			fallthrough
		case acknowledged:
			heard = i.app.Clock.Now()
		case i.app.Clock.Now().Sub(heard) >= i.after:
			err := i.live(ctx, heard)
			i.report(ctx, err, "the region cannot go on by itself; trying again")
			if err == nil {
				heard = i.app.Clock.Now()
			}
		}
		if i.app.Clock.Sleep(ctx, i.every) != nil {
			return
		}
	}
}

func (i *island) report(ctx context.Context, err error, message string) {
	if err != nil && ctx.Err() == nil {
		i.log.Error().Err(err).Strs("hints", fault.Hints(err)).Msg(message)
	}
}

// acknowledged tries one write.
func (i *island) acknowledged(ctx context.Context) bool {
	select {
	case <-i.app.bound:
	default:
		return false // the process has not reached its queue yet
	}
	ctx, cancel := context.WithTimeout(ctx, max(i.after/3, 500*time.Millisecond))
	defer cancel()
	node := i.app.Config.Node.Name
	return i.app.bus.Signs().Touch(ctx, signIsland+node, node, i.after) == nil
}

// live goes on with the region's own queue until the common one is back and has all
// that the region did.
func (i *island) live(ctx context.Context, heard time.Time) (err error) {
	q, err := i.open(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() { err = errors.Join(err, i.close(ctx, q, done)) }()
	i.log.Warn().Dur("after", i.app.Clock.Now().Sub(heard)).Str("queue", q.QueueURL()).
		Msg("the queue acknowledges nothing: the region goes on with its own, for its own sources and storage")
	for ctx.Err() == nil {
		if err := i.work(ctx, &solitude{app: q, since: heard}); err != nil || ctx.Err() != nil {
			return err
		}
		if err := i.handOver(ctx, q); err == nil {
			done = true
			return nil
		} else if ctx.Err() == nil {
			i.log.Warn().Err(err).Msg("the region's own queue could not be handed over; it goes on")
		}
	}
	return nil
}

// settle hands over what an earlier life of the process left behind.
func (i *island) settle(ctx context.Context) (err error) {
	q, err := i.open(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() { err = errors.Join(err, i.close(ctx, q, done)) }()
	if err := i.handOver(ctx, q); err != nil {
		return err
	}
	done = true
	return nil
}

// IslandOf is the configuration with which a region works while it is cut off: its own
// queue, and nothing that only the others could decide.
func IslandOf(cfg *config.Config) *config.Config {
	alone := *cfg
	own := cfg.NATS.Island
	alone.NATS.URL, alone.NATS.Replicas, alone.NATS.Island = own.URL, 1, config.Island{}
	if own.URL == "" {
		alone.NATS.Listen, alone.NATS.StoreDir, alone.NATS.TLS = "127.0.0.1:0", cfg.IslandStore(), config.TLS{}
	}
	alone.Regions = []string{cfg.Node.Region}
	// No repository is made by a region that cannot ask whether it has one.
	alone.Backup.Storage.Create = config.CreateNever
	return &alone
}

// follow gives the region's own queue what a reload brought. What a process takes up only
// when it starts is as it was.
func (i *island) follow(q *App, fresh *config.Config) error {
	next := i.configOf(fresh)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.apply(next); err != nil {
		return err
	}
	q.cfg = next
	return nil
}

// configOf is [IslandOf] what is in force of a configuration: a reload changes neither where
// the process is nor its queues.
func (i *island) configOf(cfg *config.Config) *config.Config {
	now, began := *cfg, i.app.Config
	now.NATS, now.Node = began.NATS, began.Node
	now.Node.Grace = cfg.Node.Grace
	return IslandOf(&now)
}

// open opens the region's own queue.
func (i *island) open(ctx context.Context) (*App, error) {
	o := i.app.Options
	o.Config, o.Log, o.UpdateStreams = i.configOf(i.app.config()), i.app.Log.With().Bool("island", true).Logger(), false
	o.Roles.Coordinator = false
	q, err := New(o)
	if err != nil {
		return nil, err
	}
	q.alone, q.metrics, q.started = true, i.app.metrics, i.app.Clock.Now()
	i.owes = true
	if err := q.startQueue(ctx); err != nil {
		return nil, errors.Join(err, q.Stop(context.WithoutCancel(ctx)))
	}
	return q, nil
}

// close closes the region's own queue; one inside the process that has nothing left is
// forgotten.
func (i *island) close(ctx context.Context, q *App, done bool) error {
	err := q.Stop(context.WithoutCancel(ctx))
	i.owes = i.owes && !done
	if q.cfg.NATS.URL != "" {
		return err
	}
	if gone := os.Remove(filepath.Join(q.cfg.Node.DataDir, urlFile)); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if !done || err != nil {
		return err
	}
	if err := os.RemoveAll(q.cfg.NATS.StoreDir); err != nil {
		return fault.New("remove", q.cfg.NATS.StoreDir, err, "nothing in it is needed any more: remove it by hand")
	}
	return nil
}

// work makes and does the region's jobs until the common queue has taken writes for a
// while.
func (i *island) work(ctx context.Context, s *solitude) (err error) {
	q := s.app
	keep := len(q.running)
	i.app.metrics.SetIsland(true)
	defer func() {
		err = errors.Join(err, i.enter(nil))
		i.app.metrics.SetIsland(false)
		err = errors.Join(err, q.stopTo(context.WithoutCancel(ctx), keep))
	}()
	for _, start := range []func(context.Context) error{q.startScheduler, q.startWorker} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	if err := i.enter(s); err != nil {
		return err
	}
	var back time.Time
	for i.app.Clock.Sleep(ctx, i.every) == nil {
		select {
		case err := <-q.failed:
			return err
		default:
		}
		switch {
		case !i.acknowledged(ctx):
			back = time.Time{}
		case back.IsZero():
			back = i.app.Clock.Now()
		case i.app.Clock.Now().Sub(back) >= i.after/3:
			return nil
		}
	}
	return nil
}

// enter notes that the region is on its own, or with nil that it is no longer. From one to
// the other reloads reach it, too; it takes up what it missed while it was started.
func (i *island) enter(s *solitude) error {
	i.app.mu.Lock()
	defer i.app.mu.Unlock()
	i.now.Store(s)
	if s == nil {
		return nil
	}
	return i.follow(s.app, i.app.cfg)
}

// handOver brings what the region did to the common queue.
func (i *island) handOver(ctx context.Context, q *App) error {
	if !q.Roles.Scheduler {
		return nil // the region's schedulers do
	}
	began := i.app.Clock.Now()
	h := handover{from: q.bus, to: i.app.bus, node: q.cfg.Node.Name, region: q.cfg.Node.Region, clock: i.app.Clock, log: i.log}
	if err := h.run(ctx, LeaseTiming(q.cfg.NATS.Lease)); err != nil {
		return err
	}
	for what, n := range h.done.counts() {
		i.app.metrics.HandedOver(what, n)
	}
	i.log.Info().Int("records", h.done.records).Int("jobs", h.done.jobs).Int("events", h.done.events).Int("letters", h.done.letters).
		Dur("took", i.app.Clock.Now().Sub(began)).Msg("the queue is back and has all that the region did by itself")
	return nil
}

// isIsland tells whether the process goes on by itself now.
func (a *App) isIsland() bool { return a.solitude() != nil }

// solitude is what the process does by itself now; nil when its region is not cut off.
func (a *App) solitude() *solitude {
	if a.island == nil {
		return nil
	}
	return a.island.now.Load()
}

// planOf is what the scheduler of this process makes happen: everything, or what an
// island may.
func (a *App) planOf(cfg *config.Config) (scheduler.Plan, error) {
	plan, err := scheduler.FromConfig(cfg)
	if err != nil || !a.alone {
		return plan, err
	}
	return localPlan(plan, cfg.Node.Region), nil
}

// localPlan is the part of a plan that a region can do alone: backups of its own
// sources and their tests, and verifying what was stored. Nothing is copied, and
// nothing is forgotten: what may go is for who sees everything.
func localPlan(p scheduler.Plan, region string) scheduler.Plan {
	local := scheduler.Plan{FollowUps: scheduler.FollowUps{
		Verify: p.FollowUps.Verify, Oldest: p.FollowUps.Oldest, OlderThan: p.FollowUps.OlderThan,
	}}
	for _, s := range p.Schedules {
		if s.Kind == messages.KindReplicate {
			continue
		}
		var targets []scheduler.Target
		for _, t := range s.Targets {
			if t.Region == region {
				targets = append(targets, t)
			}
		}
		if s.Targets = targets; len(targets) > 0 {
			local.Schedules = append(local.Schedules, s)
		}
	}
	return local
}
