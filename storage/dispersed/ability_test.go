package dispersed_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/local"
	"mahavishnu/storage/metered"
)

// keeper is a storage with retention and an archive, as far as tests of several of them
// need it: what it keeps is neither deleted nor replaced, what it archived has to be
// thawed.
type keeper struct {
	storage.Backend
	mu     sync.Mutex
	until  map[string]time.Time
	frozen map[string]bool
	off    bool
}

func (k *keeper) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if !o.RetainUntil.IsZero() {
		if k.off {
			return &storage.Error{Op: "put", Object: name, Err: storage.ErrUnsupported}
		}
		k.mu.Lock()
		k.until[name] = o.RetainUntil
		k.mu.Unlock()
	}
	return k.Backend.Put(ctx, name, data, o)
}

func (k *keeper) Delete(ctx context.Context, name string) error {
	if until, _ := k.Retained(ctx, name); until.After(time.Now()) {
		return &storage.Error{Op: "delete", Object: name, Err: storage.ErrRetained}
	}
	return k.Backend.Delete(ctx, name)
}

func (k *keeper) Retain(_ context.Context, name string, until time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if until.After(k.until[name]) {
		k.until[name] = until
	}
	return nil
}

func (k *keeper) Retained(_ context.Context, name string) (time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off {
		return time.Time{}, &storage.Error{Op: "retained", Object: name, Err: storage.ErrUnsupported}
	}
	return k.until[name], nil
}

func (k *keeper) RetentionCheck(context.Context) error {
	if k.off {
		return storage.ErrUnsupported
	}
	return nil
}

func (k *keeper) Thaw(_ context.Context, names []string, _ storage.ThawOptions) (s storage.ThawState, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if !k.frozen[name] {
			s.Ready++
			continue
		}
		s.Waiting++
		s.Asked++
		s.Expected = time.Hour
	}
	return s, nil
}

func keepers(t *testing.T) (*place, []*keeper, storage.Backend) {
	var all []*keeper
	p := newPlace(t, 4, 2, func(c *dispersed.Config) {
		for i, be := range c.Backends {
			k := &keeper{Backend: be, until: map[string]time.Time{}, frozen: map[string]bool{}}
			all = append(all, k)
			c.Backends[i] = k
		}
	})
	t.Cleanup(func() { p.settle(t) })
	return p, all, p.Able()
}

func TestAbilitiesAreThoseOfAll(t *testing.T) {
	p := newPlace(t, 2, 1)
	defer p.settle(t)
	if _, ok := p.Able().(storage.Retainer); ok {
		t.Error("storages without retention retain together")
	}
	_, _, be := keepers(t)
	_, retains := be.(storage.Retainer)
	_, thaws := be.(storage.Thawer)
	if !retains || !thaws {
		t.Errorf("retains %v, thaws %v", retains, thaws)
	}
	for _, wrapped := range []storage.Backend{be, metered.Wrap(be, ignore{}, nil), metered.Wrap(p.Able(), ignore{}, nil)} {
		if _, ok := dispersed.Of(wrapped); !ok {
			t.Errorf("%T is not seen to be dispersed", wrapped)
		}
	}
	if _, ok := dispersed.Of(p.memory[0]); ok {
		t.Error("memory is seen to be dispersed")
	}
}

type ignore struct{}

func (ignore) StorageOperation(string, string, int64, time.Duration) {}

func TestRetention(t *testing.T) {
	_, all, be := keepers(t)
	r := be.(storage.Retainer)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	ctx := t.Context()
	if err := be.Put(ctx, "a", []byte("x"), storage.PutOptions{RetainUntil: until}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Retained(ctx, "a"); err != nil || !got.Equal(until) {
		t.Errorf("Retained = %v, %v; want %v", got, err, until)
	}
	if err := r.Retain(ctx, "a", until.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Retained(ctx, "a"); err != nil || !got.Equal(until.Add(time.Hour)) {
		t.Errorf("Retained = %v, %v after it was extended", got, err)
	}
	if err := r.RetentionCheck(ctx); err != nil {
		t.Error(err)
	}
	all[3].off = true
	if err := r.RetentionCheck(ctx); !errors.Is(err, storage.ErrUnsupported) {
		t.Errorf("RetentionCheck = %v with one storage that has it switched off", err)
	}
}

// One storage that keeps its shard is enough for none to be deleted: there would be too
// few left else.
func TestDeleteOfRetained(t *testing.T) {
	_, all, be := keepers(t)
	ctx := t.Context()
	if err := be.Put(ctx, "a", []byte("x"), storage.PutOptions{Sync: true}); err != nil {
		t.Fatal(err)
	}
	all[4].until["a"] = time.Now().Add(time.Hour)
	if err := be.Delete(ctx, "a"); !errors.Is(err, storage.ErrRetained) {
		t.Fatalf("Delete = %v, want ErrRetained", err)
	}
	wantData(t, be, "a", []byte("x"))
	delete(all[4].until, "a")
	if err := be.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
}

// Objects are ready when k storages have their shards ready.
func TestThaw(t *testing.T) {
	_, all, be := keepers(t)
	for i, n := range []int{2, 1, 1, 0, 0, 2} {
		for _, name := range []string{"a", "b"}[:n] {
			all[i].frozen[name] = true
		}
	}
	names := []string{"a", "b", "c"}
	got, err := be.(backend.Thawer).Thaw(t.Context(), names, storage.ThawOptions{Days: 1})
	want := storage.ThawState{Ready: 2, Waiting: 1, Asked: 6, Expected: time.Hour}
	if err != nil || got != want {
		t.Fatalf("Thaw = %+v, %v; want %+v", got, err, want)
	}
	for _, i := range []int{1, 2} {
		clear(all[i].frozen)
	}
	got, err = be.(backend.Thawer).Thaw(t.Context(), names, storage.ThawOptions{Days: 1})
	if want = (storage.ThawState{Ready: 3, Asked: 4}); err != nil || got != want {
		t.Fatalf("Thaw = %+v, %v; want %+v", got, err, want)
	}
}

// A storage that cannot be asked whether it keeps objects is not one that does not.
func TestRetentionOfUnreachableStorage(t *testing.T) {
	c := dispersed.Config{Data: 2, Parity: 1}
	for i := range 3 {
		be, err := local.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c.Backends = append(c.Backends, be)
		if i == 1 {
			c.Backends[i] = unreachable{be}
		}
	}
	b, err := dispersed.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = b.Able().(storage.Retainer).RetentionCheck(t.Context())
	if hints := fault.Hints(err); len(hints) != 1 || !strings.Contains(hints[0], "storage 2 can be reached") {
		t.Errorf("%v: %q", err, hints)
	}
}

// unreachable is a storage at whose address nothing listens.
type unreachable struct{ *local.Backend }

func (unreachable) RetentionCheck(context.Context) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}
