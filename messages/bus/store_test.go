package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func TestStoreCompareAndSet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, err := r.Store(messages.BucketCatalog)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := s.Get(ctx, "k"); !errors.Is(err, bus.ErrNotFound) {
		t.Fatalf("Get of nothing: %v", err)
	}
	one, err := s.Create(ctx, "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, "k", []byte("x")); !errors.Is(err, bus.ErrExists) {
		t.Errorf("second Create: %v, want ErrExists", err)
	}
	two, err := s.Update(ctx, "k", []byte("2"), one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, "k", []byte("x"), one); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("Update of an old revision: %v, want ErrConflict", err)
	}
	if v, err := s.Get(ctx, "k"); err != nil || string(v.Data) != "2" || v.Revision != two || v.Time.IsZero() {
		t.Errorf("Get = %+v, %v", v, err)
	}
	if err := s.Delete(ctx, "k", one); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("Delete of an old revision: %v, want ErrConflict", err)
	}
	if err := s.Delete(ctx, "k", two); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("Get of what was deleted: %v", err)
	}
	if err := s.Delete(ctx, "never", 0); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	again, err := s.Create(ctx, "k", []byte("3"))
	if err != nil || again <= two {
		t.Errorf("Create after Delete = %d, %v, want a revision above %d", again, err, two)
	}
	if _, err := s.Put(ctx, "a.b", nil); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := s.Each(ctx, "", func(v bus.Value) error { keys = append(keys, v.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"a.b", "k"}, keys); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Store("nope"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("an unknown bucket: %v", err)
	}
}

func TestEachEndsEarlyWithoutLeak(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fill(t, r, 1000)
	s, err := r.Store(messages.BucketJobs)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	if err := s.Each(t.Context(), "", func(bus.Value) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Each = %v, want the callback's error", err)
	}
}

// fill writes n records, half of them finished, through the server's async path.
func fill(t testing.TB, r *rig, n int) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		job := backup(fmt.Sprintf("j%05d", i))
		if i%3 == 0 {
			job.Spec = &messages.BackupSpec{Source: "mail"}
		}
		rec := messages.NewRecord(job, at.Add(time.Duration(i)*time.Second))
		if i%2 == 0 {
			rec.State = messages.StateSucceeded
		}
		data, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.js.PublishAsync("$KV."+messages.BucketJobs+"."+job.ID, data); err != nil {
			t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
}

func TestListTenThousandRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 10_000
	fill(t, r, n)
	all, err := r.Records().List(t.Context(), bus.Filter{})
	if err != nil || len(all) != n {
		t.Fatalf("listed %d records, %v", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b bus.Entry) int { return b.Created.Compare(a.Created) }) {
		t.Error("not newest first")
	}
	some, err := r.Records().List(t.Context(), bus.Filter{
		States: []messages.State{messages.StateQueued}, Kinds: []messages.Kind{messages.KindBackup}, Region: region, Source: "mail",
		Since: all[99].Created, Limit: 10,
	})
	if err != nil || len(some) != 10 {
		t.Fatalf("filtered %d records, %v", len(some), err)
	}
	for _, e := range some {
		if e.State != messages.StateQueued || e.Job.Source() != "mail" || e.Created.Before(all[99].Created) || e.Revision == 0 {
			t.Errorf("%+v does not match", e)
		}
	}
}

func TestListNamesUnreadableRecordsAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fill(t, r, 3)
	if _, err := r.js.Publish(t.Context(), "$KV."+messages.BucketJobs+".broken", []byte("{")); err != nil {
		t.Fatal(err)
	}
	got, err := r.Records().List(t.Context(), bus.Filter{})
	if len(got) != 3 || err == nil {
		t.Errorf("listed %d, %v; want 3 and an error about the fourth", len(got), err)
	}
	if _, err := r.Records().Get(t.Context(), "broken"); err == nil {
		t.Error("a broken record was read")
	}
}

