package metered_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/metered"
	"mahavishnu/storage/storagetest"
)

// log is an observer that writes down what it is told.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) StorageOperation(op, result string, bytes int64, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s %s %d %v", op, result, bytes, took))
}

func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// slow takes a second for everything, bodies included, and has abilities.
type slow struct{ storage.Backend }

func (s slow) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	time.Sleep(time.Second)
	return s.Backend.Put(ctx, name, data, o)
}

func (s slow) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	time.Sleep(time.Second)
	r, err := s.Backend.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return slowBody{r}, nil
}

type slowBody struct{ io.ReadCloser }

func (s slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.ReadCloser.Read(p[:min(len(p), 50)])
}

func (s slow) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	time.Sleep(time.Second)
	return s.Backend.List(ctx, prefix, fn)
}

func (slow) Retain(context.Context, string, time.Time) error           { return storage.ErrUnsupported }
func (slow) Retained(context.Context, string) (t time.Time, err error) { return t, nil }
func (slow) RetentionCheck(context.Context) error                      { return storage.ErrDenied }
func (slow) Thaw(context.Context, []string, storage.ThawOptions) (storage.ThawState, error) {
	return storage.ThawState{}, nil
}

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Backend { return metered.Wrap(faults.NewMemory(), &log{}, nil) })
}

func TestOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := faults.Wrap(faults.NewMemory())
		var seen log
		be := metered.Wrap(slow{script}, &seen, nil)
		ctx := t.Context()
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() { _ = be.Put(ctx, "a", make([]byte, 100), storage.PutOptions{}) }, "put ok 100 1s"},
			{func() { _ = be.Put(ctx, "a", make([]byte, 100), storage.PutOptions{IfAbsent: true}) }, "put exists 0 1s"},
			{func() {
				script.On(faults.Put).Fail(&storage.TemporaryError{Err: errors.New("503")})
				_ = be.Put(ctx, "a", make([]byte, 100), storage.PutOptions{})
			}, "put temporary 0 1s"},
			{func() {
				r, _ := be.Get(ctx, "a", 0, -1)
				time.Sleep(time.Hour) // of the caller's own
				_, _ = io.Copy(io.Discard, r)
				r.Close()
			}, "get ok 100 4s"},
			{func() {
				r, _ := be.Get(ctx, "a", 0, -1)
				_, _ = r.Read(make([]byte, 30))
				r.Close()
			}, "get ok 30 2s"},
			{func() {
				script.On(faults.Get).Break(70, storage.ErrDamaged)
				r, _ := be.Get(ctx, "a", 0, -1)
				_, _ = io.Copy(io.Discard, r)
				r.Close()
			}, "get damaged 70 4s"},
			{func() { _, _ = be.Get(ctx, "b", 0, -1) }, "get not_found 0 1s"},
			{func() { _, _ = be.Stat(ctx, "b") }, "stat not_found 0 0s"},
			{func() {
				_ = be.List(ctx, "", func(storage.Info) error { time.Sleep(time.Hour); return nil })
			}, "list ok 0 1s"},
			{func() {
				_ = be.List(ctx, "", func(storage.Info) error { return errors.New("the caller has enough") })
			}, "list ok 0 1s"},
			{func() { _ = be.Sync(ctx, []string{"a"}) }, "sync ok 0 0s"},
			{func() { _ = be.Delete(ctx, "a") }, "delete ok 0 0s"},
			{func() { _ = be.(storage.Retainer).Retain(ctx, "a", time.Now()) }, "retain unsupported 0 0s"},
			{func() { _, _ = be.(storage.Retainer).Retained(ctx, "a") }, "retained ok 0 0s"},
			{func() { _ = be.(storage.Retainer).RetentionCheck(ctx) }, "check_retention denied 0 0s"},
			{func() { _, _ = be.(storage.Thawer).Thaw(ctx, nil, storage.ThawOptions{}) }, "thaw ok 0 0s"},
		} {
			step.do()
			if diff := cmp.Diff([]string{step.want}, seen.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.want, diff)
			}
		}
	})
}

// Every error has a word, also when it is wrapped.
func TestResult(t *testing.T) {
	for want, err := range map[string]error{
		"ok": nil, "not_found": storage.ErrNotFound, "exists": storage.ErrExists, "short": storage.ErrShort, "read_only": storage.ErrReadOnly,
		"full": storage.ErrFull, "bad_name": storage.ErrBadName, "denied": storage.ErrDenied, "retained": storage.ErrRetained,
		"archived": storage.ErrArchived, "unsupported": storage.ErrUnsupported, "canceled": context.Canceled,
		"damaged": &storage.TemporaryError{Err: storage.ErrDamaged}, "temporary": &storage.TemporaryError{Err: io.EOF}, "failed": errors.New("x"),
	} {
		if err != nil {
			err = &storage.Error{Op: "get", Object: "a", Err: err}
		}
		if got := metered.Result(err); got != want {
			t.Errorf("Result(%v) = %q, want %q", err, got, want)
		}
	}
}
