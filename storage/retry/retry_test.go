package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/retry"
	"mahavishnu/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errReset = &storage.TemporaryError{Err: errors.New("connection reset")}
	errFinal = errors.New("the disk is on fire")
)

// longest makes all waits as long as jitter allows, so that they can be told.
func longest() float64 { return 1 }

// rig is a memory whose operations fail by a script, with retries around it.
type rig struct {
	memory *faults.Memory
	script *faults.Backend
	be     storage.Backend
	waits  []time.Duration
}

func newRig(o retry.Options) *rig {
	r := &rig{memory: faults.NewMemory()}
	r.script = faults.Wrap(r.memory)
	if o.Random == nil {
		o.Random = longest
	}
	o.Observe = func(_ string, _ error, wait time.Duration) { r.waits = append(r.waits, wait) }
	r.be = retry.Wrap(r.script, o)
	return r
}

func (r *rig) read(t *testing.T, name string) (string, error) {
	t.Helper()
	body, err := r.be.Get(t.Context(), name, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	return string(data), errors.Join(err, body.Close())
}

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Backend { return retry.Wrap(faults.NewMemory(), retry.Options{}) })
}

// Every operation is tried again, with waits that double up to the longest.
func TestTriesAgain(t *testing.T) {
	for op, do := range map[faults.Op]func(context.Context, storage.Backend) error{
		faults.Put: func(ctx context.Context, be storage.Backend) error {
			return be.Put(ctx, "new", []byte("x"), storage.PutOptions{})
		},
		faults.Get: func(ctx context.Context, be storage.Backend) error {
			r, err := be.Get(ctx, "a", 0, -1)
			if err == nil {
				r.Close()
			}
			return err
		},
		faults.Stat: func(ctx context.Context, be storage.Backend) error { _, err := be.Stat(ctx, "a"); return err },
		faults.List: func(ctx context.Context, be storage.Backend) error {
			return be.List(ctx, "", func(storage.Info) error { return nil })
		},
		faults.Delete: func(ctx context.Context, be storage.Backend) error { return be.Delete(ctx, "a") },
		faults.Sync:   func(ctx context.Context, be storage.Backend) error { return be.Sync(ctx, []string{"a"}) },
	} {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(retry.Options{First: time.Second, Longest: 3 * time.Second, Attempts: 4})
				r.memory.Set("a", []byte("abc"))
				r.script.On(op).Times(3).Fail(errReset)
				if err := do(t.Context(), r.be); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, r.waits); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
				r.script.On(op).Times(4).Fail(errReset)
				err := do(t.Context(), r.be)
				if err == nil || !strings.Contains(err.Error(), "gave up after 4 tries in 6s") || !errors.Is(err, errReset) {
					t.Errorf("after as many failures as tries: %v", err)
				}
			})
		})
	}
}

// What the storage has decided is not asked again.
func TestDecidedIsDecided(t *testing.T) {
	for _, final := range []error{
		storage.ErrNotFound, storage.ErrExists, storage.ErrShort, storage.ErrReadOnly, storage.ErrFull, storage.ErrBadName, storage.ErrDenied,
		storage.ErrRetained, storage.ErrArchived, storage.ErrUnsupported, errFinal,
		&storage.TemporaryError{Err: storage.ErrDenied}, // whatever it is wrapped in
	} {
		r := newRig(retry.Options{})
		r.script.On(faults.Stat).Fail(final)
		if _, err := r.be.Stat(t.Context(), "a"); !errors.Is(err, final) || strings.Contains(err.Error(), "gave up") {
			t.Errorf("%v became %v", final, err)
		}
		if len(r.waits) != 0 {
			t.Errorf("%v was asked again", final)
		}
	}
}

