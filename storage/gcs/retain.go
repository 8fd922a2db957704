package gcs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/storage"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// tries is how often Retain looks again when somebody else extends the same object's
// retention at the same time.
const tries = 3

// mode returns the configured mode as the service spells it; "" when retention is
// switched off.
func (b *Backend) mode() string {
	switch b.config.Retention {
	case "locked":
		return "Locked"
	case "unlocked":
		return "Unlocked"
	}
	return ""
}

// Retain extends how long the object is kept. The object's own mode stays.
func (b *Backend) Retain(ctx context.Context, name string, until time.Time) error {
	const op = "retain"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	if b.config.Retention == "" {
		return retentionIsOff(op, name)
	}
	until = wholeSeconds(until)
	for try := 1; ; try++ {
		attrs, err := b.attrs(ctx, op, name)
		if err != nil {
			return err
		}
		if !until.After(ownRetention(attrs)) {
			return nil
		}
		mode := b.mode()
		if attrs.Retention != nil && attrs.Retention.Mode != "" {
			mode = attrs.Retention.Mode
		}
		same := storage.Conditions{GenerationMatch: attrs.Generation, MetagenerationMatch: attrs.Metageneration}
		_, err = b.object(name).If(same).Update(ctx, storage.ObjectAttrsToUpdate{
			Retention: &storage.ObjectRetention{Mode: mode, RetainUntil: until},
		})
		if err == nil {
			return nil
		}
		failed := b.failed(ctx, op, name, "storage.objects.setRetention and storage.objects.update", err)
		switch {
		case !errors.Is(failed, backend.ErrExists): // which is a condition that does not hold
			return b.lacking(op, name, failed)
		case try == tries:
			return &backend.Error{Op: op, Object: name, Err: &backend.TemporaryError{Err: errors.New("the object changes all the time")}}
		}
	}
}

// lacking turns the service's refusal to retain anything in this bucket into
// ErrUnsupported.
func (b *Backend) lacking(op, name string, err error) error {
	text := strings.ToLower(err.Error())
	if !errors.Is(err, backend.ErrRetained) && strings.Contains(text, "retention") && strings.Contains(text, "enabled") {
		return b.noRetention(op, name)
	}
	return err
}

// Retained returns until when the object's own retention and that of the bucket keep
// it. A hold has no end and is not told here; deleting is refused by it all the same.
func (b *Backend) Retained(ctx context.Context, name string) (time.Time, error) {
	const op = "look at the retention of"
	if err := objects.Check(ctx, op, name); err != nil {
		return time.Time{}, err
	}
	attrs, err := b.attrs(ctx, op, name)
	if err != nil {
		return time.Time{}, err
	}
	return keptUntil(attrs), nil
}

// ownRetention is until when the retention of an object itself lasts.
func ownRetention(attrs *storage.ObjectAttrs) time.Time {
	if attrs.Retention == nil {
		return time.Time{}
	}
	return attrs.Retention.RetainUntil
}

// keptUntil is until when an object's retention or its bucket's policy lasts.
func keptUntil(attrs *storage.ObjectAttrs) time.Time {
	if own := ownRetention(attrs); own.After(attrs.RetentionExpirationTime) {
		return own
	}
	return attrs.RetentionExpirationTime
}

// RetentionCheck looks whether retention= is given, and whether the bucket lets objects
// be retained.
func (b *Backend) RetentionCheck(ctx context.Context) error {
	const op = "check retention"
	where := b.Location()
	if err := objects.Ended(ctx, op, where); err != nil {
		return err
	}
	if b.config.Retention == "" {
		return retentionIsOff(op, where)
	}
	attrs, err := b.bucket.Attrs(ctx)
	if err != nil {
		return b.bucketFailed(ctx, op, where, "storage.buckets.get", err)
	}
	if !strings.EqualFold(attrs.ObjectRetentionMode, "Enabled") {
		return b.noRetention(op, where)
	}
	return nil
}

// noRetention is a bucket without object retention.
func (b *Backend) noRetention(op, object string) error {
	return &backend.Error{
		Op: op, Object: object, Err: fmt.Errorf("object retention is %w: the bucket was made without it", backend.ErrUnsupported),
		Hint: "in the console, the bucket's protection tab switches object retention on; a new bucket gets it by " +
			"gcloud storage buckets create gs://" + b.config.Bucket + " --enable-per-object-retention",
	}
}

func retentionIsOff(op, object string) error {
	return &backend.Error{
		Op: op, Object: object, Err: fmt.Errorf("retention is %w: no mode of it is configured", backend.ErrUnsupported),
		Hint: "add retention=locked (nobody can delete before the time) or retention=unlocked to the storage's URL",
	}
}

// wholeSeconds rounds up: the service is told seconds, and nothing is kept shorter
// than asked for.
func wholeSeconds(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
