package app

import (
	"context"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages/bus"
	"mahavishnu/scheduler"
)

// Provision makes the streams and consumers that a configuration asks for, or finds
// them there. A scheduler does so when it starts; where its user in NATS may not make
// any, an operator does with a user that may.
func Provision(ctx context.Context, conn *bus.Conn, cfg *config.Config, update bool) error {
	return bus.Provision(ctx, conn, bus.ProvisionOptions{
		Regions:      cfg.Regions,
		Replicas:     cfg.NATS.Replicas,
		AckWait:      time.Duration(cfg.Jobs.AckWait),
		EventReaders: []string{scheduler.EventReader, readerCatalog},
		Update:       update,
	})
}
