package app

import (
	"context"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/repository/compress"
	"mahavishnu/retention"
	"mahavishnu/worker"
	"mahavishnu/worker/handlers"
)

// startWorker runs the pool that does the jobs.
func (a *App) startWorker(ctx context.Context) error {
	if !a.Roles.Worker {
		return nil
	}
	node, jobs := a.cfg.Node, a.cfg.Jobs
	if _, err := settings(a); err != nil {
		return err
	}
	access := AccessTo(a.cfg)
	access.Storage = StoragesOf(a.cfg, a.Clock, a.metrics).Members(a.member)
	access.OnCorrection, access.OnUnlisted = a.corrected, a.unlisted
	known, err := a.bus.Store(messages.BucketLeases)
	if err != nil {
		return err
	}
	moved := &moves{}
	registry, err := handlers.New(handlers.Setup{
		Repositories: repositories{
			access: access, cfg: a.cfg, create: a.cfg.Backup.Storage.Create, known: known,
			log: a.Log.With().Str("part", "worker").Logger(),
		},
		Settings: func() handlers.Settings {
			// What a reload brings was checked by apply before it came into force.
			s, _ := settings(a)
			return s
		},
		Staging: node.StagingDir, Region: node.Region, Version: a.Version, Clock: a.Clock,
		Sessions: Sessions(a.bus, node.Name),
		Copies: func(ctx context.Context, region string) ([]repository.Replica, func() error) {
			of, err := access.of(a.cfg, region)
			if err != nil {
				of = Access{} // the job could not open its repository either
			}
			return of.Copies(ctx)
		},
		Replicas: Replicas{Config: a.config, Storage: access.Storage, Access: access, Known: known, Moved: moved},
	})
	if err != nil {
		return err
	}
	grace := time.Duration(node.Grace)
	if grace == 0 {
		grace = -1 // the pool's word for none
	}
	a.pool, err = worker.NewPool(worker.Options{
		Bus: a.bus, Node: node.Name, Region: node.Region, Kinds: a.Kinds, Handlers: registry,
		Slots: node.EffectiveSlots(), Grace: grace,
		ProgressEvery: progressEvery(time.Duration(jobs.AckWait)),
		MaxAttempts:   jobs.MaxAttempts, AttemptTime: time.Duration(jobs.Deadline),
		Retry: worker.RetryPolicy{
			First: time.Duration(jobs.RetryFirst), Max: time.Duration(jobs.RetryMax),
		},
		Clock: a.Clock, Metrics: a.metrics,
		Log: a.Log.With().Str("part", "worker").Logger(),
	})
	if err != nil {
		return err
	}
	all, err := regionsNow(ctx, known)
	if err != nil {
		return err
	}
	moved.set(all)
	if err := a.pool.Serve(ctx, all.TakenBy(node.Region)); err != nil {
		return err
	}
	a.launch("worker", a.pool.Run)
	a.launch("regions", a.again("regions", a.serve(known, moved)))
	if len(a.cfg.Backup.Replication.Regions) > 0 && !a.alone {
		a.launch("replication lag", a.lead(leaseLag(node.Region), a.measureLag))
	}
	return nil
}

// corrected tells of an object that jobs read right although it is not stored
// right.
func (a *App) corrected(c repository.Correction) {
	a.metrics.Corrected(c.By)
	a.Log.Warn().Str("object", c.Object).Str("by", c.By).
		Msg("stored data is damaged and was read right all the same; mend it: mahavishnu verify --repair")
}

// unlisted tells of a place of the storage that jobs that read do without.
func (a *App) unlisted(e *repository.UnlistedError) {
	a.Log.Warn().Err(e).Strs("hints", fault.Hints(e)).Msg("a place of the storage cannot be listed: " + e.Without())
}

// progressEvery is how often who watches a job hears of it: once a second, more
// often where everything goes faster.
func progressEvery(ackWait time.Duration) time.Duration {
	return min(time.Second, ackWait/15)
}

// settings are what jobs go by now.
func settings(a *App) (handlers.Settings, error) {
	cfg := a.config()
	policy, err := retention.FromConfig(cfg.Backup)
	if err != nil {
		return handlers.Settings{}, err
	}
	algorithm, level := cfg.EffectiveCompression()
	return handlers.Settings{
		Sources:     cfg.Sources,
		Compression: compress.Setting{Algorithm: compress.Algorithm(algorithm), Level: level},
		Retention:   policy,
		Prune: handlers.PruneSettings{
			MaxUnused: float64(cfg.Backup.Prune.MaxUnused), MaxRepack: int64(cfg.Backup.Prune.MaxRepack),
			Wait: cfg.Backup.Prune.Wait.Std(),
		},

		MaxUnverifiedAge: cfg.Backup.Validation.MaxUnverifiedAge.Std(),
		VerifyOnRestore:  cfg.Backup.Validation.OnRestore(),
	}, nil
}
