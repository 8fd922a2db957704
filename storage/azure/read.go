package azure

import (
	"context"
	"crypto/md5" //nolint:gosec // what the service keeps of blobs; nothing relies on it against an attacker
	"errors"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// longestSummed is the longest range that the service makes a checksum of.
const longestSummed = 4 << 20

// errReplaced means that what is left to read is another blob's.
var errReplaced = errors.New("the blob was replaced while it was read")

// Get reads a range with one request; one that is empty, with a look at the size.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "read"
	if err := objects.Check(ctx, op, name); err != nil {
		return nil, err
	}
	span := objects.Span{Offset: offset, Length: length}
	if span.Look() {
		return b.look(ctx, op, name, span)
	}
	answer, err := b.download(ctx, name, span, nil)
	if err != nil {
		failed := b.failed(ctx, op, name, reader, err)
		if length < 0 && errors.Is(failed, backend.ErrShort) {
			return b.look(ctx, op, name, span) // "to the end" may begin there
		}
		return nil, failed
	}
	if length < 0 && offset > 0 && value(answer.ContentLength) == 0 {
		_ = answer.Body.Close() // of no bytes: a server that sends nothing in place of refusing
		return b.look(ctx, op, name, span)
	}
	promise, err := arriving(&answer, span)
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, answer.Body.Close())}
	}
	promise.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
	if answer.ETag != nil {
		promise.Again = b.again(name, offset, *answer.ETag)
	}
	return objects.Body(answer.Body, promise), nil
}

// download asks for a range, of the blob with an ETag when one is named.
func (b *Backend) download(ctx context.Context, name string, span objects.Span, tag *azcore.ETag) (blob.DownloadStreamResponse, error) {
	with := &blob.DownloadStreamOptions{CPKInfo: b.customer}
	if !span.Whole() {
		with.Range = blob.HTTPRange{Offset: span.Offset, Count: max(span.Length, 0)} // 0 is to the end
		if 0 < span.Length && span.Length <= longestSummed {
			with.RangeGetContentMD5 = to.Ptr(true)
		}
	}
	if tag != nil {
		with.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: tag}}
	}
	return b.blob(name).BlobClient().DownloadStream(ctx, with)
}

// again returns what opens the rest of a body that broke, of the same blob.
func (b *Backend) again(name string, offset int64, tag azcore.ETag) func(context.Context, int64, objects.Promise) (io.ReadCloser, error) {
	const op = "read"
	return func(ctx context.Context, done int64, left objects.Promise) (io.ReadCloser, error) {
		if err := objects.Ended(ctx, op, name); err != nil {
			return nil, err
		}
		span := objects.Span{Offset: offset + done, Length: left.Length}
		answer, err := b.download(ctx, name, span, &tag)
		if bloberror.HasCode(err, bloberror.ConditionNotMet, bloberror.BlobNotFound) && ctx.Err() == nil {
			return nil, &backend.Error{Op: op, Object: name, Err: errReplaced, Hint: "read it again"}
		}
		if err != nil {
			return nil, b.failed(ctx, op, name, reader, err)
		}
		promise, err := arriving(&answer, span)
		if err != nil {
			return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, answer.Body.Close())}
		}
		if left.Sum == nil {
			left.Hash, left.Sum = promise.Hash, promise.Sum
		}
		left.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
		return objects.Body(answer.Body, left), nil
	}
}

// look answers what the size alone tells: whether an empty range, or one that is in
// no object, lies inside this one.
func (b *Backend) look(ctx context.Context, op, name string, span objects.Span) (io.ReadCloser, error) {
	p, err := b.properties(ctx, op, name)
	if err != nil {
		return nil, err
	}
	n, err := span.Within(*p.ContentLength)
	if err == nil && n > 0 {
		err = &backend.TemporaryError{Err: errReplaced}
	}
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: err}
	}
	return objects.Empty(), nil
}

// arriving tells what body an answer has, and whether it is the range asked for.
func arriving(answer *blob.DownloadStreamResponse, span objects.Span) (objects.Promise, error) {
	if directory(answer.Metadata) {
		return objects.Promise{}, backend.ErrNotFound
	}
	if answer.ContentLength == nil || *answer.ContentLength < 0 {
		return objects.Promise{}, errors.New("the server does not tell the answer's length")
	}
	first, n, total := int64(0), *answer.ContentLength, *answer.ContentLength
	sum := answer.ContentMD5 // of what is sent
	if answer.ContentRange != nil {
		var ok bool
		if first, n, total, ok = objects.ParseContentRange(*answer.ContentRange); !ok || n != *answer.ContentLength {
			return objects.Promise{}, &backend.TemporaryError{Err: errors.New("the server contradicts itself about the range it sends")}
		}
		if n == total && answer.BlobContentMD5 != nil {
			sum = answer.BlobContentMD5 // of the whole blob, which this is
		}
	}
	want, err := span.Within(total)
	if err != nil {
		return objects.Promise{}, err
	}
	if first != span.Offset || n != want {
		return objects.Promise{}, &backend.TemporaryError{Err: errors.New("the server sends another range than was asked for")}
	}
	return objects.Promise{Length: n, Hash: md5.New(), Sum: sum}, nil //nolint:gosec // see the import
}
