package storage_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"mahavishnu/storage"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for location, want := range map[string]string{
		"file://" + dir:          "file://" + dir,
		"file://localhost" + dir: "file://" + dir,
		dir:                      "file://" + dir,
		"file:///a%23b":          "file:///a%23b",
		"/a#b?c":                 "file:///a%23b%3Fc",
	} {
		be, err := storage.Open(t.Context(), location)
		if err != nil || be.Location() != want {
			t.Errorf("Open %s: %v, %v; want %s", location, be, err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for location, want := range map[string]string{
		"s3://user:hush@bucket/prefix": "user or password",
		"s3://bucket?secret_key=hush":  "secret into the URL",
		"s3://bucket?regoin=x":         "not known",
		"azblob://c1":                  "not the name of a container",
		"gs://bucket#x":                "after #",
		"s3:bucket/prefix":             "not the URL",
		"ftp://u:hush@host/":           "unknown kind",
		"s4://bucket?key=hush":         "unknown kind",
		"file://host/path":             "no host",
		"file:///a#b":                  "after ? or #",
		"file:///a?b":                  "after ? or #",
		"http://%zz":                   "not a URL",
		"":                             "no directory",
	} {
		_, err := storage.Open(t.Context(), location)
		var e *storage.Error
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("Open %q = %v, want an error about %q with a hint", location, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("Open %q shows a secret: %v", location, err)
		}
	}
}

func TestReadAllIsBounded(t *testing.T) {
	be, err := storage.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := be.Put(t.Context(), "a", make([]byte, 100), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.ReadAll(t.Context(), be, "a", 99, nil); !errors.Is(err, storage.ErrOversize) {
		t.Errorf("ReadAll = %v, want ErrOversize", err)
	}
	buf := make([]byte, 0, 200)
	data, err := storage.ReadAll(t.Context(), be, "a", 100, buf)
	if err != nil || len(data) != 100 || &data[0] != &buf[:1][0] {
		t.Errorf("ReadAll = %d bytes, %v; want 100 in the given space", len(data), err)
	}
}

// ended is a connection that ends in the middle, in the words of package net/http.
type ended struct{ storage.Backend }

func (e ended) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r, err := e.Backend.Get(ctx, name, offset, 10)
	if err != nil {
		return nil, err
	}
	closed := &storage.TemporaryError{Err: &url.Error{Op: "Get", Err: io.EOF}}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(r, iotest.ErrReader(closed)), r}, nil
}

// A connection that ends is neither the end of an object nor a truncated one.
func TestEndOfAConnectionIsNoEndOfAnObject(t *testing.T) {
	be, err := storage.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := be.Put(t.Context(), "a", make([]byte, 100), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var temporary *storage.TemporaryError
	if data, err := storage.ReadAll(t.Context(), ended{be}, "a", 1000, nil); !errors.As(err, &temporary) {
		t.Errorf("ReadAll = %d bytes, %v", len(data), err)
	}
	if err := storage.ReadRange(t.Context(), ended{be}, "a", 0, make([]byte, 100)); !errors.As(err, &temporary) || errors.Is(err, storage.ErrShort) {
		t.Errorf("ReadRange = %v", err)
	}
}
