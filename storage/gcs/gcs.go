// Package gcs keeps objects in a bucket of Google Cloud Storage. docs/storage-gcs.md is
// for who runs it: parameters, credentials, roles, classes, retention, and what
// soft delete and versions mean.
//
// The object a/b is the object PREFIX/a/b of the bucket, put whole with one request that
// carries its CRC32C, which the service checks and keeps. It is durable when that
// request has succeeded, so [Backend.Sync] costs nothing for what this instance put.
// Nothing outside the prefix is listed, read or written. Objects read whole are
// checked against the service's CRC32C, ranges by their length.
//
// The backend never tries again by itself, nor does the SDK below it: what may be
// tried again is a backend.TemporaryError. In a bucket that keeps versions, Delete
// removes all versions of the object, so that its bytes are really gone; one that is
// retained stays as it was, and the answer is ErrRetained.
//
// All storage classes, ARCHIVE too, are read at once, so there is nothing to thaw.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/iterator"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// parallel is how many requests an operation on many objects makes at a time.
const parallel = 16

// pageSize is how many objects a request lists: the most that the service does.
const pageSize = 1000

// Backend is the part of a bucket below a prefix.
type Backend struct {
	config Config
	prefix string // "" or ending in a slash
	client *storage.Client
	bucket *storage.BucketHandle
	key    []byte // that the caller brings, or nil
	http   *http.Client
	clock  clock.Clock

	stored   objects.Stored // put here, so durable
	exists   atomic.Bool    // the bucket was seen to be there
	versions atomic.Int32   // whether the bucket keeps versions: see keepsVersions
}

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Retainer = (*Backend)(nil)

	_ backend.Undeleter = (*Backend)(nil)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Location returns the bucket, prefix and endpoint as a URL.
func (b *Backend) Location() string { return b.config.place() }

// Close closes the connections that are pooled.
func (b *Backend) Close() error {
	err := b.client.Close()
	b.http.CloseIdleConnections()
	return err
}

// Put stores data with one request. It is durable when that has succeeded, o.Sync
// or not.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	const op = "write"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	if !o.RetainUntil.IsZero() && b.config.Retention == "" {
		return retentionIsOff(op, name)
	}
	object := b.object(name)
	if o.IfAbsent {
		object = object.If(storage.Conditions{DoesNotExist: true})
	}
	sum := crc32.Checksum(data, castagnoli)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := object.NewWriter(ctx)
	w.ChunkSize = 0 // one request, from the caller's bytes
	w.ContentType = "application/octet-stream"
	w.CRC32C, w.SendCRC32C = sum, true
	w.StorageClass = b.class(o)
	w.KMSKeyName = b.config.KMSKey
	needs := "storage.objects.create, and storage.objects.delete to replace"
	if !o.RetainUntil.IsZero() {
		w.Retention = &storage.ObjectRetention{Mode: b.mode(), RetainUntil: wholeSeconds(o.RetainUntil)}
		needs += ", and storage.objects.setRetention"
	}
	_, err := w.Write(data)
	if cerr := w.Close(); cerr != nil {
		err = cerr // which says more
	}
	if err != nil {
		err = b.bucketFailed(ctx, op, name, needs, err)
		if o.IfAbsent && errors.Is(err, backend.ErrRetained) { // what is kept is there
			return &backend.Error{Op: op, Object: name, Err: backend.ErrExists}
		}
		return b.lacking(op, name, err)
	}
	got := w.Attrs()
	if got.CRC32C != 0 && got.CRC32C != sum || got.Size != int64(len(data)) {
		err := fmt.Errorf("%w: the server stored %d bytes of CRC32C %08x, sent were %d of %08x", backend.ErrDamaged, got.Size, got.CRC32C, len(data), sum)
		return &backend.Error{Op: op, Object: name, Err: &backend.TemporaryError{Err: err}}
	}
	if w.Retention != nil && ownRetention(got).Before(w.Retention.RetainUntil) {
		return b.noRetention(op, name) // stored, and not kept: what took it is no store that retains
	}
	b.exists.Store(true)
	b.stored.Add(name)
	return nil
}

// class returns the storage class for an object; "" leaves it to the bucket.
func (b *Backend) class(o backend.PutOptions) string {
	if o.Cold && b.config.ColdClass != "" {
		return b.config.ColdClass
	}
	return b.config.Class
}

// Stat asks for what is known of the object.
func (b *Backend) Stat(ctx context.Context, name string) (backend.Info, error) {
	const op = "stat"
	if err := objects.Check(ctx, op, name); err != nil {
		return backend.Info{}, err
	}
	attrs, err := b.attrs(ctx, op, name)
	if err != nil {
		return backend.Info{}, err
	}
	return backend.Info{Name: name, Size: attrs.Size, ModTime: created(attrs)}, nil
}

func (b *Backend) attrs(ctx context.Context, op, name string) (*storage.ObjectAttrs, error) {
	attrs, err := b.object(name).Attrs(ctx)
	if err != nil {
		return nil, b.unseen(ctx, op, name, err)
	}
	b.exists.Store(true)
	return attrs, nil
}

// created is when an object was put; what is only known of it may change later.
func created(attrs *storage.ObjectAttrs) time.Time {
	if attrs.Created.IsZero() {
		return attrs.Updated
	}
	return attrs.Created
}

// Sync has nothing to do for objects this instance put; of others it looks whether
// they are there.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	const op = "sync"
	for _, name := range names {
		if err := objects.Check(ctx, op, name); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range b.stored.Take(names) {
		g.Go(func() error {
			_, err := b.attrs(ctx, op, name)
			return err
		})
	}
	return g.Wait()
}

// List reads the names below the prefix, a thousand with each request.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	if err := backend.CheckPrefix(op, prefix); err != nil {
		return err
	}
	query, err := b.query(prefix, "Name", "Size", "Created", "Updated")
	if err != nil {
		return &backend.Error{Op: op, Object: prefix, Err: err}
	}
	return b.pages(ctx, op, prefix, query, func(attrs *storage.ObjectAttrs) error {
		name, ok := strings.CutPrefix(attrs.Name, b.prefix)
		if !ok || !backend.ValidName(name) || !strings.HasPrefix(name, prefix) {
			return nil // no put could have made it
		}
		return fn(backend.Info{Name: name, Size: attrs.Size, ModTime: created(attrs)})
	})
}

// query asks for some of what is known of the objects that begin so.
func (b *Backend) query(prefix string, attributes ...string) (*storage.Query, error) {
	q := &storage.Query{Prefix: b.prefix + prefix, Projection: storage.ProjectionNoACL}
	return q, q.SetAttrSelection(attributes)
}

// pages calls fn for all that a query lists.
func (b *Backend) pages(ctx context.Context, op, object string, query *storage.Query, fn func(*storage.ObjectAttrs) error) error {
	it := b.bucket.Objects(context.WithValue(ctx, listKey{}, &listing{}), query)
	it.PageInfo().MaxSize = pageSize
	for {
		attrs, err := it.Next()
		if errors.Is(err, iterator.Done) {
			b.exists.Store(true)
			return nil
		}
		if err != nil {
			return b.bucketFailed(ctx, op, object, lister, err)
		}
		if err := fn(attrs); err != nil {
			return err
		}
	}
}

// object returns the SDK's handle of an object.
func (b *Backend) object(name string) *storage.ObjectHandle {
	handle := b.bucket.Object(b.prefix + name)
	if b.key != nil {
		handle = handle.Key(b.key)
	}
	return handle
}
