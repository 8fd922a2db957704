package dispersed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/local"
	"mahavishnu/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("the server is away")

// place is a dispersed storage over storages that tests break.
type place struct {
	*dispersed.Backend
	memory []*faults.Memory
	doors  []*door
	config dispersed.Config
}

// door is the way to a storage, which may be shut.
type door struct {
	*faults.Memory
	shut atomic.Bool
}

func (d *door) knock(op, name string) error {
	if d.shut.Load() {
		return &storage.Error{Op: op, Object: name, Err: errAway}
	}
	return nil
}

func (d *door) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if err := d.knock("put", name); err != nil {
		return err
	}
	return d.Memory.Put(ctx, name, data, o)
}

func (d *door) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := d.knock("get", name); err != nil {
		return nil, err
	}
	return d.Memory.Get(ctx, name, offset, length)
}

func (d *door) Stat(ctx context.Context, name string) (storage.Info, error) {
	if err := d.knock("stat", name); err != nil {
		return storage.Info{}, err
	}
	return d.Memory.Stat(ctx, name)
}

func (d *door) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	if err := d.knock("list", prefix); err != nil {
		return err
	}
	return d.Memory.List(ctx, prefix, fn)
}

func (d *door) Delete(ctx context.Context, name string) error {
	if err := d.knock("delete", name); err != nil {
		return err
	}
	return d.Memory.Delete(ctx, name)
}

func (d *door) Sync(ctx context.Context, names []string) error {
	if err := d.knock("sync", names[0]); err != nil {
		return err
	}
	return d.Memory.Sync(ctx, names)
}

// newPlace returns a storage over k+m others in memory.
func newPlace(t testing.TB, k, m int, change ...func(*dispersed.Config)) *place {
	t.Helper()
	p := &place{config: dispersed.Config{Data: k, Parity: m}}
	for range k + m {
		mem := faults.NewMemory()
		d := &door{Memory: mem}
		p.memory, p.doors = append(p.memory, mem), append(p.doors, d)
		p.config.Backends = append(p.config.Backends, d)
	}
	p.open(t)
	if err := p.Form(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.settle(t)
	for _, fn := range change {
		fn(&p.config)
	}
	p.open(t)
	return p
}

// open opens the storage anew, as another process does.
func (p *place) open(t testing.TB) {
	t.Helper()
	b, err := dispersed.Open(t.Context(), p.config)
	if err != nil {
		t.Fatal(err)
	}
	p.Backend = b
}

// settle ends the process in good order.
func (p *place) settle(t testing.TB) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// stop makes storages fail from now on, start ends that.
func (p *place) stop(members ...int) {
	for _, i := range members {
		p.doors[i].shut.Store(true)
	}
}

func (p *place) start() {
	for _, d := range p.doors {
		d.shut.Store(false)
	}
}

func quorum(n int) func(*dispersed.Config) {
	return func(c *dispersed.Config) { c.Quorum = n }
}

func TestConformance(t *testing.T) {
	for _, shape := range []struct{ k, m int }{{2, 1}, {4, 2}, {3, 3}} {
		t.Run(fmt.Sprintf("%d+%d", shape.k, shape.m), func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Backend { return newPlace(t, shape.k, shape.m) })
		})
	}
}

func TestConformanceOnDirectories(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		c := dispersed.Config{Data: 2, Parity: 1}
		for range 3 {
			be, err := local.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			c.Backends = append(c.Backends, be)
		}
		b, err := dispersed.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return b.Able()
	})
}

// TestConformanceWithStoragesAway takes away as many as there are parity shards.
func TestConformanceWithStoragesAway(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		p := newPlace(t, 4, 2, quorum(4))
		p.stop(1, 5)
		return p
	})
}
