package azure_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/azure"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

func TestSuite(t *testing.T) {
	s := servers.Azure(t)
	var places atomic.Int64
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		return open(t, configure(s, fmt.Sprintf("place-%d/below", places.Add(1))))
	})
}

// Without a prefix the whole container is the place.
func testWithoutPrefix(t *testing.T, s *servers.AzureServer) {
	be := open(t, configure(s, ""))
	put(t, be, "a/b", "x", storage.PutOptions{})
	wantText(t, be, "a/b", "x")
	below := open(t, configure(s, "a"))
	wantText(t, below, "b", "x")
	for place, want := range map[*azure.Backend]string{be: "a/b", below: "b"} {
		var names []string
		if err := place.List(t.Context(), "", func(i storage.Info) error { names = append(names, i.Name); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(names, []string{want}) {
			t.Errorf("%s lists %q, want %q", place.Location(), names, want)
		}
	}
}

// What the network does to requests and answers is never taken for the truth.
func TestWire(t *testing.T) {
	s := servers.Azure(t)
	storagetest.RunWire(t, wire.Azure, s.Process.Endpoint(), func(t *testing.T, endpoint, prefix string, wrap func(http.RoundTripper) http.RoundTripper) storage.Backend {
		c := configure(s, prefix)
		c.Endpoint, c.Wrap = endpoint, wrap
		return open(t, c)
	})
}
