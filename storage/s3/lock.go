package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// Retain extends how long Object Lock keeps the object's current version. It
// looks first, since not every server refuses to shorten a retention; two that
// extend at once are ordered by those that do. The object's own mode stays.
func (b *Backend) Retain(ctx context.Context, name string, until time.Time) error {
	const op = "retain"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	if b.config.Lock == "" {
		return lockIsOff(op, name)
	}
	until = wholeSeconds(until)
	mode, has, err := b.retention(ctx, op, name, nil)
	if err != nil {
		return err
	}
	if !until.After(has) {
		return nil
	}
	if mode == "" {
		mode = types.ObjectLockRetentionMode(b.mode())
	}
	_, err = b.client.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: &b.config.Bucket, Key: b.key(name),
		Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until},
	})
	if err == nil {
		return nil
	}
	e := b.failed(ctx, op, name, "s3:PutObjectRetention", err)
	if errors.Is(e, backend.ErrRetained) || errors.Is(e, backend.ErrDenied) {
		// Somebody may have extended it further meanwhile.
		if _, has, err := b.retention(ctx, op, name, nil); err == nil && !until.After(has) {
			return nil
		}
	}
	return e
}

// Retained returns until when Object Lock keeps the object's current version.
func (b *Backend) Retained(ctx context.Context, name string) (time.Time, error) {
	const op = "look at the retention of"
	if err := objects.Check(ctx, op, name); err != nil {
		return time.Time{}, err
	}
	_, until, err := b.retention(ctx, op, name, nil)
	return until, err
}

// retention asks for what the head of an object leaves out when it may not be seen; of a
// version when one is named.
func (b *Backend) retention(ctx context.Context, op, name string, version *string) (types.ObjectLockRetentionMode, time.Time, error) {
	out, err := b.client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &b.config.Bucket, Key: b.key(name), VersionId: version})
	switch {
	case err == nil && out.Retention == nil, refusedWith(err, "NoSuchObjectLockConfiguration"):
		return "", time.Time{}, nil
	case lacksLock(err):
		if b.config.Lock == "" {
			return "", time.Time{}, nil
		}
		return "", time.Time{}, b.noLock(op, name)
	case err != nil:
		return "", time.Time{}, b.failed(ctx, op, name, "s3:GetObjectRetention", err)
	}
	return out.Retention.Mode, aws.ToTime(out.Retention.RetainUntilDate), nil
}

// RetentionCheck looks whether lock= is given, and whether the bucket keeps
// versions and has Object Lock.
func (b *Backend) RetentionCheck(ctx context.Context) error {
	const op = "check retention"
	where := b.config.place()
	if ctx.Err() != nil {
		return &backend.Error{Op: op, Object: where, Err: context.Cause(ctx)}
	}
	if b.config.Lock == "" {
		return lockIsOff(op, where)
	}
	versioning, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.config.Bucket})
	if err != nil {
		return b.failed(ctx, op, where, "s3:GetBucketVersioning", err)
	}
	if versioning.Status != types.BucketVersioningStatusEnabled {
		return &backend.Error{
			Op: op, Object: where, Err: fmt.Errorf("retention is %w: the bucket does not keep versions", backend.ErrUnsupported),
			Hint: fmt.Sprintf("aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", b.config.Bucket),
		}
	}
	lock, err := b.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b.config.Bucket})
	if err != nil && !lacksLock(err) {
		return b.failed(ctx, op, where, "s3:GetBucketObjectLockConfiguration", err)
	}
	if err != nil || lock.ObjectLockConfiguration == nil || lock.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled {
		return b.noLock(op, where)
	}
	return nil
}

// mode returns the configured mode as S3 spells it.
func (b *Backend) mode() string { return strings.ToUpper(b.config.Lock) }

// noLock is a bucket without Object Lock.
func (b *Backend) noLock(op, object string) error {
	return &backend.Error{
		Op: op, Object: object, Err: fmt.Errorf("retention is %w: the bucket was made without it", backend.ErrUnsupported),
		Hint: fmt.Sprintf("aws s3api put-object-lock-configuration --bucket %s --object-lock-configuration ObjectLockEnabled=Enabled; "+
			"a server that refuses that needs a new bucket made with --object-lock-enabled-for-bucket", b.config.Bucket),
	}
}

func lockIsOff(op, object string) error {
	return &backend.Error{
		Op: op, Object: object, Err: fmt.Errorf("retention is %w: no mode of Object Lock is configured", backend.ErrUnsupported),
		Hint: "add lock=compliance (nobody can delete before the time) or lock=governance to the storage's URL",
	}
}

// wholeSeconds rounds up: servers keep seconds, and nothing is kept shorter than asked for.
func wholeSeconds(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
