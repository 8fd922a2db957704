// Package routetest proves what implements route.Router: epochs that only grow,
// repetitions that do nothing, stale coordinators refused whatever they race
// with, and answers that tell the truth.
package routetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mahavishnu/coordinator/route"
)

// Subject is one place that was never pointed anywhere.
type Subject struct {
	// Open returns a router to the place, as another coordinator would have it.
	// It may return the same one when only one process can have it.
	Open func(t *testing.T) route.Router
	// Targets are two members the place can lead to; the suite's own when empty.
	Targets [2]route.Target
}

// patience bounds one call.
const patience = 20 * time.Second

// Run runs the suite; each test has a fresh place.
func Run(t *testing.T, fresh func(t *testing.T) Subject) {
	tests := map[string]func(*testing.T, rig){
		"nothing at first":                      testNothing,
		"point and see":                         testPoint,
		"repeat":                                testRepeat,
		"stale epoch":                           testStale,
		"another member of the same epoch":      testSameEpoch,
		"a member's corrected address":          testCorrected,
		"useless arguments":                     testUseless,
		"coordinators that race":                testRace,
		"epochs seen while coordinators race":   testMonotone,
		"check changes nothing":                 testCheck,
		"a context that ended":                  testEnded,
		"a stale one after the newer went away": testReopened,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			if s.Targets[0].Member == "" {
				s.Targets = Targets()
			}
			test(t, rig{t, s, s.Targets[0], s.Targets[1]})
		})
	}
}

// Targets are two members in the documentation's networks.
func Targets() [2]route.Target {
	return [2]route.Target{
		{Member: "pg1", Addresses: addresses("192.0.2.1", "2001:db8::1"), Host: "pg1.example.test.", Port: 5432},
		{Member: "pg2", Addresses: addresses("198.51.100.2"), Host: "pg2.example.test.", Port: 5433},
	}
}

func addresses(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

type rig struct {
	*testing.T
	subject Subject
	a, b    route.Target
}

func (r rig) open() route.Router { return r.subject.Open(r.T) }

func (r rig) point(router route.Router, target route.Target, epoch uint64) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := router.Point(ctx, target, epoch); err != nil {
		r.Fatalf("point at %s with epoch %d: %v", target.Member, epoch, err)
	}
}

func (r rig) refused(router route.Router, target route.Target, epoch uint64) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := router.Point(ctx, target, epoch); !errors.Is(err, route.ErrStale) {
		r.Fatalf("point at %s with the stale epoch %d: %v", target.Member, epoch, err)
	}
}

func (r rig) shows(router route.Router, target route.Target, epoch uint64) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	got, at, err := router.Current(ctx)
	if err != nil {
		r.Fatal(err)
	}
	if at != epoch || got.Member != target.Member || !partOf(got, target) {
		r.Fatalf("it leads to %v with epoch %d, not to %v with %d", got, at, target, epoch)
	}
}

// partOf reports whether what a router shows, which may be less than the whole
// target, belongs to the target.
func partOf(shown, whole route.Target) bool {
	filled := shown
	if shown.Addresses == nil {
		filled.Addresses = whole.Addresses
	}
	if shown.Host == "" {
		filled.Host = whole.Host
	}
	if shown.Port == 0 {
		filled.Port = whole.Port
	}
	return filled.Equal(whole)
}

func testNothing(t *testing.T, r rig) {
	target, epoch, err := r.open().Current(t.Context())
	if err != nil || epoch != 0 || target.Member != "" {
		t.Errorf("it leads to %v with epoch %d: %v", target, epoch, err)
	}
}

func testPoint(_ *testing.T, r rig) {
	one, other := r.open(), r.open()
	r.point(one, r.a, 7)
	r.shows(one, r.a, 7)
	r.shows(other, r.a, 7)
	r.point(other, r.b, 8)
	r.shows(one, r.b, 8)
	r.point(one, r.a, 4_000_000_000_000)
	r.shows(other, r.a, 4_000_000_000_000)
}

func testRepeat(_ *testing.T, r rig) {
	one, other := r.open(), r.open()
	r.point(one, r.a, 5)
	r.point(one, r.a, 5)
	r.point(other, r.a, 5)
	r.shows(other, r.a, 5)
}

