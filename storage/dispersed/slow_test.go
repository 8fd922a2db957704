package dispersed_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/faults"
)

// server is a storage in memory that takes its time: usual for every request, and slow
// for one in every so many.
type server struct {
	*faults.Memory
	usual, slow time.Duration
	every       int64
	requests    atomic.Int64
}

func (s *server) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	took := s.usual
	if n := s.requests.Add(1); s.every > 0 && n%s.every == 0 {
		took = s.slow
	}
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.Memory.Get(ctx, name, offset, length)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// content is what the servers have, under 20 names.
var content = noise(1, 40<<10)

// slowPlace is 4+2 over servers that answer after 8 to 13 ms.
func slowPlace(t testing.TB, noHedging bool, change func([]*server)) (*dispersed.Backend, []*server) {
	t.Helper()
	c := dispersed.Config{Data: 4, Parity: 2, NoHedging: noHedging}
	var all []*server
	for i := range 6 {
		s := &server{Memory: faults.NewMemory(), usual: time.Duration(8+i) * time.Millisecond}
		all = append(all, s)
		c.Backends = append(c.Backends, s)
	}
	b, err := dispersed.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := b.Put(t.Context(), fmt.Sprint("packs/", i), content, storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil { // all shards are in place
		t.Fatal(err)
	}
	if b, err = dispersed.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	change(all)
	return b, all
}

// reads reads so many objects and returns how long each took, sorted.
func reads(t testing.TB, b *dispersed.Backend, n int) []time.Duration {
	t.Helper()
	var all []time.Duration
	for i := range n {
		began := time.Now()
		got, err := get(t.Context(), b, fmt.Sprint("packs/", i%20), 0, -1)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("read %d: %v", i, err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all
}

// slownesses are ways for the first of six servers to be slow.
var slownesses = map[string]func([]*server){
	"always 300 ms":          func(s []*server) { s[0].every, s[0].slow = 1, 300*time.Millisecond },
	"one in 20 takes 300 ms": func(s []*server) { s[0].every, s[0].slow = 20, 300*time.Millisecond },
}

// With hedging no read waits for a slow server, from the first one on; the time is that of
// the test, not of the machine.
func TestHedging(t *testing.T) {
	for what, change := range slownesses {
		var longest [2]time.Duration
		for i, off := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b, _ := slowPlace(t, off, change)
				all := reads(t, b, 400)
				longest[i] = all[len(all)-1]
				t.Logf("%-24s hedging %-5v p50 %v, p99 %v, max %v", what, !off, all[200], all[396], longest[i])
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		if longest[0] > 250*time.Millisecond || longest[1] < 300*time.Millisecond {
			t.Errorf("%s: the longest read takes %v with hedging, %v without", what, longest[0], longest[1])
		}
	}
}

// Once it is known to be slow, a server is left alone but for a request now and then; as
// soon as it is fast again, it is used again.
func TestSlowServersAreAvoidedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, all := slowPlace(t, false, slownesses["always 300 ms"])
		reads(t, b, 50)
		before := all[0].requests.Load()
		reads(t, b, 200)
		during := all[0].requests.Load() - before
		synctest.Wait() // requests that nobody waits for any more end
		all[0].every, all[0].usual = 0, time.Millisecond
		for i := 1; i < 6; i++ {
			all[i].usual = 40 * time.Millisecond
		}
		reads(t, b, 1500)
		before = all[0].requests.Load()
		reads(t, b, 200)
		after := all[0].requests.Load() - before
		if during > 60 || after < 150 {
			t.Errorf("of 200 reads the first server was asked in %d while it was slow, in %d when it was the fastest", during, after)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkTail is the latency of reading 40 KiB over six servers of which one is slow,
// with and without hedging.
func BenchmarkTail(b *testing.B) {
	for what, change := range slownesses {
		for _, off := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/hedging=%v", what, !off), func(b *testing.B) {
				d, all := slowPlace(b, off, change)
				defer d.Close()
				before := int64(0)
				for _, s := range all {
					before += s.requests.Load()
				}
				b.ResetTimer()
				took := reads(b, d, b.N)
				b.StopTimer()
				requests := -before
				for _, s := range all {
					requests += s.requests.Load()
				}
				at := func(percent int) float64 {
					return float64(took[min(len(took)*percent/100, len(took)-1)].Microseconds()) / 1000
				}
				b.ReportMetric(at(50), "p50-ms")
				b.ReportMetric(at(99), "p99-ms")
				b.ReportMetric(at(100), "max-ms")
				b.ReportMetric(float64(requests)/float64(b.N), "requests/read")
			})
		}
	}
}

// BenchmarkThroughput is what spreading costs of processor time, beside one storage of the
// same kind: directories, or memory.
func BenchmarkThroughput(b *testing.B) {
	data := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	for _, spread := range []bool{false, true} {
		open := func() storage.Backend {
			if !spread {
				return faults.NewMemory()
			}
			return newPlace(b, 4, 2)
		}
		kind := map[bool]string{false: "one", true: "4+2"}[spread]
		b.Run("put/"+kind, func(b *testing.B) {
			be := open()
			defer be.Close()
			b.SetBytes(int64(len(data)))
			for i := range b.N {
				if err := be.Put(b.Context(), fmt.Sprint("packs/", i), data, storage.PutOptions{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := be.Delete(b.Context(), fmt.Sprint("packs/", i)); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run("get/"+kind, func(b *testing.B) {
			be := open()
			defer be.Close()
			if err := be.Put(b.Context(), "a", data, storage.PutOptions{}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			for range b.N {
				if err := storage.ReadRange(b.Context(), be, "a", 0, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("get/4+2 with two away", func(b *testing.B) {
		p := newPlace(b, 4, 2)
		defer p.Close()
		if err := p.Put(b.Context(), "a", data, storage.PutOptions{}); err != nil {
			b.Fatal(err)
		}
		p.settle(b)
		p.stop(0, 1)
		p.open(b)
		b.SetBytes(int64(len(data)))
		for range b.N {
			if err := storage.ReadRange(b.Context(), p, "a", 0, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
