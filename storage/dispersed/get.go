package dispersed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// span is how many bytes of an object are read at once: longer ranges take several
// rounds, so that memory stays bounded.
const span = 16 << 20

// Stat asks as many storages as it takes to be sure.
func (b *Backend) Stat(ctx context.Context, name string) (backend.Info, error) {
	const op = "stat"
	if err := b.begin(ctx, op, name, false); err != nil {
		return backend.Info{}, err
	}
	f, err := b.find(ctx, op, name)
	if err != nil {
		return backend.Info{}, err
	}
	return backend.Info{Name: name, Size: f.head.size, ModTime: time.Unix(0, f.head.time)}, nil
}

// find looks for an object that must be there.
func (b *Backend) find(ctx context.Context, op, name string) (*found, error) {
	f, err := b.look(ctx, op, name, false)
	if err != nil {
		return nil, err
	}
	if f.head == nil {
		b.known.forget(name)
		return nil, fault.New(op, name, backend.ErrNotFound, "")
	}
	b.known.set(name, *f.head, b.clock.Now())
	return f, nil
}

// Get reads a range from the storages that are the fastest: only the cells that the
// range needs when it lies within a row of them, else k shards' worth.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "get"
	if err := b.begin(ctx, op, name, false); err != nil {
		return nil, err
	}
	h, known := b.known.get(name, b.clock.Now())
	o := &object{b: b, name: name, head: h, fresh: !known}
	if !known {
		if err := o.find(ctx); err != nil {
			return nil, err
		}
	}
	// A range that does not fit may fit another version than the known one, and one
	// without bytes would be read without asking anybody.
	if n, err := within(op, name, o.head.size, offset, length); (err != nil || n == 0) && !o.fresh {
		if err := o.find(ctx); err != nil {
			return nil, err
		}
	}
	o.open = length < 0
	for range maxLooks {
		n, err := within(op, name, o.head.size, offset, length)
		if err != nil {
			return nil, err
		}
		r := &reader{ctx: ctx, o: o, at: offset, end: offset + n}
		if err := r.fill(); !errors.Is(err, errOtherEnd) {
			if err != nil {
				return nil, err
			}
			return r, nil
		}
	}
	return nil, errMoving(op, name)
}

// errOtherEnd means that another version is the current one than the one whose end
// was to be read to.
var errOtherEnd = errors.New("the object ends somewhere else now")

// within returns how many bytes a range has in an object of a size.
func within(op, name string, size, offset, length int64) (int64, error) {
	if length < 0 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return 0, fault.New(op, name, fmt.Errorf("%w: %d bytes from %d of %d", backend.ErrShort, length, offset, size), "")
	}
	return length, nil
}

// object is one version that is being read.
type object struct {
	b     *Backend
	name  string
	head  head
	paths []string // where each member has its shard; nil: under the name
	sure  []bool   // members that said that they have it
	fresh bool     // the members were asked which version is the current one
	open  bool     // it is read to its end, wherever that is
	begun bool     // bytes of this version were handed out
}

// find asks the members which version is the current one. When bytes were handed out
// already it must be the same.
func (o *object) find(ctx context.Context) error {
	f, err := o.b.find(ctx, "get", o.name)
	if err != nil {
		return err
	}
	if o.begun && f.head.version != o.head.version {
		return fault.New("get", o.name, errors.New("the object was replaced while it was read"), "read it again")
	}
	o.head, o.paths, o.sure, o.fresh = *f.head, f.paths, f.sure(), true
	return nil
}

// read returns the bytes from offset to end. When they cannot be read, the members are
// asked which version is the current one and where it lies, as long as that changes.
func (o *object) read(ctx context.Context, offset, end int64) ([]byte, error) {
	for range maxLooks {
		data, err := o.b.rows(ctx, o, offset, end)
		if err == nil {
			o.begun = true
			return data, nil
		}
		o.b.known.forget(o.name)
		before := *o
		if findErr := o.find(ctx); findErr != nil {
			return nil, findErr
		}
		if before.fresh && o.head.version == before.head.version && slices.Equal(o.paths, before.paths) {
			return nil, err
		}
		if o.open && o.head.size != before.head.size {
			return nil, errOtherEnd
		}
		// The caller's range was checked against another version.
		if _, err := within("get", o.name, o.head.size, offset, end-offset); err != nil {
			return nil, err
		}
	}
	return nil, errMoving("get", o.name)
}

// reader hands out what was read, and reads on.
type reader struct {
	ctx     context.Context
	o       *object
	at, end int64 // what is still to be read from the members
	data    []byte
}

func (r *reader) fill() error {
	if r.at == r.end {
		return nil
	}
	to := min(r.end, r.at+span)
	data, err := r.o.read(r.ctx, r.at, to)
	r.data, r.at = data, to
	return err
}

// Read hands out bytes that were checked.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.data) == 0 {
		if r.at == r.end {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			r.end = r.at
			return 0, err
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Close lets go of what was read.
func (r *reader) Close() error {
	r.data, r.at = nil, r.end
	return nil
}
