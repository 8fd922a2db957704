//go:build !windows

package keeper_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
)

// A keeper that cannot write down whom it obeys stops its member all the same when it is
// told to, gives the lease back, and obeys nobody older from then on.
func TestAFenceNeedsNoDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		r := c.plain("a")
		defer c.end("a")
		time.Sleep(time.Minute)
		if !c.writable("a") {
			t.Fatalf("%+v", r.k.Status())
		}
		if err := os.RemoveAll(c.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := c.order("a", keeper.Command{Verb: keeper.Fence, Epoch: 9}); err == nil {
			t.Error("it says that it remembers what it could not write")
		}
		if s := r.k.Status(); c.writable("a") || s.Holds {
			t.Errorf("it was told to stop, and: %+v", s)
		}
		if _, err := c.order("a", keeper.Command{Verb: keeper.Fence, Epoch: 8}); !errors.Is(err, keeper.ErrStale) {
			t.Errorf("by somebody older: %v", err)
		}
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := c.order("a", keeper.Command{Verb: keeper.Fence, Epoch: 9}); err != nil {
			t.Error(err)
		}
	})
}
