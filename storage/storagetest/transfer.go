package storagetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/wire"
)

// PackSize is as large, in bytes, as the objects that make up nearly all of a repository.
const PackSize = 16 << 20

// Noise returns n bytes that do not compress, the same each time.
func Noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}

// Put stores a text.
func Put(t testing.TB, be storage.Backend, name, data string, o storage.PutOptions) {
	t.Helper()
	if err := be.Put(t.Context(), name, []byte(data), o); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// Read reads a range to its end.
func Read(ctx context.Context, be storage.Backend, name string, offset, length int64) ([]byte, error) {
	r, err := be.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// WantText checks that a whole object is what it should be.
func WantText(t testing.TB, be storage.Backend, name, want string) {
	t.Helper()
	got, err := Read(t.Context(), be, name, 0, -1)
	if err != nil || string(got) != want {
		t.Errorf("%s = %q, %v; want %q", name, got, err, want)
	}
}

// WantTemporary checks that an error may be tried again.
func WantTemporary(t testing.TB, what string, err error) {
	t.Helper()
	var temporary *storage.TemporaryError
	if !errors.As(err, &temporary) {
		t.Errorf("%s: %v is no TemporaryError", what, err)
	}
}

// RunPutsMakeNoCopies checks that bodies are sent from where the caller has them: many
// packs take hardly more memory than the packs themselves. atOnce is how many puts
// are under way at a time.
func RunPutsMakeNoCopies(t *testing.T, be storage.Backend, atOnce int) {
	data := Noise(PackSize)
	if err := be.Put(t.Context(), "warm", data, storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds = 16
	errs := make(chan error)
	for i := range rounds {
		for j := range atOnce {
			go func() { errs <- be.Put(t.Context(), fmt.Sprintf("packs/%d/%d", i, j), data, storage.PutOptions{}) }()
		}
		for range atOnce {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if perPut := (after.TotalAlloc - before.TotalAlloc) / uint64(rounds*atOnce); perPut > 512<<10 {
		t.Errorf("a put of %d bytes allocates %d", PackSize, perPut)
	}
}

// halfway reads an object until its body breaks, and returns the reader and what it
// gave.
func halfway(t *testing.T, be storage.Backend, proxy *wire.Proxy, offset, length int64) (backend.Resumer, []byte) {
	t.Helper()
	proxy.On(wire.Get).Reset()
	before := proxy.Requests()
	r, err := be.Get(t.Context(), "a", offset, length)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	got, err := io.ReadAll(r)
	WantTemporary(t, "a body that broke", err)
	if asked := proxy.Requests() - before; asked != 1 {
		t.Errorf("the SDK went on by itself: %d requests", asked)
	}
	if len(got) == 0 {
		t.Fatal("nothing arrived before the break, so the test shows nothing")
	}
	resumer, ok := r.(backend.Resumer)
	if !ok {
		t.Fatalf("%T is no Resumer", r)
	}
	return resumer, got
}

// RunResume checks that a body that broke goes on where it was, of the very same object
// or not at all. The proxy stands between the backend and its server.
func RunResume(t *testing.T, be storage.Backend, proxy *wire.Proxy) {
	data := Noise(2 << 20)
	store := func(data []byte) {
		t.Helper()
		if err := be.Put(t.Context(), "a", data, storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	store(data)
	for _, span := range [][2]int64{{0, -1}, {0, 1_900_000}, {1000, -1}, {1000, 1_900_000}} {
		want := data[span[0]:]
		if span[1] >= 0 {
			want = want[:span[1]]
		}
		r, got := halfway(t, be, proxy, span[0], span[1])
		for _, back := range []int{0, 1, len(got)} {
			rest, err := r.Resume(t.Context(), int64(len(got)-back))
			if err != nil {
				t.Fatal(err)
			}
			more, err := io.ReadAll(rest)
			if err := errors.Join(err, rest.Close()); err != nil || !bytes.Equal(append(bytes.Clone(got[:len(got)-back]), more...), want) {
				t.Errorf("%v: %d bytes and, %d before, %d more, %v; want %d", span, len(got), back, len(more), err, len(want))
			}
		}
		if _, err := r.Resume(t.Context(), int64(len(got)+1)); err == nil {
			t.Errorf("%v: more was skipped than was read", span)
		}
	}
	// A changed bit in the rest of a whole object is found, since the checksum goes on too.
	r, got := halfway(t, be, proxy, 0, -1)
	proxy.On(wire.Get).Flip()
	rest, err := r.Resume(t.Context(), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(rest); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("a changed rest: %v, want ErrDamaged", err)
	}
	_ = rest.Close()

	other := bytes.Clone(data)
	other[0]++
	for what, change := range map[string]func() error{
		"replaced": func() error { return be.Put(t.Context(), "a", other, storage.PutOptions{}) },
		"deleted":  func() error { return be.Delete(t.Context(), "a") },
	} {
		store(data)
		r, got := halfway(t, be, proxy, 0, -1)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err := r.Resume(t.Context(), int64(len(got)))
		var temporary *storage.TemporaryError
		if err == nil || errors.As(err, &temporary) || errors.Is(err, storage.ErrExists) {
			t.Errorf("the rest of an object that was %s: %v", what, err)
		}
	}
}

// RunContextEnds checks that the end of a context ends what is under way, with its own
// cause.
func RunContextEnds(t *testing.T, be storage.Backend, proxy *wire.Proxy) {
	if err := be.Put(t.Context(), "a", Noise(1<<20), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy.On(wire.Get).StallMidway()
	why := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := be.Get(ctx, "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.ReadAll(r); !errors.Is(err, why) {
		t.Errorf("reading after the context ended: %v", err)
	}
}

// RunConnections checks what becomes of connections that cannot be made or trusted. gone
// opens an endpoint at which nobody listens; old opens the place under its name on
// the network, whose server has an old TLS: connections to it, and to nothing else, are
// led there by wrap.
func RunConnections(t *testing.T, gone func(endpoint string) storage.Backend, address string, old func(wrap func(http.RoundTripper) http.RoundTripper) storage.Backend) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	_ = l.Close()
	for what, do := range operations(t, gone(endpoint)) {
		err := do()
		WantTemporary(t, what+" of nobody", err)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is in %q", what, err)
		}
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	be := old(func(next http.RoundTripper) http.RoundTripper {
		next.(*http.Transport).DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
			if to != address {
				t.Errorf("a connection to %s", to)
			}
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}
		return next
	})
	err = be.Put(t.Context(), "a", nil, storage.PutOptions{})
	var temporary *storage.TemporaryError
	if err == nil || errors.As(err, &temporary) || !strings.Contains(err.Error(), "TLS 1.3") {
		t.Errorf("a server with TLS 1.2: %v", err)
	}
}
