package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
)

// What is read to be judged is held in memory whole: this many objects at a time, none
// of them larger than any that this program puts, in bytes.
const (
	judged        = 4
	largestJudged = 260 << 20
)

// Version is one of the versions that a store keeps of an object.
type Version struct {
	// ID names it, as the store does.
	ID string
	// Size in bytes.
	Size int64
}

// Past is what a store knows of objects that are gone.
type Past struct {
	// Hidden lists the objects that are gone and of which there may be versions.
	Hidden func(ctx context.Context) ([]string, error)
	// Versions returns those of an object, the newest first.
	Versions func(ctx context.Context, name string) ([]Version, error)
	// Read opens a version, whole.
	Read func(ctx context.Context, name string, v Version) (io.ReadCloser, error)
	// Kept tells until when a version is retained; the zero time is not at all.
	Kept func(ctx context.Context, name string, v Version) (time.Time, error)
	// Uncover makes the newest version the object again, where that takes no bytes; nil
	// where it does.
	Uncover func(ctx context.Context, name string) error
	// Put stores an object.
	Put func(ctx context.Context, name string, data []byte, o backend.PutOptions) error
	// Clock tells which retention has ended.
	Clock clock.Clock
}

// Undelete brings objects back as [backend.Undeleter] says.
func (p Past) Undelete(ctx context.Context, o backend.UndeleteOptions) error {
	names, err := p.Hidden(ctx)
	if err != nil {
		return err
	}
	var telling sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(judged)
	for _, name := range names {
		if !o.Want(name) {
			continue
		}
		group.Go(func() error {
			back, err := p.bring(ctx, name, o.Whole)
			if back != nil {
				telling.Lock()
				defer telling.Unlock()
				o.Tell(*back)
			}
			return err
		})
	}
	return group.Wait()
}

// bring brings one object back; nil when there is no version of it.
func (p Past) bring(ctx context.Context, name string, whole func(string, []byte) error) (*backend.Undeleted, error) {
	versions, err := p.Versions(ctx, name)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	if whole == nil && p.Uncover != nil {
		return &backend.Undeleted{Name: name}, p.Uncover(ctx, name)
	}
	var newest error
	for i, v := range versions {
		data, err := p.read(ctx, name, v)
		if err == nil && whole != nil {
			err = whole(name, data)
		} else if err != nil && !passable(err) {
			return nil, err
		}
		switch {
		case err == nil && i == 0 && p.Uncover != nil:
			return &backend.Undeleted{Name: name}, p.Uncover(ctx, name)
		case err == nil:
			return &backend.Undeleted{Name: name, Passed: i}, p.again(ctx, name, v, data)
		case i == 0:
			newest = err
		}
	}
	return p.least(ctx, name, versions[0], newest)
}

// passable tells whether a version that cannot be read leaves the others to be tried.
func passable(err error) bool {
	return slices.ContainsFunc([]error{backend.ErrDamaged, backend.ErrArchived, backend.ErrNotFound, backend.ErrShort}, func(kind error) bool { return errors.Is(err, kind) })
}

// least brings the newest version back although it is not whole: parts of it may be.
func (p Past) least(ctx context.Context, name string, newest Version, why error) (*backend.Undeleted, error) {
	back := &backend.Undeleted{Name: name, Damaged: why}
	if p.Uncover != nil {
		return back, p.Uncover(ctx, name)
	}
	data, err := p.read(ctx, name, newest)
	if err != nil {
		return nil, err
	}
	return back, p.again(ctx, name, newest, data)
}

// again stores what a version holds as the object, retained as long as that is.
func (p Past) again(ctx context.Context, name string, v Version, data []byte) error {
	until, err := p.Kept(ctx, name, v)
	if err != nil {
		return err
	}
	if !until.After(p.Clock.Now()) {
		until = time.Time{}
	}
	return p.Put(ctx, name, data, backend.PutOptions{RetainUntil: until})
}

// read reads a version whole.
func (p Past) read(ctx context.Context, name string, v Version) ([]byte, error) {
	if v.Size > largestJudged {
		return nil, &backend.Error{Op: "read", Object: name, Err: fmt.Errorf("%w: a version of %d bytes", backend.ErrDamaged, v.Size)}
	}
	from, err := p.Read(ctx, name, v)
	if err != nil {
		return nil, err
	}
	data := make([]byte, v.Size)
	_, err = io.ReadFull(from, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &backend.Error{Op: "read", Object: name, Err: backend.ErrShort}
	}
	return data, errors.Join(err, from.Close())
}
