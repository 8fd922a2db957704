package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// packSize is as large as the objects that make up nearly all of a repository.
const packSize = 16 << 20

func noise(n int) []byte {
	data := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := 0; i+8 <= n; i += 8 {
		v := r.Uint64()
		for j := range 8 {
			data[i+j] = byte(v >> (8 * j))
		}
	}
	return data
}

// Objects cost one request each, and to know that they are durable costs none.
func TestRequests(t *testing.T) {
	s := servers.S3(t)
	var seen tap
	c := configure(s, "p")
	c.Wrap = seen.wrap
	be := open(t, c)
	var names []string
	for i := range 8 {
		name := fmt.Sprintf("packs/%02x/x", i)
		names = append(names, name)
		put(t, be, name, "data", backend.PutOptions{Sync: i%2 == 0, IfAbsent: i%3 == 0})
	}
	if err := be.Sync(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	// The first conditional put is repeated, to see whether the server honours it.
	if got := seen.take(); len(got) != len(names)+1 {
		t.Errorf("%d objects put and synced with %d requests: %q", len(names), len(got), got)
	}
	for what, c := range map[string]struct {
		do   func() error
		want []string
	}{
		"sync by another instance": {func() error { return be.Sync(t.Context(), names[:1]) }, []string{"HEAD /backups/p/packs/00/x"}},
		"whole object": {func() error {
			_, err := read(t.Context(), be, names[1], 0, -1)
			return err
		}, []string{"GET /backups/p/packs/01/x"}},
		"range": {func() error {
			_, err := read(t.Context(), be, names[1], 1, 2)
			return err
		}, []string{"GET /backups/p/packs/01/x"}},
		"stat": {func() error {
			_, err := be.Stat(t.Context(), names[1])
			return err
		}, []string{"HEAD /backups/p/packs/01/x"}},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(c.want, seen.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if err := be.List(t.Context(), "packs/", func(backend.Info) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := seen.take(); len(got) != 1 {
		t.Errorf("8 objects listed with %q", got)
	}
	// The first delete asks once whether the bucket keeps versions.
	for i, want := range []int{2, 1, 1} {
		if err := be.Delete(t.Context(), names[i]); err != nil {
			t.Fatal(err)
		}
		if got := seen.take(); len(got) != want {
			t.Errorf("delete %d: %q, want %d requests", i, got, want)
		}
	}
}

// A put says before its body how long it is and which checksum it has.
func TestWhatAPutSends(t *testing.T) {
	s := servers.S3(t)
	var sent http.Header
	var length int64
	seen := tap{answer: func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent, length = r.Header.Clone(), r.ContentLength
		return next.RoundTrip(r)
	}}
	c := configure(s, "p")
	c.Wrap = seen.wrap
	put(t, open(t, c), "a", "123456789", backend.PutOptions{IfAbsent: true})
	for name, want := range map[string]string{
		"X-Amz-Checksum-Crc32c": "4waSgw==", // the check value of CRC-32C
		"If-None-Match":         "*",
		"Content-Encoding":      "", // no chunks
		"X-Amz-Trailer":         "",
	} {
		if got := sent.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if length != 9 {
		t.Errorf("a length of %d, want 9", length)
	}
}

// Bodies are sent from where the caller has them: 64 packs at a time take hardly
// more memory than the packs themselves.
func TestPutsMakeNoCopies(t *testing.T) {
	s := servers.S3(t)
	be := open(t, configure(s, "p"))
	data := noise(packSize)
	put(t, be, "warm", "up", backend.PutOptions{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	errs := make(chan error)
	const puts = 64
	for i := range puts {
		go func() { errs <- be.Put(t.Context(), fmt.Sprintf("packs/%d", i), data, backend.PutOptions{}) }()
	}
	for range puts {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	runtime.ReadMemStats(&after)
	perPut := (after.TotalAlloc - before.TotalAlloc) / puts
	t.Logf("%d KiB allocated for a put of %d KiB", perPut>>10, packSize>>10)
	if perPut > 512<<10 {
		t.Errorf("a put of %d bytes allocates %d", packSize, perPut)
	}
}

func BenchmarkPut(b *testing.B) {
	be := open(b, configure(servers.S3(b), "p"))
	data := noise(packSize)
	b.SetBytes(packSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := be.Put(b.Context(), fmt.Sprintf("packs/%d", i%16), data, backend.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	be := open(b, configure(servers.S3(b), "p"))
	if err := be.Put(b.Context(), "a", noise(packSize), backend.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	for name, length := range map[string]int64{"whole": -1, "range": packSize} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(packSize)
			b.ReportAllocs()
			for b.Loop() {
				r, err := be.Get(b.Context(), "a", 0, length)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != packSize {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
	}
}

// A bit that changes on the way up is found by the server, one that changes on the
// way down here, before the last byte is handed out.
func TestBitsThatChangeOnTheWay(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	data := noise(1 << 20)

	proxy.On(wire.Put).Flip()
	err := be.Put(t.Context(), "a", data, backend.PutOptions{})
	if !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("put of changed bytes: %v, want ErrDamaged", err)
	}
	wantTemporary(t, "put of changed bytes", err)
	if _, err := be.Stat(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("what was refused is there: %v", err)
	}

	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy.On(wire.Get).Flip()
	r, err := be.Get(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	// A reader that knows the length never asks for the end.
	_, err = io.ReadFull(r, make([]byte, len(data)))
	r.Close()
	if !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("get of changed bytes: %v, want ErrDamaged", err)
	}
	wantTemporary(t, "get of changed bytes", err)
	if got, err := read(t.Context(), be, "a", 0, -1); err != nil || !bytes.Equal(got, data) {
		t.Errorf("then: %d bytes, %v", len(got), err)
	}
}

// A body that ends early is never short data.
func TestBodiesThatEndEarly(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	data := noise(1 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(*wire.Rule){
		"truncated": func(r *wire.Rule) { r.Truncate(1000) },
		"nothing":   func(r *wire.Rule) { r.Truncate(0) },
		"reset":     (*wire.Rule).Reset,
	} {
		for _, length := range []int64{-1, 500_000} {
			fault(proxy.On(wire.Get))
			got, err := read(t.Context(), be, "a", 0, length)
			if err == nil {
				t.Errorf("%s: %d bytes and no error", name, len(got))
			}
			wantTemporary(t, name, err)
			if errors.Is(err, backend.ErrShort) {
				t.Errorf("%s: %v blames the object", name, err)
			}
		}
		fault(proxy.On(wire.Put))
		if err := be.Put(t.Context(), "b", data, backend.PutOptions{}); err != nil {
			wantTemporary(t, name, err)
			if _, err := be.Stat(t.Context(), "b"); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("%s: half an object is there: %v", name, err)
			}
		} else {
			t.Errorf("%s: the put succeeded", name)
		}
	}
}

// The end of a context ends what is under way, with its own cause.
func TestContextEndsAReadInTheMiddle(t *testing.T) {
	s := servers.S3(t)
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	be := open(t, c)
	if err := be.Put(t.Context(), "a", noise(1<<20), backend.PutOptions{}); err != nil {
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

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	s := servers.S3(t)
	var seen tap
	c := configure(s, "p")
	c.Wrap = seen.wrap
	be := open(t, c)
	put(t, be, "a", "0123456789", backend.PutOptions{})
	for name, c := range map[string]struct {
		status     int
		body, span string
		want       error
	}{
		"whole for a part": {http.StatusOK, "0123456789", "", backend.ErrUnsupported},
		"another part":     {http.StatusPartialContent, "3456", "bytes 3-6/10", backend.ErrDamaged},
		"a longer part":    {http.StatusPartialContent, "2345678", "bytes 2-8/10", backend.ErrDamaged},
		"a shorter part":   {http.StatusPartialContent, "234", "bytes 2-4/10", backend.ErrDamaged},
		"another length":   {http.StatusPartialContent, "23456", "bytes 2-5/10", backend.ErrDamaged},
		"a cut object":     {http.StatusPartialContent, "23", "bytes 2-3/4", backend.ErrShort},
		"nonsense":         {http.StatusPartialContent, "2345", "bytes x-y/z", backend.ErrDamaged},
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp := say(r, c.status, "", "")
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(c.body)))
			if c.span != "" {
				resp.Header.Set("Content-Range", c.span)
			}
			return resp, nil
		}
		if got, err := read(t.Context(), be, "a", 2, 4); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v; want %v", name, got, err, c.want)
		}
	}
	seen.answer = func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Header.Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
		}
		return resp, err
	}
	if err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{}); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("a put that the server stored with another checksum: %v", err)
	}
}

// A listing shows what a put could have made, and nothing else.
func TestForeignKeysAreNotObjects(t *testing.T) {
	s := servers.S3(t)
	client := owner(t, s)
	be := open(t, configure(s, "p"))
	put(t, be, "a/b%20c+d", "x", backend.PutOptions{})
	for _, key := range []string{"p/with space", "p/a/ümlaut", "pq/other", "p/a/quo\"te&<x>", "elsewhere"} {
		if _, err := client.PutObject(t.Context(), putInput(s.Bucket, key, "y")); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	if err := be.List(t.Context(), "", func(i backend.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/b%20c+d"}, names); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// A listing that goes round in circles, or breaks off, is an error and not an end.
func TestListingsThatNeverEnd(t *testing.T) {
	s := servers.S3(t)
	var seen tap
	c := configure(s, "p")
	c.Wrap = seen.wrap
	be := open(t, c)
	put(t, be, "a", "x", backend.PutOptions{})
	pages := map[string]string{
		"circles":  `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken></ListBucketResult>`,
		"no token": `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`,
		"half":     `<ListBucketResult><Contents><Key>p/a</Key>`,
	}
	for name, page := range pages {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp := say(r, http.StatusOK, "", "")
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(page)), int64(len(page))
			return resp, nil
		}
		if err := be.List(t.Context(), "", func(backend.Info) error { return nil }); err == nil {
			t.Errorf("%s: the listing ended well", name)
		}
	}
}
