package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mahavishnu/fault"
)

const handedOver = `
name: handed_over
about: a member takes over from another
protects: ["service/x"]
window: none
failback: back
parameters:
  from: {type: member, about: who leaves}
  to: {type: member, about: who takes over}
steps:
  - {name: a, kind: action, uses: set, with: {thing: $from, value: $to}, timeout: 5s}
`

// An order of what does not go together is refused before anything is written down or done,
// with what could be ordered instead; so is one that only looks.
func TestAnOrderThatDoesNotSuitChangesNothing(t *testing.T) {
	w := newWorld()
	x := node{w: w}.executor(t, func(o *Options) {
		o.Suits = func(_ context.Context, _ *Plan, v Variant, params map[string]string) error {
			if v == Graceful && params["from"] == params["to"] {
				return fault.WithHint(fmt.Errorf("%w: a takes the writes already", ErrRefused), "name another member: b")
			}
			return nil
		}
	})
	o := Order{Plan: load(t, handedOver), Variant: Graceful, Params: map[string]string{"from": "a", "to": "a"}, Trigger: ByHand, By: "ann"}
	if _, err := x.Start(t.Context(), 5, o); !errors.Is(err, ErrRefused) || !slices.Equal(fault.Hints(err), []string{"name another member: b"}) {
		t.Errorf("%v, hints %q", err, fault.Hints(err))
	}
	if len(w.keys) != 0 {
		t.Errorf("%d records were written", len(w.keys))
	}
	if seen, err := x.Try(t.Context(), o); err != nil || !strings.Contains(seen.Error, "a takes the writes already: name another member: b") {
		t.Errorf("looked at, it is %q, %v", seen.Error, err)
	}
	o.Params = map[string]string{"from": "a", "to": "b"}
	if _, err := x.Start(t.Context(), 5, o); err != nil {
		t.Errorf("what suits: %v", err)
	}
}

// What began again where it was is away from nowhere.
func TestNothingIsAwayThatBeganAgainWhereItWas(t *testing.T) {
	for to, away := range map[string]bool{"a": false, "b": true} {
		w := newWorld()
		x := node{w: w}.executor(t)
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, handedOver), Params: map[string]string{"from": "a", "to": to}, Trigger: ByHand, By: "ann"})
		if err == nil {
			e, err = x.Run(t.Context(), 5, e.ID)
		}
		if err != nil || e.State != StateCommitted {
			t.Fatalf("%s: %v", e.State, err)
		}
		standings, err := x.Standings(t.Context())
		if err != nil || len(standings) != 1 || (standings[0].Away == e.ID) != away {
			t.Errorf("to %s: %+v, %v", to, standings, err)
		}
	}
}
