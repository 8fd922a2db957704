package app

import (
	"context"
	"time"

	"mahavishnu/messages"
)

// startHeartbeat tells others that the process is there and what it does.
func (a *App) startHeartbeat(context.Context) error {
	a.launch("heartbeat", func(ctx context.Context) error {
		next := a.Clock.Now()
		for n := uint64(1); ; n++ {
			a.beat(a.heartbeat(n))
			// Heartbeats keep to their grid; those that were missed are past.
			now := a.Clock.Now()
			for next = next.Add(a.heartbeatEvery()); next.Before(now); next = next.Add(a.heartbeatEvery()) {
			}
			if err := a.Clock.Sleep(ctx, next.Sub(now)); err != nil {
				last := a.heartbeat(n + 1)
				last.Leaving = true
				a.beat(last)
				return err
			}
		}
	})
	return nil
}

// listenForTwins bounds how long a process listens for another of its name before it
// touches members of services.
const listenForTwins = 5 * time.Second

// mustBeAlone fails when an older process has this one's name. A node that keeps
// members of services asks before it touches one: it would stop what the other keeps.
func (a *App) mustBeAlone(ctx context.Context) error {
	if a.coordinator == nil || !a.keeps() {
		return nil
	}
	return a.coordinator.Alone(ctx, min(4*a.heartbeatEvery(), listenForTwins))
}

// keeps tells whether members of services live beside this node.
func (a *App) keeps() bool {
	for _, s := range a.cfg.Failover.Services {
		for _, m := range s.Members {
			if m.Node == a.cfg.Node.Name {
				return true
			}
		}
	}
	return false
}

// beat sends a heartbeat. One that cannot be sent is one that is not heard: who
// listens draws the conclusion.
func (a *App) beat(h messages.Heartbeat) {
	if err := a.bus.PublishHeartbeat(h); err != nil {
		a.metrics.HeartbeatFailed()
		a.Log.Debug().Err(err).Msg("heartbeat not sent")
	}
	if alone := a.solitude(); alone != nil { // who looks there learns of it, too
		if err := alone.app.bus.PublishHeartbeat(h); err != nil {
			a.Log.Debug().Err(err).Msg("heartbeat not sent to the region's own queue")
		}
	}
}

func (a *App) heartbeatEvery() time.Duration { return a.Config.Failover.Heartbeat.Std() }

func (a *App) heartbeat(sequence uint64) messages.Heartbeat {
	h := messages.Heartbeat{
		Node: a.Config.Node.Name, Region: a.Config.Node.Region, Instance: a.instance, Roles: a.Roles.names(), Sequence: sequence,
		Time: a.Clock.Now(), Started: a.started, IntervalMillis: a.heartbeatEvery().Milliseconds(), Version: a.Version,
	}
	if alone := a.solitude(); alone != nil {
		h.Island, h.IslandSince = true, alone.since
	}
	if a.pool != nil {
		status := a.pool.Status()
		h.Slots, h.Busy, h.Kinds, h.Jobs = status.Slots, len(status.Jobs), status.Kinds, status.Jobs
		h.Serves = status.Serves
	}
	h.Members = a.members()
	return h
}
