package retry

import (
	"bytes"
	"context"
	"errors"
	"io"

	"mahavishnu/storage/backend"
)

// settle finds out who won a conditional put that was made more than once: nil when the
// object has the caller's bytes, refused when it has others.
func (b *Backend) settle(ctx context.Context, name string, data []byte, refused error) error {
	info, err := b.inner.Stat(ctx, name)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return refused // and deleted by now: by somebody who had it for the winner's
	case err != nil:
		return err
	case info.Size != int64(len(data)):
		return refused
	}
	body, err := b.inner.Get(ctx, name, 0, int64(len(data)))
	switch {
	case errors.Is(err, backend.ErrNotFound), errors.Is(err, backend.ErrShort):
		return refused
	case err != nil:
		return err
	}
	same, err := equal(body, data)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if !same {
		return refused
	}
	return nil
}

// equal tells whether a body, which is as long, is data.
func equal(body io.Reader, data []byte) (bool, error) {
	buf := make([]byte, 64<<10)
	for len(data) > 0 {
		part := buf[:min(len(buf), len(data))]
		if _, err := io.ReadFull(body, part); err != nil {
			return false, err
		}
		if !bytes.Equal(part, data[:len(part)]) {
			return false, nil
		}
		data = data[len(part):]
	}
	return true, nil
}
