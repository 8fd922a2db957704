package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/coordinator/standby/standbytest"
)

// counting is three machines with a service that counts, whose members live on when their keepers
// die, and go on answering.
type counting struct {
	*three
	members map[string]*standbytest.Service
}

// homes are the machines of the members.
var homes = map[string]string{"a": "eu-1", "b": "us-1"}

func newCounting(t *testing.T) *counting {
	t.Helper()
	x := &counting{members: map[string]*standbytest.Service{}}
	group := standbytest.NewGroup()
	member := func(name string) string {
		x.members[name] = group.Member(t, name)
		node := homes[name]
		return fmt.Sprintf("{node: %s, region: %s, address: %q}", node, node[:2], x.members[name].URL())
	}
	x.three = newThree(t, "http", member("a"), member("b"))
	x.until("a coordinator leads that sees it", func() bool {
		code, out, _ := x.run("failover", "execute", "single_server_failure", "--graceful", "--dry-run", "--set", "service=orders", "--config", x.path("us-1"))
		return code == 0 && strings.Contains(out, "could be carried out")
	})
	return x
}

// served waits until one of the members takes writes, and says which. Never do both.
func (x *counting) served(what string, want func(name string) bool) (by string) {
	x.t.Helper()
	x.until(what, func() bool {
		by = ""
		for name, m := range x.members {
			if m.Write() != nil {
				continue
			}
			if by != "" {
				x.t.Fatal("both members take writes")
			}
			by = name
		}
		return by != "" && want(by)
	})
	return by
}

// executions are those of the journal, the newest first.
func (x *counting) executions() []plan.Execution {
	x.t.Helper()
	code, out, _ := x.run("failover", "journal", "--json", "--config", x.path("ap-1"))
	if code != 0 {
		return nil
	}
	return decode[struct {
		Executions []plan.Execution `json:"executions"`
	}](x.t, out).Executions
}

// The process with the keeper of a primary is killed, and the primary lives on and answers:
// its watchdog has stopped it, the lease lapses, and the other member takes over by itself.
// A keeper that is restarted at once takes the lease again, or finds it taken: one of the
// two serves, and no plan is left behind that waits for somebody.
func TestAKeeperDiesAndItsMemberAnswers(t *testing.T) {
	t.Parallel()
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		x := newCounting(t)
		began := time.Now()
		x.all["eu-1"].Kill()
		x.served("the other member takes writes", func(name string) bool { return name == "b" })
		t.Logf("it took a write %v later", time.Since(began))
		x.until("the plan is over", func() bool {
			all := x.executions()
			return len(all) > 0 && all[0].State.Final()
		})
		e := x.executions()[0]
		if e.Plan.Name != "single_server_failure" || e.Trigger != plan.Automatic || e.State != plan.StateCommitted || !strings.Contains(e.Reason, "nobody holds the lease") {
			t.Errorf("%s of %s is %s, because %s: %s", e.Plan.Name, e.Trigger, e.State, e.Reason, e.Error)
		}
		x.launch("eu-1")
		x.until("what was stopped follows", func() bool { a := x.says("a"); return a.Healthy && a.Role == "standby" })
	})
	t.Run("in good order", func(t *testing.T) {
		t.Parallel()
		x := newCounting(t)
		x.all["eu-1"].signal(syscall.SIGTERM)
		began := time.Now()
		x.served("the other member takes writes", func(name string) bool { return name == "b" })
		t.Logf("it took a write %v after the old primary's keeper was told to stop", time.Since(began))
	})
	t.Run("and is restarted", func(t *testing.T) {
		t.Parallel()
		x := newCounting(t)
		by := "a"
		for _, pause := range []time.Duration{0, 3 * time.Second, 3600 * time.Millisecond} { // the lease's, and about when it is free
			x.all[homes[by]].Kill()
			time.Sleep(pause)
			x.launch(homes[by])
			before := by
			by = x.served("one of them takes writes", func(name string) bool { return x.says(name).Holds })
			t.Logf("restarted after %v: %s served, and %s does", pause, before, by)
			x.until("no plan is under way, and none waits", func() bool {
				for _, e := range x.executions() {
					if e.State == plan.StateStopped {
						t.Fatalf("%s has stopped: %s", e.ID, e.Error)
					}
					if !e.State.Final() {
						return false
					}
				}
				a, b := x.says("a"), x.says("b")
				return a.Healthy && b.Healthy && a.Writable != b.Writable
			})
		}
	})
}
