package failover

import (
	"testing"

	"mahavishnu/coordinator/plan"
)

// What a plan for a region stops itself is not taken for dead, and what fails while it waits
// for somebody is.
func TestWhatARegionsPlanStops(t *testing.T) {
	plans, err := plan.Shipped(plan.Standard())
	if err != nil {
		t.Fatal(err)
	}
	definition, err := plans.Get("region_failure")
	if err != nil {
		t.Fatal(err)
	}
	e := plan.Execution{Plan: *definition, Variant: plan.Graceful, State: plan.StateExecuting}
	seen := map[string]bool{}
	for _, s := range e.Steps() {
		step, _, ok := e.Current()
		if !ok || step.Name != s.Name {
			t.Fatalf("at %q, want %q", step.Name, s.Name)
		}
		seen[s.Name] = movesServices(&e)
		if want := s.Name == "services"; seen[s.Name] != want {
			t.Errorf("at %s: services move: %v, want %v", s.Name, seen[s.Name], want)
		}
		e.Entries = append(e.Entries, plan.Entry{Step: s.Name, Attempt: 1, Outcome: plan.OutcomeDone})
	}
	if len(seen) < 8 {
		t.Errorf("%d steps", len(seen))
	}
	stopped := e
	stopped.State = plan.StateStopped
	if movesServices(&stopped) {
		t.Error("a plan that has stopped moves something")
	}
	e.State = plan.StateRollingBack
	e.Entries = nil
	for _, s := range e.Steps() {
		e.Entries = append(e.Entries, plan.Entry{Step: s.Name, Attempt: 1, Outcome: plan.OutcomeDone})
		if s.Name == "services" {
			break
		}
	}
	if !movesServices(&e) {
		step, undo, ok := e.Current()
		t.Errorf("taking services back moves nothing: at %s, %v, %v", step.Name, undo, ok)
	}
}
