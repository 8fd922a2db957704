package azure

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"golang.org/x/sync/errgroup"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// How long a rehydration takes at most, by the service's documentation, for blobs of
// up to 10 GB.
const (
	standardThaw = 15 * time.Hour
	highThaw     = time.Hour
)

// Thaw asks for archived blobs to be moved to Config.Tier, or to Hot, where they stay:
// the service knows no copy for some days, so o.Days is not used. It looks at each
// object and makes one more request for each that is archived and not on its way.
func (b *Backend) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (backend.ThawState, error) {
	const op = "thaw"
	priority, expected := blob.RehydratePriorityStandard, standardThaw
	switch o.Speed {
	case "", "bulk", "standard":
	case "expedited":
		priority, expected = blob.RehydratePriorityHigh, highThaw
	default:
		return backend.ThawState{}, &backend.Error{
			Op: op, Object: b.Location(), Err: fmt.Errorf("%w: the speed %.40q", backend.ErrUnsupported, o.Speed), Hint: "use bulk, standard or expedited",
		}
	}
	for _, name := range names {
		if err := objects.Check(ctx, op, name); err != nil {
			return backend.ThawState{}, err
		}
	}
	var (
		mu    sync.Mutex
		state backend.ThawState
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range names {
		g.Go(func() error {
			one, err := b.thaw(ctx, op, name, priority)
			mu.Lock()
			defer mu.Unlock()
			state.Ready += one.Ready
			state.Waiting += one.Waiting
			state.Asked += one.Asked
			return err
		})
	}
	err := g.Wait()
	if state.Waiting > 0 {
		state.Expected = expected
	}
	return state, err
}

// thaw asks for one blob, unless it was asked for already.
func (b *Backend) thaw(ctx context.Context, op, name string, priority blob.RehydratePriority) (backend.ThawState, error) {
	p, err := b.properties(ctx, op, name)
	switch {
	case err != nil:
		return backend.ThawState{}, err
	case !strings.EqualFold(value(p.AccessTier), string(blob.AccessTierArchive)):
		return backend.ThawState{Ready: 1}, nil
	case value(p.ArchiveStatus) != "": // rehydrate-pending-to-…
		return backend.ThawState{Waiting: 1}, nil
	}
	tier := blob.AccessTierHot
	if b.config.Tier != "" {
		tier = blob.AccessTier(b.config.Tier)
	}
	_, err = b.blob(name).SetTier(ctx, tier, &blob.SetTierOptions{RehydratePriority: to.Ptr(priority)})
	if bloberror.HasCode(err, bloberror.BlobBeingRehydrated) && ctx.Err() == nil { // another one asked first
		return backend.ThawState{Waiting: 1}, nil
	}
	if err != nil {
		return backend.ThawState{}, b.failed(ctx, op, name, contributor, err)
	}
	return backend.ThawState{Waiting: 1, Asked: 1}, nil
}
