package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// Objects cost one request each, and to know that they are durable costs none.
func TestRequests(t *testing.T) {
	s := servers.S3(t)
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
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
	if got := seen.Take().Asked; len(got) != len(names)+1 {
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
		if diff := cmp.Diff(c.want, seen.Take().Asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if err := be.List(t.Context(), "packs/", func(backend.Info) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := seen.Take().Asked; len(got) != 1 {
		t.Errorf("8 objects listed with %q", got)
	}
	// The first delete asks once whether the bucket keeps versions.
	for i, want := range []int{2, 1, 1} {
		if err := be.Delete(t.Context(), names[i]); err != nil {
			t.Fatal(err)
		}
		if got := seen.Take().Asked; len(got) != want {
			t.Errorf("delete %d: %q, want %d requests", i, got, want)
		}
	}
}

// A put says before its body how long it is and which checksum it has.
func TestWhatAPutSends(t *testing.T) {
	s := servers.S3(t)
	var sent http.Header
	var length int64
	seen := tapped(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent, length = r.Header.Clone(), r.ContentLength
		return next.RoundTrip(r)
	})
	c := configure(s, "p")
	c.Wrap = seen.Wrap
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

func BenchmarkPut(b *testing.B) {
	be := open(b, configure(servers.S3(b), "p"))
	data := noise(storagetest.PackSize)
	b.SetBytes(storagetest.PackSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := be.Put(b.Context(), fmt.Sprintf("packs/%d", i%16), data, backend.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	be := open(b, configure(servers.S3(b), "p"))
	if err := be.Put(b.Context(), "a", noise(storagetest.PackSize), backend.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	for name, length := range map[string]int64{"whole": -1, "range": storagetest.PackSize} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(storagetest.PackSize)
			b.ReportAllocs()
			for b.Loop() {
				r, err := be.Get(b.Context(), "a", 0, length)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != storagetest.PackSize {
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
	be, proxy := through(t, servers.S3(t))
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
	be, proxy := through(t, servers.S3(t))
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

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	s := servers.S3(t)
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
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
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
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
	seen.Answer = func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
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
	storagetest.WantNames(t, be, "a/b%20c+d")
}

func TestPutsMakeNoCopies(t *testing.T) {
	storagetest.RunPutsMakeNoCopies(t, open(t, configure(servers.S3(t), "p")), 4)
}

func TestBrokenTransfers(t *testing.T) {
	be, proxy := through(t, servers.S3(t))
	t.Run("Resume", func(t *testing.T) { storagetest.RunResume(t, be, proxy) })
	t.Run("ContextEnds", func(t *testing.T) { storagetest.RunContextEnds(t, be, proxy) })
}

// through returns a backend behind a proxy that breaks things.
func through(t testing.TB, s *servers.S3Server) (*s3.Backend, *wire.Proxy) {
	t.Helper()
	proxy := wire.New(t, wire.S3, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	return open(t, c), proxy
}

func TestListingsThatNeverEnd(t *testing.T) {
	seen := tapped(nil)
	c := configure(servers.S3(t), "p")
	c.Wrap = seen.Wrap
	storagetest.RunListings(t, open(t, c), seen, map[string]string{
		"circles":  `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken></ListBucketResult>`,
		"no token": `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`,
		"half":     `<ListBucketResult><Contents><Key>p/a</Key>`,
	})
}
