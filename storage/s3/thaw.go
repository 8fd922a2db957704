package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/location"
	"mahavishnu/storage/objects"
)

// speeds are the tiers of thawing, as the contract and as S3 spell them.
var speeds = map[string]types.Tier{
	"": types.TierStandard, "bulk": types.TierBulk, "standard": types.TierStandard, "expedited": types.TierExpedited,
}

// expected is how long AWS says that thawing takes at most, by archive and tier.
var expected = map[string]map[types.Tier]time.Duration{
	"GLACIER":             {types.TierExpedited: 5 * time.Minute, types.TierStandard: 5 * time.Hour, types.TierBulk: 12 * time.Hour},
	"DEEP_ARCHIVE":        {types.TierStandard: 12 * time.Hour, types.TierBulk: 48 * time.Hour},
	"ARCHIVE_ACCESS":      {types.TierExpedited: 5 * time.Minute, types.TierStandard: 5 * time.Hour, types.TierBulk: 12 * time.Hour},
	"DEEP_ARCHIVE_ACCESS": {types.TierStandard: 12 * time.Hour, types.TierBulk: 48 * time.Hour},
}

// Thaw looks at each object (one request) and asks for those that are archived and
// not asked for yet (another one).
func (b *Backend) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (backend.ThawState, error) {
	const op = "thaw"
	for _, name := range names {
		if err := objects.Check(ctx, op, name); err != nil {
			return backend.ThawState{}, err
		}
	}
	tier, ok := speeds[o.Speed]
	if !ok {
		return backend.ThawState{}, location.OneOf("speed", o.Speed, []string{"bulk", "standard", "expedited"})
	}
	if o.Days < 1 {
		return backend.ThawState{}, &backend.Error{
			Op: op, Object: b.config.place(), Err: errors.New("thawed objects must stay readable for a day at least"), Hint: "give 1 day or more",
		}
	}
	var mu sync.Mutex
	var all backend.ThawState
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range names {
		g.Go(func() error {
			one, err := b.thaw(gctx, name, tier, o.Days)
			mu.Lock()
			defer mu.Unlock()
			all.Ready += one.Ready
			all.Waiting += one.Waiting
			all.Asked += one.Asked
			all.Expected = max(all.Expected, one.Expected)
			return err
		})
	}
	return all, g.Wait()
}

// thaw does it for one object.
func (b *Backend) thaw(ctx context.Context, name string, tier types.Tier, days int) (backend.ThawState, error) {
	const op = "thaw"
	ready := backend.ThawState{Ready: 1}
	head, err := b.head(ctx, op, name)
	if err != nil {
		return backend.ThawState{}, err
	}
	archive, asked := archived(head)
	if archive == "" {
		return ready, nil
	}
	takes, ok := expected[archive][tier]
	if !ok {
		return backend.ThawState{}, &backend.Error{
			Op: op, Object: name, Err: fmt.Errorf("expedited thawing is %w for %s", backend.ErrUnsupported, archive), Hint: "thaw at standard or bulk speed",
		}
	}
	waiting := backend.ThawState{Waiting: 1, Expected: takes}
	if asked {
		return waiting, nil
	}
	request := &types.RestoreRequest{GlacierJobParameters: &types.GlacierJobParameters{Tier: tier}}
	if head.StorageClass != types.StorageClassIntelligentTiering {
		request.Days = aws.Int32(int32(min(days, 1<<20))) // what is tiered by itself comes back for good
	}
	_, err = b.client.RestoreObject(ctx, &s3.RestoreObjectInput{Bucket: &b.config.Bucket, Key: b.key(name), RestoreRequest: request})
	switch {
	case err == nil:
		waiting.Asked = 1
		return waiting, nil
	case refusedWith(err, "RestoreAlreadyInProgress"):
		return waiting, nil
	case refusedWith(err, "InvalidObjectState"): // not archived any more
		return ready, nil
	}
	return backend.ThawState{}, b.failed(ctx, op, name, "s3:RestoreObject", err)
}

// archived returns which archive an object has to be thawed from before it can be
// read, "" for none, and whether that was asked for.
func archived(head *s3.HeadObjectOutput) (archive string, asked bool) {
	ongoing := strings.Contains(aws.ToString(head.Restore), `ongoing-request="true"`)
	thawed := strings.Contains(aws.ToString(head.Restore), `ongoing-request="false"`)
	switch {
	case thawed:
		return "", true
	case head.ArchiveStatus != "":
		return string(head.ArchiveStatus), ongoing
	case archives[string(head.StorageClass)]:
		return string(head.StorageClass), ongoing
	}
	return "", false
}
