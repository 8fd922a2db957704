package app

import (
	"testing"
	"time"

	"mahavishnu/messages"
)

// TestAPruneJobIsMeasured runs one by a real worker and waits for its figures.
func TestAPruneJobIsMeasured(t *testing.T) {
	t.Parallel()
	a := started(t, Options{Config: testConfig(t, ""), Roles: Roles{Scheduler: true, Worker: true}})
	for _, spec := range []messages.Spec{&messages.BackupSpec{Source: "home"}, &messages.PruneSpec{}} {
		sent, err := a.Bus().Submit(t.Context(), messages.NewJob("eu", spec, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if state := ended(t, a, sent.ID); state != messages.StateSucceeded {
			t.Fatalf("the %s job ended %s", spec.Kind(), state)
		}
	}
	for range 1500 {
		families, err := a.metrics.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "mahavishnu_prune_last_success_timestamp_seconds" && f.GetMetric()[0].GetGauge().GetValue() > 0 {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the prune job does not show in the metrics")
}
