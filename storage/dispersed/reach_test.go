package dispersed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/retry"
)

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// refusing is a storage whose server can be stopped, and counts what it is asked for.
type refusing struct {
	*faults.Memory
	down, silent atomic.Bool
	asked        atomic.Int64
}

func (r *refusing) knock(ctx context.Context) error {
	r.asked.Add(1)
	switch {
	case r.down.Load():
		return errRefused
	case r.silent.Load():
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (r *refusing) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if err := r.knock(ctx); err != nil {
		return err
	}
	return r.Memory.Put(ctx, name, data, o)
}

func (r *refusing) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := r.knock(ctx); err != nil {
		return nil, err
	}
	return r.Memory.Get(ctx, name, offset, length)
}

func (r *refusing) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	if err := r.knock(ctx); err != nil {
		return err
	}
	return r.Memory.List(ctx, prefix, fn)
}

func (r *refusing) Delete(ctx context.Context, name string) error {
	if err := r.knock(ctx); err != nil {
		return err
	}
	return r.Memory.Delete(ctx, name)
}

// far is 4+2 over storages that try again what fails.
func far(t *testing.T, told *notices) (*dispersed.Backend, []*refusing) {
	t.Helper()
	c := dispersed.Config{Data: 4, Parity: 2, Tell: told.tell}
	var all []*refusing
	for range 6 {
		r := &refusing{Memory: faults.NewMemory()}
		all = append(all, r)
		c.Places = append(c.Places, dispersed.Place{Open: func(_ context.Context, failing func(error)) (storage.Backend, error) {
			return retry.Wrap(r, retry.Options{
				Random:  func() float64 { return 0.5 }, // it gives up after 13 seconds
				Observe: func(_ string, err error, _ time.Duration) { failing(err) },
			}), nil
		}})
	}
	b, err := dispersed.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Form(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, all
}

// A storage that is put aside is tried behind what is going on, less often each time,
// and counts again when it answers.
func TestStorageComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notices{}
		b, all := far(t, told)
		mustPut(t, b, "packs/1", noise(1, 50000))
		synctest.Wait()
		all[1].down.Store(true)
		mustPut(t, b, "packs/2", noise(2, 50000))
		synctest.Wait()
		all[1].asked.Store(0)
		began := time.Now()
		for time.Since(began) < 5*time.Minute {
			wantData(t, b, "packs/1", noise(1, 50000))
			if _, err := b.Examine(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		// 1 s, 2 s, 4 s ... 30 s, and the storage's own retries in between, which end.
		if n := all[1].asked.Load(); n == 0 || n > 20 {
			t.Errorf("it was tried %d times in 5 minutes", n)
		}
		if got := told.take(); !slices.Equal(got, []string{"2 away"}) {
			t.Errorf("told: %v", got)
		}
		all[1].down.Store(false)
		for range 60 {
			_ = listed(t, b, "packs/")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if got := told.take(); !slices.Equal(got, []string{"2 "}) {
			t.Errorf("told when it was back: %v", got)
		}
		mustPut(t, b, "packs/3", noise(3, 50000))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if all[1].Objects()["packs/3"] == nil {
			t.Error("it gets nothing although it is back")
		}
	})
}

// More storages than can be done without are waited for as one alone would be: nothing
// fails that goes on after a while.
func TestShortFailureOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notices{}
		b, all := far(t, told)
		mustPut(t, b, "packs/1", noise(1, 50000))
		synctest.Wait()
		for _, r := range all {
			r.down.Store(true)
		}
		up := time.AfterFunc(5*time.Second, func() {
			for _, r := range all {
				r.down.Store(false)
			}
		})
		defer up.Stop()
		mustPut(t, b, "packs/2", noise(2, 50000))
		wantData(t, b, "packs/2", noise(2, 50000))
		for _, r := range all {
			r.down.Store(true)
		}
		up.Reset(5 * time.Second)
		wantData(t, b, "packs/1", noise(1, 50000))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A storage that takes requests and never answers is put aside as well, after a few.
func TestSilentStorageIsPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notices{}
		b, all := far(t, told)
		for i := range 20 {
			mustPut(t, b, fmt.Sprint("packs/", i), noise(i, 50000))
		}
		synctest.Wait()
		all[4].silent.Store(true)
		began := time.Now()
		for range 50 {
			if n := len(listed(t, b, "packs/")); n != 20 {
				t.Fatalf("%d are listed", n)
			}
		}
		// Patience is two seconds, three times.
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("50 listings waited %v for it", took)
		}
		if got := told.take(); !slices.Equal(got, []string{"5 away"}) {
			t.Errorf("told: %v", got)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A failure that no other request would have stays that request's: a storage that
// answers is not put aside.
func TestAnsweringStorageIsNotPutAside(t *testing.T) {
	told := &notices{}
	b, all := far(t, told)
	mustPut(t, b, "packs/1", noise(1, 50000))
	for range 10 {
		for _, name := range []string{"packs/none", "packs/1"} {
			if _, err := b.Stat(t.Context(), name); err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Stat(ctx, "packs/1"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); len(got) > 0 {
		t.Errorf("told: %v", got)
	}
	for i, r := range all {
		if r.asked.Load() == 0 {
			t.Errorf("storage %d was never asked", i+1)
		}
	}
}

// What is said of too few storages names those that are put aside, and why.
func TestPutAsideIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, all := far(t, &notices{})
		mustPut(t, b, "packs/1", noise(1, 50000))
		synctest.Wait()
		for _, i := range []int{0, 2, 5} {
			all[i].down.Store(true)
		}
		_, err := get(t.Context(), b, "packs/1", 0, -1)
		if err == nil {
			t.Fatal("it is read with three storages")
		}
		for _, part := range []string{"storage 1: ", "storage 3: ", "storage 6: ", "connection refused"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %s", err, part)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
