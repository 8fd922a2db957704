package plan

import (
	"context"
	"testing"
	"testing/synctest"
)

// A plan is looked at for the day on which it is wanted, and an order for now: what does not go
// together as things are breaks the order alone.
func TestWhatDoesNotSuitYetIsNotBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := node{w: newWorld()}
		x := n.executor(t, func(o *Options) {
			o.Suits = func(context.Context, *Plan, Variant, map[string]string) error { return ErrRefused }
		})
		o := order(t, small, "db", ByHand)
		if v := x.Evaluate(t.Context(), o); v.Broken() != "" {
			t.Errorf("for the day it is %q", v.Broken())
		}
		if v, _ := x.Try(t.Context(), o); v.Error == "" {
			t.Errorf("ordered now it is ready: %+v", v)
		}
		if _, err := x.Start(t.Context(), 5, o); err == nil {
			t.Error("it is begun")
		}
	})
}
