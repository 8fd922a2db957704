package s3

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// Undelete brings back the objects that are hidden under a delete marker. [Backend.Delete]
// leaves no marker above a version, so each is somebody else's: Object Lock keeps
// versions, and lets anybody hide them. Where the newest version is the one that comes
// back, its markers are taken away; an older one is stored anew. Without lock= it does
// nothing.
func (b *Backend) Undelete(ctx context.Context, o backend.UndeleteOptions) error {
	if b.config.Lock == "" {
		return nil
	}
	return objects.Past{
		Hidden: b.hiddenNames, Versions: b.past, Read: b.readVersion, Kept: b.versionKept, Uncover: b.uncover, Put: b.Put, Clock: b.clock,
	}.Undelete(ctx, o)
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

// past returns the versions of an object that are no markers, the newest first.
func (b *Backend) past(ctx context.Context, name string) ([]objects.Version, error) {
	all, err := b.history(ctx, "look for versions of", name)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(x, y version) int { return y.stored.Compare(x.stored) })
	var past []objects.Version
	for _, v := range all {
		if !v.marker {
			past = append(past, objects.Version{ID: v.id, Size: v.size})
		}
	}
	return past, nil
}

// readVersion opens a version.
func (b *Backend) readVersion(ctx context.Context, name string, v objects.Version) (io.ReadCloser, error) {
	in := b.asking(name, 0, -1)
	in.VersionId = &v.ID
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return nil, b.failed(ctx, "read a version of", name, "s3:GetObjectVersion", err)
	}
	size, err := arriving(out, name, 0, -1)
	if err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	// Without an ETag: it cannot be resumed, which would be with the newest version.
	return struct{ io.ReadCloser }{&body{ctx: ctx, b: b, name: name, from: out.Body, left: size, sum: promised(out)}}, nil
}

// versionKept asks until when Object Lock keeps a version.
func (b *Backend) versionKept(ctx context.Context, name string, v objects.Version) (time.Time, error) {
	_, until, err := b.retention(ctx, "look at the retention of", name, &v.ID)
	return until, err
}

// uncover takes away an object's markers.
func (b *Backend) uncover(ctx context.Context, name string) error {
	versions, err := b.history(ctx, "look for versions of", name)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if !v.marker {
			continue
		}
		if err := b.deleteVersion(ctx, name, v); err != nil {
			return err
		}
	}
	return nil
}
