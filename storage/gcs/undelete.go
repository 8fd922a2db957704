package gcs

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// Undelete brings back the objects that have past versions and no live one. In a bucket
// that keeps versions [Backend.Delete] leaves none, so somebody else deleted each. What
// comes back is read, judged and stored anew. In a bucket that keeps no versions it does
// nothing.
func (b *Backend) Undelete(ctx context.Context, o backend.UndeleteOptions) error {
	keeps, err := b.versioned(ctx, "look for deleted versions", "")
	if err != nil || !keeps {
		return err
	}
	return objects.Past{Hidden: b.hiddenNames, Versions: b.past, Read: b.readVersion, Kept: b.versionKept, Put: b.Put, Clock: b.clock}.Undelete(ctx, o)
}

// hiddenNames returns the objects without a live version: one request for each thousand
// versions.
func (b *Backend) hiddenNames(ctx context.Context) ([]string, error) {
	const op = "look for deleted versions"
	query, err := b.query("", "Name", "Generation", "Deleted")
	if err != nil {
		return nil, &backend.Error{Op: op, Object: b.Location(), Err: err}
	}
	query.Versions = true
	live := map[string]bool{}
	err = b.pages(ctx, op, "", query, func(attrs *storage.ObjectAttrs) error {
		if name, ok := strings.CutPrefix(attrs.Name, b.prefix); ok && backend.ValidName(name) {
			live[name] = live[name] || attrs.Deleted.IsZero()
		}
		return nil
	})
	var names []string
	for name, is := range live {
		if !is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// past returns the versions of an object, the newest first.
func (b *Backend) past(ctx context.Context, name string) ([]objects.Version, error) {
	const op = "look for versions of"
	query, err := b.query(name, "Name", "Generation", "Size")
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: err}
	}
	query.Versions = true
	query.EndOffset = b.prefix + name + "\x00" // the next name there could be
	var found []*storage.ObjectAttrs
	err = b.pages(ctx, op, name, query, func(attrs *storage.ObjectAttrs) error {
		if attrs.Name == b.prefix+name {
			found = append(found, attrs)
		}
		return nil
	})
	slices.SortFunc(found, func(x, y *storage.ObjectAttrs) int { return int(min(1, max(-1, y.Generation-x.Generation))) })
	past := make([]objects.Version, len(found))
	for i, attrs := range found {
		past[i] = objects.Version{ID: strconv.FormatInt(attrs.Generation, 10), Size: attrs.Size}
	}
	return past, err
}

// readVersion opens a version.
func (b *Backend) readVersion(ctx context.Context, name string, v objects.Version) (io.ReadCloser, error) {
	const op = "read a version of"
	object, err := b.version(op, name, v)
	if err != nil {
		return nil, err
	}
	body, err := b.download(ctx, object, objects.Span{Length: -1})
	if err != nil {
		return nil, b.failed(ctx, op, name, reader, err)
	}
	promise, err := arriving(body.Attrs, objects.Span{Length: -1}, body.Remain())
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, body.Close())}
	}
	promise.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
	return objects.Body(body, promise), nil
}

// versionKept asks until when the retention of a version itself lasts.
func (b *Backend) versionKept(ctx context.Context, name string, v objects.Version) (time.Time, error) {
	const op = "look at the retention of"
	if b.config.Retention == "" {
		return time.Time{}, nil
	}
	object, err := b.version(op, name, v)
	if err != nil {
		return time.Time{}, err
	}
	attrs, err := object.Attrs(ctx)
	if err != nil {
		return time.Time{}, b.failed(ctx, op, name, reader, err)
	}
	return ownRetention(attrs), nil
}

func (b *Backend) version(op, name string, v objects.Version) (*storage.ObjectHandle, error) {
	generation, err := strconv.ParseInt(v.ID, 10, 64)
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: err}
	}
	return b.object(name).Generation(generation), nil
}
