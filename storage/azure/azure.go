// Package azure keeps objects as block blobs in a container of Azure Blob Storage.
// docs/storage-azure.md is for who runs it: parameters, credentials, roles, tiers,
// immutability, and what soft delete and versions mean.
//
// The object a/b is the blob PREFIX/a/b, put whole with one Put Blob that carries its
// MD5, which the service checks and keeps. A blob is durable when that request has
// succeeded, so [Backend.Sync] costs nothing for what this instance put. Nothing outside
// the prefix is listed, read or written. Blobs read whole, and ranges of up to
// 4 MiB, are checked against the service's MD5, longer ranges by their length.
//
// The backend never tries again by itself: what may be tried again is a
// backend.TemporaryError.
//
// Retention is the version-level immutability policy of blobs, and takes a container
// with versions. There, deleting a blob only hides it behind its last version; so
// when retention is switched on in [Config], Delete looks at all versions first,
// answers ErrRetained while one of them is kept, and else removes them all.
package azure

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what the service checks transfers by; nothing relies on it against an attacker
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// parallel is how many requests an operation on many objects makes at a time.
const parallel = 16

// Backend is the part of a container below a prefix.
type Backend struct {
	config Config
	prefix string // "" or ending in a slash
	client *container.Client
	// customer is the key that the caller brings, or nil.
	customer  *blob.CPKInfo
	signature signature // that goes along with requests; none with other credentials
	http      *http.Client
	clock     clock.Clock

	stored    objects.Stored // put here, so durable
	immutable atomic.Bool    // the container was seen to take immutability policies
}

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Retainer = (*Backend)(nil)
	_ backend.Thawer   = (*Backend)(nil)

	_ backend.Undeleter = (*Backend)(nil)
)

// Location returns the container, prefix, account and endpoint as a URL.
func (b *Backend) Location() string { return b.config.place() }

// Close closes the connections that are pooled.
func (b *Backend) Close() error {
	b.http.CloseIdleConnections()
	return nil
}

// Put stores data with one request. It is durable when that has succeeded, o.Sync
// or not.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	const op = "write"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	sum := md5.Sum(data) //nolint:gosec // see the import
	with := &blockblob.UploadOptions{
		TransactionalValidation: blob.TransferValidationTypeMD5(sum[:]),
		Tier:                    b.tier(o, len(data)),
		CPKInfo:                 b.customer,
	}
	if b.config.EncryptionScope != "" {
		with.CPKScopeInfo = &blob.CPKScopeInfo{EncryptionScope: &b.config.EncryptionScope}
	}
	if o.IfAbsent {
		with.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
	}
	needs := contributor
	if !o.RetainUntil.IsZero() {
		if err := b.canRetain(ctx, op, name); err != nil {
			return err
		}
		with.ImmutabilityPolicyMode = b.mode()
		with.ImmutabilityPolicyExpiryTime = to.Ptr(wholeSeconds(o.RetainUntil))
		needs = owner
	}
	answer, err := b.blob(name).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), with)
	if err != nil {
		err = b.failed(ctx, op, name, needs, err)
		if o.IfAbsent && errors.Is(err, backend.ErrRetained) { // what is kept is there
			return &backend.Error{Op: op, Object: name, Err: backend.ErrExists}
		}
		return err
	}
	if answer.ContentMD5 != nil && !bytes.Equal(answer.ContentMD5, sum[:]) {
		err := fmt.Errorf("%w: the server stored bytes of MD5 %x, sent were those of %x", backend.ErrDamaged, answer.ContentMD5, sum)
		return &backend.Error{Op: op, Object: name, Err: &backend.TemporaryError{Err: err}}
	}
	b.stored.Add(name)
	return nil
}

// tier returns the tier for an object; nil leaves it to the account.
func (b *Backend) tier(o backend.PutOptions, size int) *blob.AccessTier {
	tier := b.config.Tier
	if o.Cold && b.config.ColdTier != "" && size >= smallestCold {
		tier = b.config.ColdTier
	}
	if tier == "" {
		return nil
	}
	return to.Ptr(blob.AccessTier(tier))
}

