package app

import (
	"context"
	"time"
)

// guardEvery is how often the embedded server is asked whether it can store.
const guardEvery = 30 * time.Second

// guardServer starts the embedded server again when it cannot store any more.
// Nobody else would: the process lives, and its queue takes nothing.
func (a *App) guardServer(ctx context.Context) error {
	for {
		if err := a.Clock.Sleep(ctx, guardEvery); err != nil {
			return err
		}
		err := a.server.Health()
		if err == nil {
			continue
		}
		a.Log.Error().Err(err).Msg("the queue cannot store what it is given; see that its disk has space; starting it again")
		if err := a.server.Restart(); err != nil {
			a.Log.Error().Err(err).Msg("the queue did not start again; it will be tried once more")
		}
	}
}