// A server that asks for a longer wait gets it; one that asks for more than is
// left of the time ends the operation at once.
func TestWaitsAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{First: time.Second, Elapsed: time.Minute})
		r.script.On(faults.Delete).Fail(&storage.TemporaryError{Err: errors.New("slow down"), After: 30 * time.Second})
		if err := r.be.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.waits, []time.Duration{30 * time.Second}) {
			t.Errorf("waits %v, want the 30 s that the server asked for", r.waits)
		}
		r.script.On(faults.Delete).Fail(&storage.TemporaryError{Err: errors.New("slow down"), After: 2 * time.Minute})
		begun := time.Now()
		if err := r.be.Delete(t.Context(), "a"); err == nil || time.Since(begun) != 0 {
			t.Errorf("asked for more than is left: %v after %v", err, time.Since(begun))
		}
	})
}

// The time for one operation is bounded, however many tries are left.
func TestElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{First: time.Second, Longest: time.Second, Attempts: 1000, Elapsed: 10 * time.Second, Dead: time.Hour})
		r.script.On(faults.Stat).Times(-1).Fail(errReset)
		begun := time.Now()
		_, err := r.be.Stat(t.Context(), "a")
		if took := time.Since(begun); err == nil || took > 10*time.Second || took < 8*time.Second {
			t.Errorf("gave up after %v: %v", took, err)
		}
		var e *storage.Error
		if !errors.As(err, &e) || e.Object != "a" || e.Hint == "" {
			t.Errorf("the error %v does not say which object it is about and what to do", err)
		}
	})
}

// The end of a context ends the wait, with its own cause.
func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{First: time.Hour, Longest: time.Hour, Elapsed: 24 * time.Hour})
		r.script.On(faults.Stat).Fail(errReset)
		why := errors.New("lease lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		begun := time.Now()
		_, err := r.be.Stat(ctx, "a")
		if !errors.Is(err, why) || !errors.Is(err, errReset) || time.Since(begun) != time.Second {
			t.Errorf("Stat = %v after %v, want both causes after 1s", err, time.Since(begun))
		}
	})
}

// A conditional put whose answer was lost succeeded; one that another made first did not.
func TestConditionalPutWithoutAnAnswer(t *testing.T) {
	if0 := storage.PutOptions{IfAbsent: true}
	t.Run("its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(retry.Options{})
			r.script.On(faults.Put).Lose(errReset)
			if err := r.be.Put(t.Context(), "a", []byte("mine"), if0); err != nil {
				t.Errorf("the put that took effect: %v", err)
			}
		})
	})
	for name, others := range map[string]string{"longer": "theirs", "as long": "hers"} {
		t.Run("another's, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(retry.Options{})
				r.script.On(faults.Put).Do(func(string) { r.memory.Set("a", []byte(others)) }).Fail(errReset)
				if err := r.be.Put(t.Context(), "a", []byte("mine"), if0); !errors.Is(err, storage.ErrExists) {
					t.Errorf("the put that another was quicker with: %v, want ErrExists", err)
				}
			})
		})
	}
	t.Run("equal and refused at once", func(t *testing.T) {
		r := newRig(retry.Options{})
		r.memory.Set("a", []byte("mine"))
		if err := r.be.Put(t.Context(), "a", []byte("mine"), if0); !errors.Is(err, storage.ErrExists) {
			t.Errorf("a first put of a taken name: %v, want ErrExists", err)
		}
	})
	t.Run("looked at through failures", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(retry.Options{})
			r.script.On(faults.Put).Lose(errReset)
			r.script.On(faults.Stat).Fail(errReset)
			r.script.On(faults.Get).Break(2, errReset)
			if err := r.be.Put(t.Context(), "a", []byte("mine"), if0); err != nil {
				t.Errorf("the put that took effect: %v", err)
			}
		})
	})
}

