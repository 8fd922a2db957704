package azure

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// Undelete brings back the blobs that have past versions and no current one. With
// immutability= [Backend.Delete] leaves no version, so somebody else deleted each: a
// policy keeps versions, and lets those who may delete hide them. What comes back is
// read, judged and stored anew, under the same policy. Without immutability= it does
// nothing, since a plain delete looks the same, whoever made it.
func (b *Backend) Undelete(ctx context.Context, o backend.UndeleteOptions) error {
	if b.config.Immutability == "" {
		return nil
	}
	return objects.Past{Hidden: b.hiddenNames, Versions: b.past, Read: b.readVersion, Kept: b.versionKept, Put: b.Put, Clock: b.clock}.Undelete(ctx, o)
}

// hiddenNames returns the blobs without a current version: one request for each five
// thousand versions.
func (b *Backend) hiddenNames(ctx context.Context) ([]string, error) {
	const op = "look for deleted versions"
	var names []string
	last, shown := "", true // the name that was listed last, and whether it has a current version
	next := func(name string) {
		if !shown && backend.CheckName(op, last) == nil {
			names = append(names, last)
		}
		last, shown = name, false
	}
	pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: to.Ptr(b.prefix), Include: container.ListBlobsInclude{Versions: true}})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.failed(ctx, op, "", reader, err)
		}
		if page.Segment == nil {
			return nil, b.failed(ctx, op, "", reader, errNoList)
		}
		for _, item := range page.Segment.BlobItems {
			if name := strings.TrimPrefix(value(item.Name), b.prefix); name != last {
				next(name)
			}
			shown = shown || value(item.IsCurrentVersion) || value(item.VersionID) == ""
		}
	}
	next("")
	return names, nil
}

// past returns the versions of a blob, the newest first.
func (b *Backend) past(ctx context.Context, name string) ([]objects.Version, error) {
	versions, _, err := b.versions(ctx, "look for versions of", name)
	if err != nil {
		return nil, err
	}
	past := make([]objects.Version, len(versions))
	for i, v := range versions {
		past[i] = objects.Version{ID: v.id, Size: v.size}
	}
	// An id is the time that the version was made at.
	slices.SortFunc(past, func(x, y objects.Version) int { return strings.Compare(y.ID, x.ID) })
	return past, nil
}

// readVersion opens a version.
func (b *Backend) readVersion(ctx context.Context, name string, v objects.Version) (io.ReadCloser, error) {
	const op = "read a version of"
	one, err := b.blob(name).BlobClient().WithVersionID(v.ID)
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: err}
	}
	answer, err := one.DownloadStream(ctx, &blob.DownloadStreamOptions{CPKInfo: b.customer})
	if err != nil {
		return nil, b.failed(ctx, op, name, reader, err)
	}
	promise, err := arriving(&answer, objects.Span{Length: -1})
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, answer.Body.Close())}
	}
	promise.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
	return objects.Body(answer.Body, promise), nil
}

// versionKept asks until when the policy of a version holds.
func (b *Backend) versionKept(ctx context.Context, name string, v objects.Version) (time.Time, error) {
	const op = "look at retention"
	one, err := b.blob(name).BlobClient().WithVersionID(v.ID)
	if err != nil {
		return time.Time{}, &backend.Error{Op: op, Object: name, Err: err}
	}
	p, err := one.GetProperties(ctx, &blob.GetPropertiesOptions{CPKInfo: b.customer})
	if err != nil {
		return time.Time{}, b.failed(ctx, op, name, reader, err)
	}
	return value(p.ImmutabilityPolicyExpiresOn), nil
}
