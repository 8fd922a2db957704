package s3

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"mahavishnu/storage/backend"
)

// Undelete takes away the delete markers that hide wanted objects, whose newest
// version is there again then. [Backend.Delete] leaves no marker above a version, so each
// is somebody else's: Object Lock keeps versions, and lets anybody hide them. Without
// lock= it does nothing.
func (b *Backend) Undelete(ctx context.Context, want func(name string) bool, tell func(name string)) error {
	if b.config.Lock == "" {
		return nil
	}
	hidden, err := b.hiddenNames(ctx)
	if err != nil {
		return err
	}
	var telling sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range hidden {
		if !want(name) {
			continue
		}
		group.Go(func() error {
			back, err := b.unhide(ctx, name)
			if back {
				telling.Lock()
				defer telling.Unlock()
				tell(name)
			}
			return err
		})
	}
	return group.Wait()
}

// hiddenNames returns the objects whose newest version is a marker: one request for each
// thousand versions.
func (b *Backend) hiddenNames(ctx context.Context) ([]string, error) {
	const op = "look for deleted versions"
	in := &s3.ListObjectVersionsInput{Bucket: &b.config.Bucket, Prefix: &b.prefix}
	var names []string
	for {
		page, err := b.client.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, b.failed(ctx, op, "", "s3:ListBucketVersions", err)
		}
		for _, m := range page.DeleteMarkers {
			name := strings.TrimPrefix(aws.ToString(m.Key), b.prefix)
			if aws.ToBool(m.IsLatest) && backend.CheckName(op, name) == nil {
				names = append(names, name)
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return names, nil
		}
		if page.NextKeyMarker == nil || (aws.ToString(page.NextKeyMarker) == aws.ToString(in.KeyMarker) &&
			aws.ToString(page.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker)) {
			return nil, &backend.Error{Op: op, Object: b.config.place(), Err: errors.New("the server's listing of versions does not move on")}
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
}

// unhide takes away an object's markers when a version lies below.
func (b *Backend) unhide(ctx context.Context, name string) (bool, error) {
	versions, err := b.history(ctx, "look for versions of", name)
	if err != nil {
		return false, err
	}
	below := false
	for _, v := range versions {
		below = below || !v.marker
	}
	if !below {
		return false, nil
	}
	for _, v := range versions {
		if !v.marker {
			continue
		}
		if err := b.deleteVersion(ctx, name, v); err != nil {
			return false, err
		}
	}
	return true, nil
}
