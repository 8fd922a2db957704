package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// What is known of whether the bucket keeps versions.
const (
	notAsked = iota
	keepsVersions
	keepsNone
)

// Delete removes the object. Where the bucket keeps versions, that means all of
// its versions: a delete that names none would only hide the object behind a
// marker, freeing nothing, and would succeed even for what Object Lock keeps.
func (b *Backend) Delete(ctx context.Context, name string) error {
	const op = "delete"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	b.stored.Forget(name)
	keeps, err := b.versioned(ctx, op, name)
	if err != nil {
		return err
	}
	if !keeps {
		out, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.config.Bucket, Key: b.key(name)})
		if err != nil {
			return gone(b.failed(ctx, op, name, "s3:DeleteObject", err))
		}
		b.exists.Store(true)
		if !aws.ToBool(out.DeleteMarker) && aws.ToString(out.VersionId) == "" {
			return nil
		}
		b.versions.Store(keepsVersions) // switched on since: what was made is a marker
	}
	return b.deleteVersions(ctx, name)
}

// versioned tells whether the bucket keeps versions, or did once. It asks once;
// where that is not allowed, the answer is yes, which is right for both.
func (b *Backend) versioned(ctx context.Context, op, name string) (bool, error) {
	if known := b.versions.Load(); known != notAsked {
		return known == keepsVersions, nil
	}
	out, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.config.Bucket})
	if err != nil {
		e := b.failed(ctx, op, name, "s3:GetBucketVersioning", err)
		switch {
		case errors.Is(e, backend.ErrDenied):
			return true, nil
		case errors.Is(e, backend.ErrUnsupported):
			b.versions.Store(keepsNone)
			return false, nil
		}
		return false, e
	}
	if out.Status == "" {
		b.versions.Store(keepsNone)
		return false, nil
	}
	b.versions.Store(keepsVersions)
	return true, nil
}

// version is one version of an object, or a marker that hides the older ones.
type version struct {
	id     string
	latest bool
	marker bool
	stored time.Time
	size   int64
}

// deleteVersions deletes the newest version last: whatever happens on the way,
// the object is what it was or gone, and no older version shows up in its place.
func (b *Backend) deleteVersions(ctx context.Context, name string) error {
	const op = "delete"
	versions, err := b.history(ctx, op, name)
	if err != nil {
		return err
	}
	var newest []version
	for _, v := range versions {
		if v.latest {
			newest = append(newest, v)
			continue
		}
		if err := b.deleteVersion(ctx, name, v); err != nil {
			return err
		}
	}
	for _, v := range newest {
		if err := b.deleteVersion(ctx, name, v); err != nil {
			return err
		}
	}
	return nil
}

// history returns the versions of one object. Its key sorts before all others that
// begin with it, so one request tells them unless there are a thousand.
func (b *Backend) history(ctx context.Context, op, name string) ([]version, error) {
	key := *b.key(name)
	in := &s3.ListObjectVersionsInput{Bucket: &b.config.Bucket, Prefix: &key}
	var versions []version
	for {
		page, err := b.client.ListObjectVersions(ctx, in)
		if err != nil {
			needs := "s3:ListBucketVersions"
			if b.versions.Load() == notAsked {
				needs = "s3:GetBucketVersioning" // which may spare the other
			}
			return nil, b.failed(ctx, op, name, needs, err)
		}
		b.exists.Store(true)
		others := false
		for _, v := range page.Versions {
			if aws.ToString(v.Key) != key {
				others = true
				continue
			}
			versions = append(versions, version{
				id: aws.ToString(v.VersionId), latest: aws.ToBool(v.IsLatest), stored: aws.ToTime(v.LastModified), size: aws.ToInt64(v.Size),
			})
		}
		for _, m := range page.DeleteMarkers {
			if aws.ToString(m.Key) != key {
				others = true
				continue
			}
			versions = append(versions, version{
				id: aws.ToString(m.VersionId), latest: aws.ToBool(m.IsLatest), marker: true, stored: aws.ToTime(m.LastModified),
			})
		}
		if others || !aws.ToBool(page.IsTruncated) {
			return versions, nil
		}
		if page.NextKeyMarker == nil || (aws.ToString(page.NextKeyMarker) == aws.ToString(in.KeyMarker) &&
			aws.ToString(page.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker)) {
			return nil, &backend.Error{Op: op, Object: name, Err: errors.New("the server's listing of versions does not move on")}
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
}

// deleteVersion deletes one version. The server decides whether that is allowed,
// by its own clock and rules; only when it refuses is it asked why.
func (b *Backend) deleteVersion(ctx context.Context, name string, v version) error {
	const op = "delete"
	in := &s3.DeleteObjectInput{Bucket: &b.config.Bucket, Key: b.key(name)}
	if v.id != "" {
		in.VersionId = &v.id
	}
	_, err := b.client.DeleteObject(ctx, in)
	if err == nil {
		return nil
	}
	e := b.failed(ctx, op, name, "s3:DeleteObject and s3:DeleteObjectVersion", err)
	if errors.Is(e, backend.ErrDenied) {
		if why := b.keptBecause(ctx, name, v.id); why != "" {
			e.Err, e.Hint = fmt.Errorf("%w: %s", backend.ErrRetained, why), ""
		}
	}
	return gone(e)
}

// keptBecause says why Object Lock keeps a version; "" when it does not, or when
// that cannot be seen.
func (b *Backend) keptBecause(ctx context.Context, name, id string) string {
	in := &s3.HeadObjectInput{Bucket: &b.config.Bucket, Key: b.key(name)}
	if id != "" {
		in.VersionId = &id
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = b.customer.headers()
	head, err := b.client.HeadObject(ctx, in)
	switch {
	case err != nil:
		return ""
	case head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn:
		return "it is under a legal hold"
	case head.ObjectLockRetainUntilDate != nil && head.ObjectLockRetainUntilDate.After(b.clock.Now()):
		return "until " + head.ObjectLockRetainUntilDate.UTC().Format(time.RFC3339)
	}
	return ""
}

// gone takes an error that says there is nothing to delete for what it is.
func gone(e *backend.Error) error {
	if errors.Is(e, backend.ErrNotFound) {
		return nil
	}
	return e
}

// refusedWith tells whether the server answered with one of the codes.
func refusedWith(err error, codes ...string) bool {
	a, ok := answered(err)
	return ok && slices.Contains(codes, a.code)
}
