package failover

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/metrics"
)

// What a plan tells people is an event that whoever listens gets once, however many
// leaders tell it.
func TestNoticesAreEvents(t *testing.T) {
	b := queue(t)
	p := &Planner{cfg: &config.Config{Node: config.Node{Name: "eu-1", Region: "eu"}}, bus: b, clock: clock.System(), log: zerolog.Nop(), metrics: metrics.New("test")}
	c := plan.Call{Execution: "x-1", Plan: "x", Step: "tell", Params: map[string]string{"text": "the database moved"}}
	for range 2 {
		if told, err := p.notify().Do(t.Context(), c); err != nil || told != "the database moved" {
			t.Fatalf("%q %v", told, err)
		}
	}
	c.Step = "tell-more"
	if _, err := p.notify().Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var told []string
	err := b.ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventPlan, Outcome: messages.OutcomeNotice}, func(e bus.EventMessage) error {
		told = append(told, e.Source+" "+e.Labels["execution"]+": "+e.Error)
		return nil
	})
	if want := "x x-1: the database moved"; err != nil || !slices.Equal(told, []string{want, want}) {
		t.Errorf("told were %q, %v", told, err)
	}
}
