package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// Get reads a range with one request. A whole object (offset 0, length -1) is
// compared with the checksum the server keeps; of a range only the length can be.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "read"
	if err := objects.Check(ctx, op, name); err != nil {
		return nil, err
	}
	if offset < 0 || length > math.MaxInt64-offset {
		return nil, short(name, offset, length, 0)
	}
	if length == 0 {
		return b.nothing(ctx, name, offset) // a range of nothing cannot be asked for
	}
	in := b.asking(name, offset, length)
	out, err := b.client.GetObject(ctx, in)
	if a, ok := answered(err); ok && a.status == http.StatusRequestedRangeNotSatisfiable && length < 0 {
		return b.nothing(ctx, name, offset) // perhaps the range begins right at the end
	}
	if err != nil {
		return nil, b.unseen(ctx, op, name, err)
	}
	b.exists.Store(true)
	size, err := arriving(out, name, offset, length)
	if err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	r := &body{ctx: ctx, b: b, name: name, from: out.Body, start: offset, offset: offset, left: size, etag: aws.ToString(out.ETag)}
	if in.ChecksumMode != "" {
		r.sum = promised(out)
	}
	if r.etag == "" {
		return struct{ io.ReadCloser }{r}, nil // nothing to know the same object by: it cannot be resumed
	}
	return r, nil
}

// asking returns the request for a range.
func (b *Backend) asking(name string, offset, length int64) *s3.GetObjectInput {
	in := &s3.GetObjectInput{Bucket: &b.config.Bucket, Key: b.key(name)}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = b.customer.headers()
	switch {
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	default:
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	return in
}

// nothing returns the empty range at offset, when that is inside the object or at its end.
func (b *Backend) nothing(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	head, err := b.head(ctx, "read", name)
	if err != nil {
		return nil, err
	}
	if size := *head.ContentLength; offset > size {
		return nil, short(name, offset, 0, size)
	}
	return http.NoBody, nil
}

func short(name string, offset, length, size int64) error {
	err := fmt.Errorf("%w: bytes %d to %d of %d", backend.ErrShort, offset, offset+max(length, 0), size)
	return &backend.Error{Op: "read", Object: name, Err: err}
}

// arriving returns how many bytes of the answer are to come, which are those that
// were asked for.
func arriving(out *s3.GetObjectOutput, name string, offset, length int64) (int64, error) {
	refuse := func(format string, args ...any) error {
		return &backend.Error{Op: "read", Object: name, Err: fmt.Errorf(format, args...)}
	}
	if out.ContentLength == nil {
		return 0, &backend.Error{
			Op: "read", Object: name, Err: errors.New("the server does not tell how much it sends, as S3 does"),
			Hint: "look whether endpoint= names a server that speaks the protocol of S3, and not a web page or a console",
		}
	}
	size := *out.ContentLength
	if out.ContentRange == nil {
		if offset == 0 && (length < 0 || length == size) {
			return size, nil
		}
		if offset == 0 && length > size {
			return 0, short(name, offset, length, size)
		}
		return 0, refuse("%w: the server sends whole objects when asked for a part", backend.ErrUnsupported)
	}
	first, n, total, ok := objects.ParseContentRange(*out.ContentRange)
	if !ok || first != offset || n != size {
		return 0, refuse("%w: asked for bytes from %d on, the server sends %.60q with a length of %d", backend.ErrDamaged, offset, *out.ContentRange, size)
	}
	switch want := total - offset; {
	case length > want:
		return 0, short(name, offset, length, total)
	case length >= 0 && size != length, length < 0 && size != want:
		return 0, refuse("%w: asked for %d bytes, the server sends %d", backend.ErrDamaged, length, size)
	}
	return size, nil
}
