//go:build !windows

package keeper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
)

// promoting is a service whose keeper has come back and makes its member the primary by
// itself, which takes ten seconds.
func promoting(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
	c.set("a", func(m *member) { m.slow = 10 * time.Second })
	c.patience = 30 * time.Second
	c.plain("a")
	time.Sleep(time.Second)
	if s := c.run["a"].k.Status(); s.State != keeper.Promoting {
		t.Fatalf("it is %s", s.State)
	}
	return c
}

// An order for the very thing that is under way is answered when that is done, and one
// for something else is obeyed then.
func TestAnOrderWaitsForWhatIsBeingDone(t *testing.T) {
	t.Parallel()
	for verb, want := range map[keeper.Verb]keeper.State{keeper.Promote: keeper.Leading, keeper.Demote: keeper.Fenced} {
		t.Run(string(verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := promoting(t)
				defer c.end("a")
				began := time.Now()
				answer, err := c.order("a", keeper.Command{Verb: verb})
				if err != nil || answer.State != want {
					t.Fatalf("%+v, %v", answer, err)
				}
				if took := time.Since(began); took < 8*time.Second {
					t.Errorf("it was answered after %v, before the promotion had ended", took)
				}
				if s := c.run["a"].k.Status(); s.State != want || c.writable("a") != (want == keeper.Leading) {
					t.Errorf("it is %s, writable: %v", s.State, c.writable("a"))
				}
				c.check()
			})
		})
	}
}

// All that order the same are answered, except by a coordinator that was replaced while
// it waited.
func TestSeveralOrdersForTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := promoting(t)
		defer c.end("a")
		order := func(epoch uint64) chan error {
			answered := make(chan error, 1)
			go func() {
				_, err := c.order("a", keeper.Command{Verb: keeper.Promote, Epoch: epoch})
				answered <- err
			}()
			synctest.Wait()
			return answered
		}
		replaced, one, another := order(2), order(3), order(3)
		if err := errors.Join(<-one, <-another); err != nil {
			t.Error(err)
		}
		if err := <-replaced; !errors.Is(err, keeper.ErrStale) {
			t.Errorf("the coordinator that was replaced: %v", err)
		}
	})
}

// Whoever gives up waiting has ordered nothing.
func TestAnOrderThatWasGivenUpIsNotObeyed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := promoting(t)
		defer c.end("a")
		c.patience = time.Second
		if _, err := c.order("a", keeper.Command{Verb: keeper.Demote}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if s := c.run["a"].k.Status(); s.State != keeper.Leading {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
	})
}

// What is ordered later counts, and is told to whoever ordered something else before.
func TestALaterOrderTakesThePlaceOfOneThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := promoting(t)
		defer c.end("a")
		waiting := make(chan error, 1)
		go func() {
			_, err := c.order("a", keeper.Command{Verb: keeper.Demote})
			waiting <- err
		}()
		synctest.Wait()
		if answer, err := c.order("a", keeper.Command{Verb: keeper.Promote}); err != nil || answer.State != keeper.Leading {
			t.Errorf("%+v, %v", answer, err)
		}
		if err := <-waiting; !errors.Is(err, keeper.ErrBusy) {
			t.Errorf("the order before: %v", err)
		}
	})
}

// Asked by a coordinator, a keeper obeys nobody older from then on, whatever it is at.
func TestHeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := promoting(t)
		defer c.end("a")
		began := time.Now()
		answer, err := c.order("a", keeper.Command{Verb: keeper.Heed, Epoch: 7})
		if err != nil || answer.State != keeper.Promoting || time.Since(began) > 0 {
			t.Errorf("%+v after %v, %v", answer, time.Since(began), err)
		}
		for _, verb := range []keeper.Verb{keeper.Fence, keeper.Promote, keeper.Heed} {
			if _, err := c.order("a", keeper.Command{Verb: verb, Epoch: 6}); !errors.Is(err, keeper.ErrStale) {
				t.Errorf("%s by somebody older: %v", verb, err)
			}
		}
		time.Sleep(20 * time.Second)
		if s := c.run["a"].k.Status(); s.State != keeper.Leading || s.CommandEpoch != 7 {
			t.Errorf("%+v", s)
		}
	})
}
