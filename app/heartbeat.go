package app

import (
	"context"
	"time"

	"mahavishnu/messages"
)

// heartbeatEvery is how often a process says that it is alive.
const heartbeatEvery = time.Second

// startHeartbeat tells others that the process is there and what it does.
func (a *App) startHeartbeat(context.Context) error {
	a.launch("heartbeat", func(ctx context.Context) error {
		for n := uint64(1); ; n++ {
			// A heartbeat that cannot be sent is one that is not heard: who
			// listens draws the conclusion.
			if err := a.bus.PublishHeartbeat(a.heartbeat(n)); err != nil {
				a.Log.Debug().Err(err).Msg("heartbeat not sent")
			}
			if err := a.Clock.Sleep(ctx, heartbeatEvery); err != nil {
				return err
			}
		}
	})
	return nil
}

func (a *App) heartbeat(sequence uint64) messages.Heartbeat {
	h := messages.Heartbeat{
		Node: a.Config.Node.Name, Region: a.Config.Node.Region, Roles: a.Roles.names(), Sequence: sequence,
		Time: a.Clock.Now(), Started: a.started, IntervalMillis: heartbeatEvery.Milliseconds(), Version: a.Version,
	}
	if a.pool != nil {
		status := a.pool.Status()
		h.Slots, h.Busy, h.Kinds, h.Jobs = status.Slots, len(status.Jobs), status.Kinds, status.Jobs
	}
	return h
}