// A body goes on where it broke, as often as some of it arrives.
func TestBodyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{Attempts: 2, First: time.Minute, Longest: time.Minute, Elapsed: 2 * time.Minute, Dead: time.Hour})
		want := strings.Repeat("0123456789", 100)
		r.memory.Set("a", []byte(want))
		for i := range 9 {
			r.script.On(faults.Get).Break(int64(i+1)*100, errReset)
		}
		if got, err := r.read(t, "a"); err != nil || got != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if len(r.waits) != 9 {
			t.Errorf("%d waits for 9 breaks", len(r.waits))
		}
		// When nothing more arrives, the tries are counted.
		r.script.On(faults.Get).Times(-1).Break(500, errReset)
		if got, err := r.read(t, "a"); got != want[:500] || err == nil || !strings.Contains(err.Error(), "gave up") {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// A body never goes on with another object's bytes.
func TestBodyOfAReplacedObject(t *testing.T) {
	for name, other := range map[string]string{
		"other bytes": strings.Repeat("x", 1000), "shorter": "0123456789", "other end": strings.Repeat("0123456789", 50),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(retry.Options{})
				want := strings.Repeat("0123456789", 100)
				r.memory.Set("a", []byte(want))
				r.script.On(faults.Get).Break(700, errReset)
				r.script.On(faults.Get).Do(func(string) { r.memory.Set("a", []byte(other)) })
				got, err := r.read(t, "a")
				if err == nil || !strings.HasPrefix(want, got) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		})
	}
}

// Bytes that changed on the way were handed out already: the caller has to read again.
func TestBodyThatChangedIsNotResumed(t *testing.T) {
	r := newRig(retry.Options{})
	r.memory.Set("a", []byte("0123456789"))
	r.script.On(faults.Get).Break(5, &storage.TemporaryError{Err: storage.ErrDamaged})
	if got, err := r.read(t, "a"); !errors.Is(err, storage.ErrDamaged) || len(r.waits) != 0 {
		t.Errorf("%q, %v after %d waits", got, err, len(r.waits))
	}
}

// A listing goes on after the last name, and hands out each once.
func TestListGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{Attempts: 2, First: time.Minute, Longest: time.Minute, Elapsed: 3 * time.Minute, Dead: time.Hour})
		var want, got []string
		for i := range 20 {
			name := fmt.Sprintf("a/%02d", i)
			want = append(want, name)
			r.memory.Set(name, []byte("x"))
		}
		for i := range 9 {
			r.script.On(faults.List).Break(int64(i+1)*2, errReset)
		}
		if err := r.be.List(t.Context(), "a/", func(i storage.Info) error { got = append(got, i.Name); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}

// unordered lists names in an order of its own.
type unordered struct{ *faults.Backend }

func (u unordered) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	for _, name := range []string{"b", "a", "c"} {
		if err := fn(storage.Info{Name: name}); err != nil {
			return err
		}
	}
	return errReset
}

// What does not come in order cannot be told from what comes again.
func TestListWithoutOrderIsNotRepeated(t *testing.T) {
	be := retry.Wrap(unordered{}, retry.Options{})
	var got []string
	err := be.List(t.Context(), "", func(i storage.Info) error { got = append(got, i.Name); return nil })
	if !errors.Is(err, errReset) || !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// An error of the caller's own ends a listing, even one that could pass.
func TestListEndsAsTheCallerSays(t *testing.T) {
	r := newRig(retry.Options{})
	r.memory.Set("a", nil)
	r.memory.Set("a", []byte("x"))
	calls := 0
	err := r.be.List(t.Context(), "", func(storage.Info) error { calls++; return errReset })
	if err != error(errReset) || calls != 1 { //nolint:errorlint // as it is
		t.Errorf("%v after %d calls", err, calls)
	}
}

// Transfers that change every time are not made for ever.
func TestDamagedEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(retry.Options{Attempts: 100})
		r.script.On(faults.Put).Times(-1).Fail(&storage.TemporaryError{Err: storage.ErrDamaged})
		err := r.be.Put(t.Context(), "a", bytes.Repeat([]byte("x"), 10), storage.PutOptions{})
		if !errors.Is(err, storage.ErrDamaged) || len(r.waits) != 2 {
			t.Errorf("%v after %d repetitions, want 2", err, len(r.waits))
		}
	})
}
