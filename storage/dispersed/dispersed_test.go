package dispersed_test

import (
	"errors"
	"fmt"
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
	broken []*faults.Backend
}

// newPlace returns a storage over k+m others in memory.
func newPlace(t testing.TB, k, m int, change ...func(*dispersed.Config)) *place {
	t.Helper()
	p := &place{}
	c := dispersed.Config{Data: k, Parity: m}
	for range k + m {
		mem := faults.NewMemory()
		f := faults.Wrap(mem)
		p.memory, p.broken = append(p.memory, mem), append(p.broken, f)
		c.Backends = append(c.Backends, f)
	}
	for _, fn := range change {
		fn(&c)
	}
	b, err := dispersed.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p.Backend = b
	return p
}

// stop makes a storage fail from now on.
func (p *place) stop(members ...int) {
	for _, i := range members {
		for _, op := range []faults.Op{faults.Put, faults.Get, faults.Stat, faults.List, faults.Delete, faults.Sync} {
			p.broken[i].On(op).Times(-1).Fail(errAway)
		}
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
