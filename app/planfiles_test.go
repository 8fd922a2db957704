package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// A plan file that is broken keeps nothing from starting: backups go on, the shipped plans
// can be carried out, and the status says what is wrong.
func TestBrokenPlanFilesStopNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), []byte("name: own\nsteps: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := pairConfig(t, "eu-1", "", `
failover:
  plans: `+dir+`
  coordinators: [{node: eu-1, region: eu}]
  services:
    web:
      kind: http
      members:
        a: {region: eu, address: "http://127.0.0.1:9"}
        b: {region: us, address: "http://127.0.0.1:10"}
`)
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true, Coordinator: true}})
	p := &pair{T: t, apps: map[string]*App{"us-1": a}}
	comes(t, "the coordinator leads, and says what is wrong", func() bool {
		s := a.coordinator.Status()
		return s.Epoch > 0 && len(s.Troubles) == 1 && strings.Contains(s.Troubles[0], "own.yaml:") && strings.Contains(s.Troubles[0], "config check")
	})
	comes(t, "shipped plans can be tried", func() bool {
		e := p.try(t, "region_failure")
		return strings.Contains(e.Error, "parameter from") // nobody said which
	})
	comes(t, "it is an event", func() bool {
		told := false
		err := a.Bus().ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventPlan, Outcome: messages.OutcomeFailed}, func(e bus.EventMessage) error {
			told = told || strings.Contains(e.Error, string(plan.EventUnreadable)) && strings.Contains(e.Error, "own.yaml:2")
			return nil
		})
		return err == nil && told
	})
}
