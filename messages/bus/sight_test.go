package bus

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A lease is seen as held as long as it is renewed, however wrong the clocks of servers
// are, as lapsed when nobody renews it, and as nobody's when it was released.
func TestWhoIsSeenToHoldALease(t *testing.T) {
	for name, c := range map[string]struct {
		ahead     time.Duration
		cut, free bool
		after     time.Duration
		held      bool
	}{
		"renewed":                                  {after: time.Minute, held: true},
		"renewed, by a clock an hour behind":       {ahead: -time.Hour, after: time.Minute, held: true},
		"renewed, by a clock an hour ahead":        {ahead: time.Hour, after: time.Minute, held: true},
		"cut off, a candidate still has to wait":   {cut: true, after: 10 * time.Second, held: true},
		"cut off, a candidate may take it":         {cut: true, after: 13 * time.Second},
		"cut off for long, a clock an hour behind": {ahead: -time.Hour, cut: true, after: time.Minute},
		"released": {free: true, after: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.ahead = c.ahead
				var cut atomic.Bool
				m.mishap = func(string) mishap {
					if cut.Load() {
						return unreachable
					}
					return fine
				}
				lease := acquire(t, m, "a")
				epoch := lease.Epoch()
				cut.Store(c.cut)
				if c.free {
					if err := lease.Release(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.after)
				all, err := (&Leases{store: m}).See(t.Context(), shortTiming, "leader")
				s := all["leader"]
				if err != nil || s.Lapsed != (c.cut && !c.held) || (s.Holder == "") != c.free || s.Epoch != epoch {
					t.Errorf("%+v, %v", s, err)
				}
				if c.ahead == 0 && (s.Age < 0 || s.Age > c.after+5*time.Second || (c.cut || c.free) && s.Age < c.after-5*time.Second) {
					t.Errorf("its age is %v after %v", s.Age, c.after)
				}
				_ = lease.Release(context.Background()) // which may be cut off
			})
		})
	}
	if all, err := (&Leases{store: newMemory()}).See(t.Context(), shortTiming, "never"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
