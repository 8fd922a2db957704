package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/retry"
)

// Many operations on a dead server cost little more than one request each, and none
// waits for longer than the server was given.
func TestDeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		script := faults.Wrap(memory)
		be := retry.Wrap(script, retry.Options{Random: longest, First: time.Second, Longest: 20 * time.Second, Dead: time.Minute})
		var mu sync.Mutex
		asked := 0
		script.On(faults.Stat).Times(-1).Do(func(string) { mu.Lock(); asked++; mu.Unlock() }).Fail(errReset)
		const operations = 50
		var wg sync.WaitGroup
		begun := time.Now()
		for i := range operations {
			wg.Go(func() {
				if _, err := be.Stat(t.Context(), fmt.Sprint("o", i)); !errors.Is(err, errReset) {
					t.Errorf("Stat = %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("operations on a server that is dead for a minute took %v", took)
		}
		if asked > operations+20 {
			t.Errorf("%d requests for %d operations on a dead server", asked, operations)
		}
		// Once it is known to be dead, one more operation is one more request.
		before := asked
		if _, err := be.Stat(t.Context(), "more"); err == nil || asked != before+1 {
			t.Errorf("%v after %d more requests", err, asked-before)
		}
	})
}

// away is a server that does not answer until a time.
type away struct {
	storage.Backend
	until time.Time
	asked atomic.Int64
}

func (a *away) Stat(ctx context.Context, name string) (storage.Info, error) {
	a.asked.Add(1)
	if time.Now().Before(a.until) {
		return storage.Info{}, errReset
	}
	return a.Backend.Stat(ctx, name)
}

// While the server is away one asks for all, and when it is back everybody goes on at once.
func TestServerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		memory.Set("a", []byte("x"))
		server := &away{Backend: memory, until: time.Now().Add(time.Minute)}
		be := retry.Wrap(server, retry.Options{Random: longest, First: time.Second, Longest: 4 * time.Second, Attempts: 100, Dead: time.Hour})
		const operations = 40
		var wg sync.WaitGroup
		for range operations {
			wg.Go(func() {
				if _, err := be.Stat(t.Context(), "a"); err != nil {
					t.Errorf("Stat = %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(server.until); took > 8*time.Second {
			t.Errorf("the last went on %v after the server was back", took)
		}
		// Each at first, then one in every four seconds, then each once more.
		if asked := server.asked.Load(); asked > 2*operations+60/4+5 {
			t.Errorf("%d requests for %d operations", asked, operations)
		}
	})
}

// What one was asked to wait, all wait.
func TestAllWaitAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		memory.Set("a", []byte("x"))
		script := faults.Wrap(memory)
		be := retry.Wrap(script, retry.Options{Random: longest})
		begun := time.Now()
		script.On(faults.Stat).Fail(&storage.TemporaryError{Err: errors.New("slow down"), After: 10 * time.Second})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := be.Stat(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if err := be.Put(t.Context(), "b", nil, storage.PutOptions{}); err != nil || time.Since(begun) < 10*time.Second {
			t.Errorf("another operation was made after %v: %v", time.Since(begun), err)
		}
		<-done
	})
}

// A listing that tries for all lets the others go on with its first name: they may be what
// is done with the names.
func TestListingTriesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		memory.Set("a", []byte("x"))
		script := faults.Wrap(memory)
		be := retry.Wrap(script, retry.Options{Random: longest, Attempts: 3, First: time.Second, Longest: time.Second})
		script.On(faults.Delete).Times(3).Fail(errReset)
		if err := be.Delete(t.Context(), "b"); err == nil {
			t.Fatal("the delete did not fail")
		}
		begun := time.Now()
		err := be.List(t.Context(), "", func(i storage.Info) error { _, err := be.Stat(t.Context(), i.Name); return err })
		if took := time.Since(begun); err != nil || took > time.Minute {
			t.Errorf("List = %v after %v", err, took)
		}
	})
}

// stuck is a server that takes a request and never answers.
type stuck struct {
	storage.Backend
	failures int
}

func (s *stuck) Stat(ctx context.Context, _ string) (storage.Info, error) {
	if s.failures > 0 {
		s.failures--
		return storage.Info{}, errReset
	}
	<-ctx.Done()
	return storage.Info{}, context.Cause(ctx)
}

// Nobody waits for longer for the one that tries for all than for an operation of his own.
func TestNobodyWaitsForEverForTheOneThatTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be := retry.Wrap(&stuck{faults.NewMemory(), 3}, retry.Options{Random: longest, Attempts: 3, First: time.Second, Elapsed: 10 * time.Minute})
		if _, err := be.Stat(t.Context(), "a"); err == nil {
			t.Fatal("the stat did not fail")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = be.Stat(ctx, "the one that tries")
		}()
		time.Sleep(time.Minute)
		begun := time.Now()
		if err := be.Delete(t.Context(), "b"); !errors.Is(err, errReset) || time.Since(begun) > 10*time.Minute {
			t.Errorf("Delete = %v after %v", err, time.Since(begun))
		}
		cancel()
		<-ended
	})
}