func TestRecordsFence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, now := t.Context(), time.Now()
	records := r.Records()
	e, err := records.Create(ctx, messages.NewRecord(backup("x"), now))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Create(ctx, e.Record); !errors.Is(err, bus.ErrExists) {
		t.Errorf("second Create: %v", err)
	}
	claim := func(e bus.Entry, worker string, at time.Time) (bus.Entry, error) {
		rec, err := e.Claim(worker, at, time.Minute)
		if err != nil {
			return bus.Entry{}, err
		}
		return records.Update(ctx, bus.Entry{Record: rec, Revision: e.Revision})
	}
	first, err := claim(e, "w1", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(e, "w2", now); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("a claim of the same revision: %v, want ErrConflict", err)
	}
	second, err := claim(first, "w2", now.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	// The first worker wakes up: its revision is old, its attempt too.
	done, err := first.Succeed(first.Attempt, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Update(ctx, bus.Entry{Record: done, Revision: first.Revision}); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("the fenced worker's commit: %v, want ErrConflict", err)
	}
	_, err = records.Change(ctx, "x", func(rec messages.Record) (messages.Record, error) { return rec.Succeed(first.Attempt, now, nil) })
	if !errors.Is(err, messages.ErrFenced) {
		t.Errorf("the fenced worker's second try: %v, want ErrFenced", err)
	}
	e, err = records.Change(ctx, "x", func(rec messages.Record) (messages.Record, error) { return rec.Succeed(second.Attempt, now, nil) })
	if err != nil || e.State != messages.StateSucceeded {
		t.Fatalf("the holder's commit: %+v, %v", e, err)
	}
	if err := records.Remove(ctx, first); err == nil {
		t.Error("a running record was removed")
	}
	if err := records.Remove(ctx, e); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x", "no such id"} {
		if _, err := records.Get(ctx, id); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("Get %q: %v, want ErrNotFound", id, err)
		}
	}
}

func TestChangeSettlesRaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Records().Create(t.Context(), messages.NewRecord(backup("x"), time.Now())); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	const n = 20
	for range n {
		all.Go(func() {
			_, err := r.Records().Change(context.Background(), "x", func(rec messages.Record) (messages.Record, error) {
				rec.Attempt++
				return rec, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if e, err := r.Records().Get(t.Context(), "x"); err != nil || e.Attempt != n {
		t.Errorf("after %d changes the count is %d, %v", n, e.Attempt, err)
	}
}

func TestWatchRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := r.Records()
	e, err := records.Create(t.Context(), messages.NewRecord(backup("x"), time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan bus.Entry, 10)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		ended <- records.Watch(ctx, bus.Filter{Source: "home"}, func(e bus.Entry) error { seen <- e; return nil })
	}()
	if got := <-seen; got.Job.ID != "x" || got.State != messages.StateQueued {
		t.Errorf("first %+v", got)
	}
	other := backup("y")
	other.Spec = &messages.BackupSpec{Source: "mail"}
	if _, err := records.Create(t.Context(), messages.NewRecord(other, time.Now())); err != nil {
		t.Fatal(err)
	}
	e.Record, err = e.Claim("w", time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Update(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.Job.ID != "x" || got.State != messages.StateRunning {
		t.Errorf("then %+v", got)
	}
	cancel(stop)
	if err := <-ended; !errors.Is(err, stop) {
		t.Errorf("Watch = %v, want the context's cause", err)
	}
}

// A write whose answer, or which itself, was lost on the way is sent again long before its writer
// gives up, and is written once.
func TestAWriteThatGetsNoAnswerIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"the answer was lost": false, "the write was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newRig(t).Store(messages.BucketCatalog)
			if err != nil {
				t.Fatal(err)
			}
			one, err := s.Create(t.Context(), "k", []byte("1"))
			if err != nil {
				t.Fatal(err)
			}
			bus.Deafen(s, lost)
			ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond) // less than a request may take
			defer cancel()
			two, err := s.Update(ctx, "k", []byte("2"), one)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := s.Get(t.Context(), "k"); err != nil || string(v.Data) != "2" || v.Revision != two || two != one+1 {
				t.Errorf("%+v, %v; it was written as %d, after %d", v, err, two, one)
			}
		})
	}
}

// A write that was sent again while the first one is on its way through the cluster is refused,
// although nothing new can be read yet. That is no conflict: the first one is the writer's own.
func TestAWriteThatIsOnItsWayIsAwaited(t *testing.T) {
	t.Parallel()
	for name, there := range map[string]bool{"a new key": false, "a key that is there": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newRig(t).Store(messages.BucketCatalog)
			if err != nil {
				t.Fatal(err)
			}
			var one uint64
			if there {
				if one, err = s.Create(t.Context(), "k", []byte("1")); err != nil {
					t.Fatal(err)
				}
			}
			bus.Delay(s, 2)
			var two uint64
			if there {
				two, err = s.Update(t.Context(), "k", []byte("2"), one)
			} else {
				two, err = s.Create(t.Context(), "k", []byte("2"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if v, err := s.Get(t.Context(), "k"); err != nil || string(v.Data) != "2" || v.Revision != two || two != one+1 {
				t.Errorf("%+v, %v; it was written as %d, after %d", v, err, two, one)
			}
		})
	}
}

// A watch ends with its context, though the server that led it answers no more.
func TestAWatchEndsThoughNobodyStopsIt(t *testing.T) {
	t.Parallel()
	s, err := newRig(t).Store(messages.BucketCatalog)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "k", []byte("1")); err != nil {
		t.Fatal(err)
	}
	until := make(chan struct{})
	defer close(until)
	bus.Linger(s, until)
	ctx, cancel := context.WithCancel(t.Context())
	err = s.Watch(ctx, "k", func(bus.Value) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
