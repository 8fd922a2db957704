package app

import (
	"context"

	"mahavishnu/catalog"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// OpenCatalog reads the catalog that the queue keeps.
func OpenCatalog(ctx context.Context, b *bus.Bus) (*catalog.Catalog, error) {
	store, err := b.Store(messages.BucketCatalog)
	if err != nil {
		return nil, err
	}
	return catalog.Open(ctx, catalog.Bucket{Store: store})
}

// keepCatalog makes the catalog follow the events of jobs. Where an event does
// not tell all, it is made again from storage.
func (a *App) keepCatalog(ctx context.Context) error {
	c, err := OpenCatalog(ctx, a.bus)
	if err != nil {
		return err
	}
	return a.bus.Events(ctx, readerCatalog, func(ctx context.Context, m bus.EventMessage) error {
		complete, err := c.Apply(ctx, m.Event)
		if err != nil || complete {
			return err
		}
		if err := a.rebuildCatalog(ctx, c); err != nil {
			// A process that only schedules need not reach the storage. The
			// catalog is a cache: it is then less exact until somebody rebuilds it.
			a.Log.Info().Err(err).Msg("the catalog could not be made again from storage")
		}
		return nil
	})
}

func (a *App) rebuildCatalog(ctx context.Context, c *catalog.Catalog) error {
	repo, err := AccessTo(a.config()).Open(ctx)
	if err != nil {
		return err
	}
	defer repo.Close() //nolint:errcheck // it was only read
	_, err = c.Rebuild(ctx, repo.Repository)
	return err
}
