package app

import (
	"context"
	"errors"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/metrics"
	"mahavishnu/replication"
)

const (
	// lagEvery is how often the age of what is not copied is told anew.
	lagEvery = 15 * time.Second
	// lagPatience is how long looking at a storage is repeated when it fails.
	lagPatience = 30 * time.Second
)

// leaseLag is held by the worker of a region that measures its copies.
func leaseLag(region string) string { return "lag." + region }

// behind is what is known of how far a copy is behind.
type behind struct {
	lag     replication.Lag
	at      time.Time // when it was measured; zero for never
	tried   time.Time
	unknown bool // the last try failed
}

// age is for how long the oldest snapshot that is not copied has waited. While
// nobody can look, one may have been made right after the last look.
func (b behind) age(now time.Time) time.Duration {
	switch {
	case !b.lag.Oldest.IsZero():
		return b.lag.Age(now)
	case b.unknown:
		return now.Sub(b.at)
	}
	return 0
}

// measureLag keeps the gauges of the copies that this region makes.
func (a *App) measureLag(ctx context.Context) error {
	queue, err := a.bus.Store(messages.BucketLeases)
	if err != nil {
		return err
	}
	replicas := Replicas{Config: a.config, Storage: StoragesOf(a.config(), a.Clock, a.metrics).Hasty(lagPatience), Access: AccessTo(a.cfg), Known: queue}
	known := map[config.RegionPair]behind{}
	for {
		cfg := a.config()
		for _, pair := range cfg.Backup.Replication.Regions {
			if !cfg.Backup.Replication.Enabled || cfg.Backup.Replication.Runner(pair) != cfg.Node.Region {
				continue
			}
			b := known[pair]
			if now := a.Clock.Now(); now.Sub(b.tried) >= cfg.Backup.Replication.Interval.Std() {
				b = a.look(ctx, replicas, pair, b)
			}
			known[pair] = b
			a.tellLag(pair, b)
		}
		if err := a.Clock.Sleep(ctx, lagEvery); err != nil {
			return err
		}
	}
}

// look measures one copy.
func (a *App) look(ctx context.Context, replicas Replicas, pair config.RegionPair, before behind) behind {
	before.tried = a.Clock.Now()
	lag, err := replicas.Measure(ctx, pair)
	before.unknown = err != nil
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Warn().Err(err).Str("part", "worker").Str("copy", pair.String()).Msg("how far the copy is behind cannot be seen")
		}
		return before
	}
	before.lag, before.at = lag, before.tried
	return before
}

// tellLag sets the gauges of one copy.
func (a *App) tellLag(pair config.RegionPair, b behind) {
	if b.at.IsZero() {
		return
	}
	a.metrics.SetReplicationLag(pair.Primary, pair.Secondary, metrics.Lag{
		Bytes: b.lag.Bytes, Objects: b.lag.Objects, Age: b.age(a.Clock.Now()), Pending: b.lag.Pending, Measured: b.at,
	})
}

// Measure tells how far the copy of a pair is behind.
func (r Replicas) Measure(ctx context.Context, pair config.RegionPair) (lag replication.Lag, err error) {
	primary, replica, err := r.Ends(ctx, pair)
	if err != nil {
		return lag, err
	}
	defer func() { err = errors.Join(err, primary.Close(), replica.Close()) }()
	if err := r.Gone(ctx, pair, replica); err != nil {
		return lag, err
	}
	return replication.Measure(ctx, primary, replica)
}