func testStale(_ *testing.T, r rig) {
	fresh, stale := r.open(), r.open()
	r.point(stale, r.a, 41)
	r.point(fresh, r.b, 42)
	r.refused(stale, r.a, 41)
	r.refused(stale, r.a, 1)
	r.refused(stale, r.b, 41) // not even to where it leads
	r.shows(stale, r.b, 42)
}

func testSameEpoch(_ *testing.T, r rig) {
	router := r.open()
	r.point(router, r.a, 42)
	r.refused(r.open(), r.b, 42)
	r.shows(router, r.a, 42)
}

func testCorrected(_ *testing.T, r rig) {
	router := r.open()
	r.point(router, r.a, 42)
	moved := r.b
	moved.Member = r.a.Member
	r.point(router, moved, 42)
	r.shows(router, moved, 42)
}

func testUseless(t *testing.T, r rig) {
	router := r.open()
	r.point(router, r.a, 3)
	for what, try := range map[string]struct {
		target route.Target
		epoch  uint64
	}{
		"epoch 0":         {r.a, 0},
		"no member":       {route.Target{Addresses: r.a.Addresses, Host: r.a.Host, Port: r.a.Port}, 9},
		"a bad member":    {route.Target{Member: "pg 1\n", Addresses: r.a.Addresses, Host: r.a.Host, Port: r.a.Port}, 9},
		"no way to reach": {route.Target{Member: "pg3"}, 9},
	} {
		if err := router.Point(t.Context(), try.target, try.epoch); err == nil || errors.Is(err, route.ErrStale) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.shows(router, r.a, 3)
}

// testRace lets coordinators of different epochs point at once: the highest wins
// whatever the order, and each of the others either came before or is refused.
func testRace(t *testing.T, r rig) {
	const coordinators = 6
	var all sync.WaitGroup
	errs := make([]error, coordinators)
	for i := range coordinators {
		router := r.open()
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			errs[i] = router.Point(ctx, r.of(i), uint64(10+i))
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil && (!errors.Is(err, route.ErrStale) || i == coordinators-1) {
			t.Errorf("epoch %d: %v", 10+i, err)
		}
	}
	r.shows(r.open(), r.of(coordinators-1), 10+coordinators-1)
}

func (r rig) of(i int) route.Target {
	if i%2 == 0 {
		return r.a
	}
	return r.b
}

// testMonotone watches while two coordinators point with growing epochs: nobody
// ever sees a lower one after a higher one, or a member that is not its epoch's.
func testMonotone(t *testing.T, r rig) {
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	reader := r.open()
	go func() {
		var highest uint64
		for ctx.Err() == nil {
			target, epoch, err := reader.Current(t.Context())
			switch {
			case err != nil:
				watched <- err
				return
			case epoch < highest:
				watched <- fmt.Errorf("epoch %d was seen after %d", epoch, highest)
				return
			case epoch > 0 && !partOf(target, r.of(int(epoch))):
				watched <- fmt.Errorf("epoch %d was seen with %v", epoch, target)
				return
			}
			highest = epoch
		}
		watched <- nil
	}()
	var all sync.WaitGroup
	for c := range 2 {
		router := r.open()
		all.Go(func() {
			for i := range 8 {
				epoch := uint64(1 + 2*i + c)
				if err := router.Point(t.Context(), r.of(int(epoch)), epoch); err != nil && !errors.Is(err, route.ErrStale) {
					t.Errorf("epoch %d: %v", epoch, err)
				}
			}
		})
	}
	all.Wait()
	stop()
	if err := <-watched; err != nil {
		t.Error(err)
	}
	r.shows(reader, r.a, 16)
}

func testCheck(t *testing.T, r rig) {
	router := r.open()
	if err := router.Check(t.Context()); err != nil {
		t.Errorf("before anything was pointed at: %v", err)
	}
	r.point(router, r.a, 6)
	if err := router.Check(t.Context()); err != nil {
		t.Error(err)
	}
	r.shows(router, r.a, 6)
}

func testEnded(t *testing.T, r rig) {
	router := r.open()
	r.point(router, r.a, 6)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := router.Point(ctx, r.b, 7); err == nil {
		t.Error("it pointed clients elsewhere for a caller that had gone")
	}
	r.point(router, r.b, 7)
}

func testReopened(_ *testing.T, r rig) {
	r.point(r.open(), r.b, 42)
	r.refused(r.open(), r.a, 41)
	r.shows(r.open(), r.b, 42)
}
