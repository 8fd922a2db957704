package dispersed_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// counted counts the requests that are made to one host.
type counted struct {
	http.RoundTripper
	host string
	n    *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == c.host {
		c.n.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// deadPort returns an address of this machine where nobody listens.
func deadPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// One of six storages refuses connections. It is put aside at the first failure: a whole
// session over the six, of dozens of requests to each, makes very few to the dead one
// and tells of it once. Puts are confirmed, reads and repairs go on.
func TestRefusingStorageIsPutAside(t *testing.T) {
	dir := t.TempDir()
	l := dispersed.Layout{Data: 4, Parity: 2}
	for i := range 6 {
		l.At = append(l.At, filepath.Join(dir, fmt.Sprint(i)))
	}
	ctx := t.Context()
	open := func(o storage.OpenOptions) storage.Backend {
		be, err := storage.OpenWith(ctx, l.String(), o)
		if err != nil {
			t.Fatal(err)
		}
		return be
	}
	be := open(storage.OpenOptions{})
	for i := range 10 {
		mustPut(t, be, fmt.Sprint("packs/", i), noise(i, 50000))
	}
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}

	host := deadPort(t)
	l.At[2] = "s3://shards/x?endpoint=http://" + host
	var tried atomic.Int64
	told := &notices{}
	be = open(storage.OpenOptions{
		Credentials: storage.Credentials{S3: storage.S3Credentials{AccessKey: "a", SecretKey: "b"}},
		Wrap:        func(inner http.RoundTripper) http.RoundTripper { return counted{inner, host, &tried} },
		OnMember:    told.tell,
	})
	for i := range 10 {
		wantData(t, be, fmt.Sprint("packs/", i), noise(i, 50000))
		name := fmt.Sprint("snapshots/", i)
		if err := be.Put(ctx, name, noise(i, 500), storage.PutOptions{IfAbsent: true, Sync: true}); err != nil {
			t.Fatal(err)
		}
		mustPut(t, be, fmt.Sprint("more/", i), noise(i, 50000))
		if n := len(listed(t, be, "snapshots/")); n != i+1 {
			t.Errorf("%d snapshots are listed, want %d", n, i+1)
		}
	}
	b, _ := dispersed.Of(be)
	r, err := b.Repair(ctx, dispersed.CheckOptions{Depth: dispersed.Heads})
	if err != nil || r.Objects != 30 || !slices.Equal(r.Away, []int{3}) {
		t.Errorf("repair: %+v, %v", r, err)
	}
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); !slices.Equal(got, []string{"3 away"}) {
		t.Errorf("told: %v", got)
	}
	// The first requests of all that begins at once, and a probe now and then.
	if n := tried.Load(); n == 0 || n > 30 {
		t.Errorf("%d requests were made to the dead storage", n)
	} else {
		t.Logf("%d requests to the dead storage", n)
	}
}
