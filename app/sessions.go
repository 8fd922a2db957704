package app

import (
	"context"
	"time"

	"mahavishnu/messages/bus"
	"mahavishnu/repository/lease"
)

// sessionSign is what the names of sessions' signs of life in the queue begin
// with.
const sessionSign = "session."

// Sessions keeps the leases of repositories' sessions in the queue, under the
// name of a node: a worker that dies is known to be dead when its sign has run
// out, and nobody has to watch the storage for it.
//
// A worker that is cut off from the queue and goes on loses its sign although it
// lives. That costs a retry: whether its snapshot or a collector comes first is
// decided in the storage, not here.
func Sessions(b *bus.Bus, node string) lease.Keeper {
	return sessions{signs: b.Signs(), node: node}
}

type sessions struct {
	signs *bus.Signs
	node  string
}

// Hold implements lease.Keeper.
func (s sessions) Hold(ctx context.Context, session string, ttl time.Duration) (release func(context.Context) error, err error) {
	sign, err := s.signs.Show(ctx, sessionSign+session, s.node, ttl)
	if err != nil {
		return nil, err
	}
	return sign.Release, nil
}

// Alive implements lease.Keeper.
func (s sessions) Alive(ctx context.Context, session string) (bool, error) {
	return s.signs.Seen(ctx, sessionSign+session)
}
