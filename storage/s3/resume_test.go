package s3_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// halfway reads an object until its body breaks, and returns the reader and what it gave.
func halfway(t *testing.T, be *s3.Backend, proxy *wire.Proxy, name string, offset, length int64) (backend.Resumer, []byte) {
	t.Helper()
	proxy.On(wire.Get).Reset()
	r, err := be.Get(t.Context(), name, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	got, err := io.ReadAll(r)
	wantTemporary(t, "a body that was reset", err)
	if len(got) == 0 {
		t.Fatal("nothing arrived before the reset, so the test shows nothing")
	}
	resumer, ok := r.(backend.Resumer)
	if !ok {
		t.Fatalf("%T is no Resumer", r)
	}
	return resumer, got
}

// A read that breaks goes on where it was, of the same object or not at all.
func TestResume(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	data := noise(1 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, span := range [][2]int64{{0, -1}, {0, 900_000}, {1000, -1}, {1000, 900_000}} {
		want := data[span[0]:]
		if span[1] >= 0 {
			want = want[:span[1]]
		}
		resumer, got := halfway(t, be, proxy, "a", span[0], span[1])
		for _, back := range []int{0, 1, len(got)} {
			rest, err := resumer.Resume(t.Context(), int64(len(got)-back))
			if err != nil {
				t.Fatal(err)
			}
			more, err := io.ReadAll(rest)
			if err := errors.Join(err, rest.Close()); err != nil || !bytes.Equal(append(bytes.Clone(got[:len(got)-back]), more...), want) {
				t.Errorf("%v: %d bytes and, %d before, %d more, %v; want %d", span, len(got), back, len(more), err, len(want))
			}
		}
		if _, err := resumer.Resume(t.Context(), int64(len(got)+1)); err == nil {
			t.Errorf("%v: more was skipped than was read", span)
		}
	}
}

// The checksum of a whole object is of all its parts, through however many answers.
func TestResumeKeepsTheChecksum(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	if err := be.Put(t.Context(), "a", noise(1<<20), backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	resumer, got := halfway(t, be, proxy, "a", 0, -1)
	proxy.On(wire.Get).Flip()
	rest, err := resumer.Resume(t.Context(), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	if _, err := io.ReadAll(rest); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("a bit that changed in the second part: %v, want ErrDamaged", err)
	}
}

func TestResumeOfAReplacedObject(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	data := noise(1 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	resumer, got := halfway(t, be, proxy, "a", 0, -1)
	data[0]++
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := resumer.Resume(t.Context(), int64(len(got)))
	var temporary *backend.TemporaryError
	if err == nil || errors.Is(err, backend.ErrExists) || errors.As(err, &temporary) {
		t.Errorf("going on with another object: %v", err)
	}
	if err := be.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := resumer.Resume(t.Context(), int64(len(got))); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("going on with a deleted object: %v, want ErrNotFound", err)
	}
}