// Stat asks for the blob's properties.
func (b *Backend) Stat(ctx context.Context, name string) (backend.Info, error) {
	const op = "stat"
	if err := objects.Check(ctx, op, name); err != nil {
		return backend.Info{}, err
	}
	p, err := b.properties(ctx, op, name)
	if err != nil {
		return backend.Info{}, err
	}
	return backend.Info{Name: name, Size: *p.ContentLength, ModTime: value(p.LastModified)}, nil
}

// properties asks for what is known of a blob; its length is.
func (b *Backend) properties(ctx context.Context, op, name string) (blob.GetPropertiesResponse, error) {
	p, err := b.blob(name).GetProperties(ctx, &blob.GetPropertiesOptions{CPKInfo: b.customer})
	switch {
	case err != nil:
		return p, b.failed(ctx, op, name, reader, err)
	case directory(p.Metadata):
		return p, &backend.Error{Op: op, Object: name, Err: backend.ErrNotFound}
	case p.ContentLength == nil:
		return p, &backend.Error{Op: op, Object: name, Err: errors.New("the server does not tell the blob's size")}
	}
	return p, nil
}

// directory tells whether a blob is what an account with a hierarchical namespace has
// for a directory.
func directory(metadata map[string]*string) bool {
	for key, text := range metadata {
		if strings.EqualFold(key, "hdi_isfolder") && value(text) == "true" {
			return true
		}
	}
	return false
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
			_, err := b.properties(ctx, op, name)
			return err
		})
	}
	return g.Wait()
}

// errNoList is an answer to a listing that lists nothing, not even an end.
var errNoList = &backend.TemporaryError{Err: errors.New("the server's answer is no listing")}

// List reads the names below the prefix, 5,000 with each request.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	if err := backend.CheckPrefix(op, prefix); err != nil {
		return err
	}
	last := ""
	for pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: to.Ptr(b.prefix + prefix)}); pages.More(); {
		if err := objects.Ended(ctx, op, prefix); err != nil {
			return err
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return b.failed(ctx, op, prefix, reader, err)
		}
		if page.Segment == nil {
			return b.failed(ctx, op, prefix, reader, errNoList)
		}
		for _, item := range page.Segment.BlobItems {
			info, ok := b.info(item)
			if !ok || !strings.HasPrefix(info.Name, prefix) {
				continue // no put could have made it
			}
			if err := fn(info); err != nil {
				return err
			}
		}
		if next := value(page.NextMarker); next != "" && next == last {
			return &backend.Error{Op: op, Object: b.Location(), Err: errors.New("the server's listing does not move on")}
		}
		last = value(page.NextMarker)
	}
	return nil
}

// info returns the object of a listed blob, unless it is none.
func (b *Backend) info(item *container.BlobItem) (backend.Info, bool) {
	name, ok := strings.CutPrefix(value(item.Name), b.prefix)
	p := item.Properties
	if !ok || !backend.ValidName(name) || p == nil || p.ContentLength == nil || value(p.ResourceType) == "directory" {
		return backend.Info{}, false
	}
	return backend.Info{Name: name, Size: *p.ContentLength, ModTime: value(p.LastModified)}, true
}

// Delete removes the blob and its snapshots; with retention switched on its versions
// too, see [Backend.deleteVersions].
func (b *Backend) Delete(ctx context.Context, name string) error {
	const op = "delete"
	if err := objects.Check(ctx, op, name); err != nil {
		return err
	}
	b.stored.Forget(name)
	if b.config.Immutability != "" {
		return b.deleteVersions(ctx, op, name)
	}
	return b.remove(ctx, op, name)
}

// remove deletes the blob as a reader sees it.
func (b *Backend) remove(ctx context.Context, op, name string) error {
	_, err := b.blob(name).Delete(ctx, &blob.DeleteOptions{DeleteSnapshots: to.Ptr(blob.DeleteSnapshotsOptionTypeInclude)})
	if err == nil || missing(err) && ctx.Err() == nil {
		return nil
	}
	return b.failed(ctx, op, name, contributor, err)
}

// blob returns the client of an object.
func (b *Backend) blob(name string) *blockblob.Client {
	return b.client.NewBlockBlobClient(b.prefix + name)
}

// value returns what a pointer of the SDK's points to, or zero.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
