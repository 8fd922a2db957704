// Package s3 keeps objects in a bucket of AWS S3 or of a server that speaks its
// protocol. docs/storage-s3.md is for who runs it (parameters, permissions,
// Object Lock, archive classes); DESIGN.md beside this file says why each request
// is made, and how many there are.
//
// The object a/b is the key PREFIX/a/b, put whole with one PutObject that carries
// its CRC-32C. An object is durable when that request has succeeded, so
// [Backend.Sync] costs nothing for what this instance put. Nothing outside the
// prefix is listed, read or written.
//
// The backend never tries again by itself: what may be tried again is a
// backend.TemporaryError. In a bucket that keeps versions, Delete removes all
// versions of the object, so that its bytes are really gone; one that Object Lock
// keeps stays as it was, and the answer is ErrRetained.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// parallel is how many requests an operation on many objects makes at a time.
const parallel = 16

// largestProbe is the size of an object, in bytes, up to which a put is repeated to
// see whether the server honours its condition.
const largestProbe = 64 << 10

// Backend is the part of a bucket below a prefix.
type Backend struct {
	config Config
	prefix string // "" or ending in a slash
	client *s3.Client
	http   *http.Client
	creds  *identity
	clock  clock.Clock

	customer *customerKey   // nil: none
	stored   objects.Stored // put here, so durable
	probed   atomic.Bool    // the server was asked whether it honours conditions
	exists   atomic.Bool    // the bucket was seen to be there
	versions atomic.Int32   // whether the bucket keeps versions: see keepsVersions
}

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Retainer = (*Backend)(nil)
	_ backend.Thawer   = (*Backend)(nil)

	_ backend.Undeleter = (*Backend)(nil)
)

// Location returns the bucket, prefix, endpoint and region as a URL.
func (b *Backend) Location() string { return b.config.place() }

// Close closes the connections that are pooled.
func (b *Backend) Close() error {
	b.http.CloseIdleConnections()
	return nil
}

// Put stores data with one request. It is durable when that has succeeded,
// o.Sync or not.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	const op = "write"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	sum := checksum(data)
	in := &s3.PutObjectInput{
		Bucket: &b.config.Bucket, Key: b.key(name),
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumCRC32C: &sum,
		StorageClass: b.class(o, len(data)),
	}
	b.encrypt(in)
	if o.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	needs := "s3:PutObject"
	if !o.RetainUntil.IsZero() {
		if b.config.Lock == "" {
			return lockIsOff(op, name)
		}
		in.ObjectLockMode = types.ObjectLockMode(b.mode())
		in.ObjectLockRetainUntilDate = aws.Time(wholeSeconds(o.RetainUntil))
		needs = "s3:PutObject and s3:PutObjectRetention"
	}
	out, err := b.client.PutObject(ctx, in)
	switch {
	case err != nil && lacksLock(err):
		return b.noLock(op, name)
	case err != nil:
		return b.failed(ctx, op, name, needs, err)
	}
	if got := aws.ToString(out.ChecksumCRC32C); got != "" && got != sum {
		err := fmt.Errorf("%w: the server stored bytes of CRC-32C %s, sent were those of %s", backend.ErrDamaged, got, sum)
		return &backend.Error{Op: op, Object: name, Err: &backend.TemporaryError{Err: err}}
	}
	b.exists.Store(true)
	b.stored.Add(name)
	if o.IfAbsent {
		return b.keepsCondition(ctx, name, in, data)
	}
	return nil
}

// keepsCondition repeats the first small conditional put that succeeds, which now has
// to be refused. A server that takes no notice of the condition would let two
// programs overwrite each other's work, and nothing else would tell.
func (b *Backend) keepsCondition(ctx context.Context, name string, in *s3.PutObjectInput, data []byte) error {
	if len(data) > largestProbe || !b.probed.CompareAndSwap(false, true) {
		return nil
	}
	in.Body = bytes.NewReader(data)
	_, err := b.client.PutObject(ctx, in)
	if err != nil {
		// Refused as it has to be, or not told: then another put may tell.
		b.probed.Store(refusedWith(err, "PreconditionFailed"))
		return nil
	}
	return &backend.Error{
		Op: "write", Object: name, Err: fmt.Errorf("conditional puts are %w: the server replaced an object when told not to", backend.ErrUnsupported),
		Hint: "use a server that honours If-None-Match: without it, backups that run at the same time destroy each other",
	}
}

