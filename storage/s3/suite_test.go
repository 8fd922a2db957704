package s3_test

import (
	"fmt"
	"net/http"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// Every backend does the same, whether the bucket keeps versions or not.
func TestSuite(t *testing.T) {
	for name, options := range map[string][]servers.S3Option{
		"plain": nil, "versions": {servers.Versioning()}, "locked": {servers.ObjectLock()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servers.S3(t, options...)
			places := 0
			storagetest.Run(t, func(t *testing.T) storage.Backend {
				places++
				return open(t, configure(s, fmt.Sprintf("place-%d/below", places)))
			})
		})
	}
}

// Whatever the network and the server do: no wrong byte, no lost object, a clear end.
func TestWire(t *testing.T) {
	s := servers.S3(t)
	storagetest.RunWire(t, wire.S3, s.Endpoint(), func(t *testing.T, endpoint, prefix string, wrap func(http.RoundTripper) http.RoundTripper) storage.Backend {
		c := configure(s, prefix)
		c.Endpoint, c.Wrap = endpoint, wrap
		return open(t, c)
	})
}

// Without a prefix the whole bucket is the place.
func TestSuiteOfAWholeBucket(t *testing.T) {
	s := servers.S3(t)
	buckets := 0
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		buckets++
		c := configure(s, "")
		c.Bucket = fmt.Sprintf("bucket-%d", buckets)
		s.MakeBucket(c.Bucket)
		return open(t, c)
	})
}
