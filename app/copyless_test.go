package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/coordinator/standby/standbytest"
	"mahavishnu/messages"
)

// Three regions have services and no copies of any repository, as one that only fails
// databases over. A region is left: its services move, one without a member in the new region stays,
// which is told before, and what there is no copy for is left out. Then they go back.
func TestARegionIsLeftWithoutCopies(t *testing.T) {
	ann, err := plan.CreateKey(filepath.Join(t.TempDir(), "ann.key"))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]*standbytest.Service{}
	var services strings.Builder
	for service, nodes := range map[string][]string{"orders": {"eu-1", "us-1"}, "web": {"eu-1", "ap-1"}} {
		group := standbytest.NewGroup()
		fmt.Fprintf(&services, "    %s:\n      kind: http\n      members:\n", service)
		for _, node := range nodes {
			m := group.Member(t, node)
			members[service+"/"+node] = m
			fmt.Fprintf(&services, "        %s: {node: %[1]s, region: %s, address: %q}\n", node, node[:2], m.URL())
		}
	}
	more := fmt.Sprintf(`
failover:
  commit_window: 15m
  approvers: {ann: {public_key: %q}}
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services:
%s`, ann.Public(), services.String())
	p := &pair{T: t, apps: map[string]*App{}}
	url := ""
	for _, name := range []string{"eu-1", "us-1", "ap-1"} {
		p.apps[name] = started(t, Options{Config: pairConfig(t, name, url, more), Roles: Roles{Coordinator: true, Scheduler: url == ""}})
		url = p.apps["eu-1"].QueueURL()
	}
	comes(t, "both services are led in eu, and followed", func() bool {
		seen := p.status().Services
		return len(seen) == 2 && !slices.ContainsFunc(seen, func(s messages.ServiceStatus) bool {
			return slices.ContainsFunc(s.Members, func(m messages.MemberStatus) bool {
				return m.Keeper == nil || !m.Keeper.Healthy || m.Keeper.Holds != (m.Region == "eu")
			})
		})
	})
	x := p.apps["us-1"].coordinatorPlans(t)
	var wrong string
	saw := func(text string) bool {
		if text != wrong {
			t.Log(text)
		}
		wrong = text
		return false
	}
	comes(t, "the plans are evaluated", func() bool {
		for _, name := range []string{"region_failure", "network_partition", "failback_region", "single_server_failure"} {
			all, err := x.Evaluations(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if broken, _, _ := plan.Evaluations(all).Readiness(); len(all) == 0 || len(broken) > 0 {
				return saw(fmt.Sprintf("%s, looked at %d times: %q", name, len(all), broken))
			}
		}
		return true
	})
	order := plan.Request{Ask: plan.AskTry, Plan: "region_failure", Variant: plan.Graceful, Params: map[string]string{"from": "eu", "to": "us"}, By: "ann"}
	var found map[string]string
	comes(t, "the plan is tried", func() bool {
		reply := p.ask(t, order)
		if reply.Evaluation == nil || reply.Evaluation.Broken() != "" {
			return false
		}
		found = map[string]string{}
		for _, f := range reply.Evaluation.Findings {
			found[f.Step] = f.Seen
		}
		return true
	})
	const none = "there are no copies: backup.replication names none"
	if found["repository"] != none || found["workers"] != none || !strings.Contains(found["services"], "orders from eu-1 to us-1") ||
		!strings.Contains(found["services"], "web stays on eu-1: it has no member in us; elsewhere it has ap-1, in ap: mahavishnu failover execute") {
		t.Errorf("found before the day: %q", found)
	}
	order.Ask = plan.AskExecute
	begun := p.ask(t, order)
	if begun.Err() != nil {
		t.Fatal(begun.Err())
	}
	turns := func(id string, to plan.State) plan.Execution {
		t.Helper()
		var e plan.Execution
		approved := false
		comes(t, "it is "+string(to), func() bool {
			if e, err = x.Find(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if q, asks := e.Question(); asks && !approved {
				a, err := plan.Sign(q, "ann", ann, time.Now(), time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				approved = p.ask(t, plan.Request{Ask: plan.AskApprove, Execution: id, Approval: &a}).Err() == nil
			}
			return e.State == to || e.State.Final() || e.State == plan.StateStopped
		})
		for _, entry := range e.Entries {
			t.Logf("%-16s undo=%-5v %-8s %s%s", entry.Step, entry.Undo, entry.Outcome, entry.Output, entry.Error)
		}
		if e.State != to {
			t.Fatalf("it is %s: %s", e.State, e.Error)
		}
		return e
	}
	done := turns(begun.Execution.ID, plan.StateFailedOver)
	for _, entry := range done.Entries {
		if entry.Outcome != plan.OutcomeDone {
			t.Errorf("%s is %s: %s", entry.Step, entry.Outcome, entry.Error)
		}
	}
	for name, writes := range map[string]bool{"orders/us-1": true, "orders/eu-1": false, "web/eu-1": true, "web/ap-1": false} {
		if got := members[name].Write() == nil; got != writes {
			t.Errorf("%s takes writes: %v", name, got)
		}
	}
	comes(t, "the way back is taken", func() bool {
		return p.ask(t, plan.Request{Ask: plan.AskRollback, Execution: done.ID, By: "ann"}).Err() == nil
	})
	turns(done.ID, plan.StateRolledBack)
	if members["orders/eu-1"].Write() != nil {
		t.Error("orders did not go back")
	}
}