// class returns the storage class for an object; "" leaves it to the bucket.
func (b *Backend) class(o backend.PutOptions, size int) types.StorageClass {
	if o.Cold && b.config.ColdClass != "" && size >= smallestCold {
		return types.StorageClass(b.config.ColdClass)
	}
	return types.StorageClass(b.config.Class)
}

// encrypt asks for encryption at the server. A bucket key spares a request to the
// KMS for every object.
func (b *Backend) encrypt(in *s3.PutObjectInput) {
	switch b.config.SSE {
	case "s3":
		in.ServerSideEncryption = types.ServerSideEncryptionAes256
	case "kms":
		in.ServerSideEncryption = types.ServerSideEncryptionAwsKms
		in.BucketKeyEnabled = aws.Bool(true)
	case "kms-dsse":
		in.ServerSideEncryption = types.ServerSideEncryptionAwsKmsDsse
	}
	if b.config.KMSKey != "" {
		in.SSEKMSKeyId = &b.config.KMSKey
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = b.customer.headers()
}

// Stat asks for the object's head.
func (b *Backend) Stat(ctx context.Context, name string) (backend.Info, error) {
	const op = "stat"
	if err := objects.Check(ctx, op, name); err != nil {
		return backend.Info{}, err
	}
	head, err := b.head(ctx, op, name)
	if err != nil {
		return backend.Info{}, err
	}
	return backend.Info{Name: name, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}, nil
}

func (b *Backend) head(ctx context.Context, op, name string) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{Bucket: &b.config.Bucket, Key: b.key(name)}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = b.customer.headers()
	head, err := b.client.HeadObject(ctx, in)
	switch {
	case err != nil:
		return nil, b.unseen(ctx, op, name, err)
	case head.ContentLength == nil:
		return nil, &backend.Error{Op: op, Object: name, Err: errors.New("the server does not tell the object's size")}
	}
	b.exists.Store(true)
	return head, nil
}

// Sync has nothing to do for objects this instance put; of others it looks
// whether they are there.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	const op = "sync"
	for _, name := range names {
		if err := objects.Check(ctx, op, name); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return &backend.Error{Op: op, Object: b.config.place(), Err: context.Cause(ctx)}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range b.stored.Take(names) {
		g.Go(func() error {
			_, err := b.head(gctx, op, name)
			return err
		})
	}
	return g.Wait()
}

// List reads the keys below the prefix, a thousand with each request.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	if err := backend.CheckPrefix(op, prefix); err != nil {
		return err
	}
	in := &s3.ListObjectsV2Input{Bucket: &b.config.Bucket, Prefix: aws.String(b.prefix + prefix), EncodingType: types.EncodingTypeUrl}
	for {
		page, err := b.client.ListObjectsV2(ctx, in)
		if err != nil {
			return b.failed(ctx, op, prefix, "s3:ListBucket", err)
		}
		b.exists.Store(true)
		for _, object := range page.Contents {
			name, ok := b.name(object.Key, page.EncodingType)
			if !ok || !strings.HasPrefix(name, prefix) {
				continue // no put could have made it
			}
			if err := fn(backend.Info{Name: name, Size: aws.ToInt64(object.Size), ModTime: aws.ToTime(object.LastModified)}); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		if next := aws.ToString(page.NextContinuationToken); next == "" || next == aws.ToString(in.ContinuationToken) {
			return &backend.Error{Op: op, Object: b.config.place(), Err: errors.New("the server's listing does not move on")}
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

// key returns the key of an object; name the object of a key, unless it is none.
func (b *Backend) key(name string) *string { return aws.String(b.prefix + name) }

func (b *Backend) name(key *string, encoding types.EncodingType) (string, bool) {
	text := aws.ToString(key)
	if encoding == types.EncodingTypeUrl {
		plain, err := url.QueryUnescape(text)
		if err != nil {
			return "", false
		}
		text = plain
	}
	name, ok := strings.CutPrefix(text, b.prefix)
	return name, ok && backend.ValidName(name)
}
