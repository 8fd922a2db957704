package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cloud.google.com/go/storage"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// What is known of whether the bucket keeps versions.
const (
	notAsked = iota
	keepsVersions
	keepsNone
)

// Delete removes the object. Where the bucket keeps versions, that means all of its
// versions: a delete that names none would only move the object among the past
// ones, freeing nothing, and would succeed even for what is retained.
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
	if keeps {
		return b.deleteVersions(ctx, op, name)
	}
	err = b.object(name).Delete(ctx)
	if err == nil {
		b.exists.Store(true)
		return nil
	}
	return b.gone(b.unseen(ctx, op, name, err))
}

// gone takes a missing object for one that was deleted.
func (b *Backend) gone(err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	return err
}

// versioned tells whether the bucket keeps versions. It asks once; where that is not
// allowed, the answer is yes, which is right for both.
func (b *Backend) versioned(ctx context.Context, op, name string) (bool, error) {
	if known := b.versions.Load(); known != notAsked {
		return known == keepsVersions, nil
	}
	attrs, err := b.bucket.Attrs(ctx)
	if a, ok := answered(err); ok && a.Code == http.StatusForbidden && ctx.Err() == nil {
		b.versions.Store(keepsVersions)
		return true, nil
	}
	if err != nil {
		return false, b.bucketFailed(ctx, op, name, "storage.buckets.get", err)
	}
	b.exists.Store(true)
	known := int32(keepsNone)
	if attrs.VersioningEnabled {
		known = keepsVersions
	}
	b.versions.Store(known)
	return attrs.VersioningEnabled, nil
}

// deleteVersions removes an object with all its versions, or nothing of it when one
// of them is still kept.
func (b *Backend) deleteVersions(ctx context.Context, op, name string) error {
	query, err := b.query(name, "Name", "Generation", "Retention", "RetentionExpirationTime", "TemporaryHold", "EventBasedHold")
	if err != nil {
		return &backend.Error{Op: op, Object: name, Err: err}
	}
	query.Versions = true
	query.EndOffset = b.prefix + name + "\x00" // the next name there could be
	var generations []int64
	now := b.clock.Now()
	err = b.pages(ctx, op, name, query, func(attrs *storage.ObjectAttrs) error {
		if attrs.Name != b.prefix+name {
			return nil
		}
		generations = append(generations, attrs.Generation)
		return kept(op, name, attrs, now)
	})
	if err != nil {
		return err
	}
	for _, generation := range generations {
		err := b.object(name).Generation(generation).Delete(ctx)
		if err != nil {
			if err := b.gone(b.failed(ctx, op, name, deleter, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// kept returns ErrRetained for a version that cannot be deleted yet.
func kept(op, name string, attrs *storage.ObjectAttrs, now time.Time) error {
	why := ""
	switch until := keptUntil(attrs); {
	case attrs.TemporaryHold || attrs.EventBasedHold:
		why = "by a hold"
	case until.After(now):
		why = "until " + until.UTC().Format(time.RFC3339)
	default:
		return nil
	}
	return &backend.Error{Op: op, Object: name, Err: fmt.Errorf("%w: kept %s", backend.ErrRetained, why), Hint: retainedHint}
}
