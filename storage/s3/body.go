package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns what the header x-amz-checksum-crc32c says of data.
func checksum(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)))
}

// sum is the CRC-32C of an object that is read from its start to its end, through
// as many answers as that takes.
type sum struct {
	want uint32 // what the server says
	have uint32 // of the bytes handed out so far
}

// promised returns the checksum that came with an answer; nil when there was none of this
// kind, or only those of an object's parts.
func promised(out *s3.GetObjectOutput) *sum {
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumCRC32C))
	if err != nil || len(raw) != crc32.Size || out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	return &sum{want: binary.BigEndian.Uint32(raw)}
}

// body is an object, or a range of one, as it arrives. It never ends early without
// saying so, and gives the last bytes only when all were compared with the checksum.
type body struct {
	ctx    context.Context //nolint:containedctx // the Get's: reading belongs to it
	b      *Backend
	name   string
	from   io.ReadCloser
	etag   string
	sum    *sum
	start  int64 // of the range, in the object
	offset int64 // in the object, of the next byte to hand out
	left   int64 // bytes until the end of the range
	err    error
}

var _ backend.Resumer = (*body)(nil)

func (r *body) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	if r.left == 0 { // an empty object
		r.err = r.ended()
		return 0, r.err
	}
	n, err := r.from.Read(p[:min(int64(len(p)), r.left)])
	if int64(n) < r.left {
		r.handOut(p[:n])
		switch {
		case errors.Is(err, io.EOF):
			r.err = r.broken(fmt.Errorf("%w: %d bytes are missing", io.ErrUnexpectedEOF, r.left))
		case err != nil:
			r.err = r.broken(err)
		}
		return n, r.err
	}
	// Readers that know the length stop here, so the checksum, which comes with the
	// end, is looked at before the last bytes are handed out.
	if err == nil {
		err = r.ended()
	} else if !errors.Is(err, io.EOF) {
		err = r.spoilt(err)
	}
	if errors.Is(err, io.EOF) && r.sum != nil {
		if have := crc32.Update(r.sum.have, castagnoli, p[:n]); have != r.sum.want {
			err = r.broken(fmt.Errorf("%w: their CRC-32C is %08x, and the server says it has %08x", backend.ErrDamaged, have, r.sum.want))
		}
	}
	if r.err = err; !errors.Is(err, io.EOF) {
		return 0, r.err
	}
	r.handOut(p[:n])
	return n, nil
}

func (r *body) handOut(p []byte) {
	r.offset += int64(len(p))
	r.left -= int64(len(p))
	if r.sum != nil {
		r.sum.have = crc32.Update(r.sum.have, castagnoli, p)
	}
}

// ended reads the end of a body whose bytes are all there: io.EOF, or what is wrong.
func (r *body) ended() error {
	var more [1]byte
	n, err := r.from.Read(more[:])
	switch {
	case n > 0:
		return r.broken(fmt.Errorf("%w: more bytes than announced", backend.ErrDamaged))
	case errors.Is(err, io.EOF):
		return io.EOF
	case err == nil:
		return r.broken(io.ErrNoProgress)
	}
	return r.spoilt(err)
}

// spoilt is an error with or after the last byte: unless it is the network's, the
// checksum differs.
func (r *body) spoilt(err error) error {
	if r.ctx.Err() != nil || remote.Temporary(err) {
		return r.broken(err)
	}
	return r.broken(fmt.Errorf("%w: %w", backend.ErrDamaged, err))
}

// broken is a body that did not arrive as it was announced; the next try may.
func (r *body) broken(err error) error {
	e := &backend.Error{Op: "read", Object: r.name, Err: &backend.TemporaryError{Err: plainly(err)}}
	if r.ctx.Err() != nil {
		e.Err = context.Cause(r.ctx)
	}
	return e
}

// errReplaced means that a body that broke cannot be ended.
var errReplaced = errors.New("the object is another one now than when reading began")

// Resume asks for the rest with one request, on the condition that the object is the
// same. When it goes on where reading stopped, so does the checksum.
func (r *body) Resume(ctx context.Context, done int64) (io.ReadCloser, error) {
	const op = "read"
	back := r.offset - r.start - done // handed out, and asked for again
	if done < 0 || back < 0 {
		return nil, &backend.Error{Op: op, Object: r.name, Err: fmt.Errorf("cannot go on after %d bytes when %d were read", done, r.offset-r.start)}
	}
	from, left := r.offset-back, r.left+back
	rest := &body{ctx: ctx, b: r.b, name: r.name, from: http.NoBody, etag: r.etag, start: from, offset: from, left: left}
	if r.sum != nil && back == 0 {
		rest.sum = &sum{r.sum.want, r.sum.have}
	}
	if left == 0 {
		return rest, nil
	}
	in := r.b.asking(r.name, from, left)
	in.IfMatch = &r.etag
	out, err := r.b.client.GetObject(ctx, in)
	switch {
	case refusedWith(err, "PreconditionFailed"):
		return nil, &backend.Error{Op: op, Object: r.name, Err: errReplaced, Hint: "read it again"}
	case err != nil:
		return nil, r.b.unseen(ctx, op, r.name, err)
	}
	if _, err := arriving(out, r.name, from, left); err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	rest.from = out.Body
	return rest, nil
}

func (r *body) Close() error { return r.from.Close() }
