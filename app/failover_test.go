package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mahavishnu/app/failover"
	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/postgres/pgtest"
	"mahavishnu/repository/keyring"
)

// pair is three processes in three regions, two of them beside a member of a real
// PostgreSQL pair.
type pair struct {
	*testing.T
	a, b *pgtest.Member
	// c is one more standby, beside the witness; nil in a pair.
	c    *pgtest.Member
	apps map[string]*App
}

func newPair(t *testing.T) *pair { return newGroup(t, false) }

// newGroup is a pair, or with a third member a trio.
func newGroup(t *testing.T, three bool) *pair {
	t.Helper()
	g := pgtest.New(t)
	p := &pair{T: t, apps: map[string]*App{}}
	p.a = g.Primary("a")
	p.b = g.Standby("b", p.a)
	member := func(node, region string, m *pgtest.Member) string {
		o := m.Options
		return fmt.Sprintf(`{node: %s, region: %s, address: "%s:%d", postgres: {bin_dir: %q, data_dir: %q, admin: %q, admin_password_file: %q, replication: %q, replication_password_file: %q, run_as: %q}}`,
			node, region, o.Host, o.Port, o.BinDir, o.DataDir, o.Admin.User, o.Admin.PasswordFile, o.Replication.User, o.Replication.PasswordFile, o.RunAs)
	}
	third := ""
	if three {
		p.c = g.Standby("c", p.a)
		third = "c: " + member("ap-1", "ap", p.c)
	}
	more := fmt.Sprintf(`
failover:
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services:
    orders:
      kind: postgres
      members:
        a: %s
        b: %s
        %s
`, member("eu-1", "eu", p.a), member("us-1", "us", p.b), third)
	url := ""
	for _, name := range []string{"eu-1", "us-1", "ap-1"} {
		roles := Roles{Coordinator: true}
		cfg := pairConfig(t, name, url, more)
		if url == "" {
			roles.Scheduler = true
		}
		p.apps[name] = started(t, Options{Config: cfg, Roles: roles})
		url = p.apps["eu-1"].QueueURL()
	}
	return p
}

func pairConfig(t *testing.T, node, url, more string) *config.Config {
	t.Helper()
	text := fmt.Sprintf(`
backup: {directory: repository, encryption: {key_path: key}}
regions: [eu, us, ap]
node: {name: %s, region: %s, data_dir: data, listen: ""}
`, node, node[:2])
	if url != "" {
		text += fmt.Sprintf("nats: {url: %q}\n", url)
	} else {
		text += "nats: {listen: \"127.0.0.1:0\"}\n"
	}
	return loaded(t, text+more)
}

// loaded reads a configuration in a directory of its own.
func loaded(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	if _, err := keyring.Create(filepath.Join(dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "mahavishnu.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// status is what the leading coordinator sees.
func (p *pair) status() (s messages.CoordinatorStatus) {
	p.Helper()
	replies, err := p.apps["us-1"].Bus().AskCoordinators(p.Context(), messages.ControlRequest{Verb: messages.VerbStatus}, 3, 5*time.Second)
	if err != nil {
		p.Fatal(err)
	}
	for _, r := range replies {
		if one, err := messages.DecodeCoordinatorStatus(r.Data); err == nil && one.Epoch > 0 {
			s = one
		}
	}
	return s
}

func (p *pair) member(name string) messages.MemberStatus {
	for _, s := range p.status().Services {
		for _, m := range s.Members {
			if m.Member == name && m.Keeper != nil {
				return m
			}
		}
	}
	return messages.MemberStatus{Keeper: &messages.MemberState{}}
}

// The primary of a real pair is killed: coordinators agree, the plan runs by itself,
// and the standby takes writes, with everything that it had received.
func TestADeadPrimaryIsReplaced(t *testing.T) {
	p := newPair(t)
	p.a.Exec("CREATE TABLE orders (n int)")
	p.a.Exec("INSERT INTO orders VALUES (1)")
	comes(t, "the primary is kept and the standby is seen", func() bool {
		return p.member("a").Keeper.Holds && p.member("b").Keeper.Healthy && p.member("b").Keeper.Role == "standby"
	})
	comes(t, "the plan could be carried out, by whoever takes part now", func() bool {
		e := p.try(t, failover.ServerFailure)
		return e.Broken() == "" && e.Params["service"] != "" && e.Params["from"] == "a" && e.Params["to"] == "b"
	})
	comes(t, "the standby has the row", func() bool { return p.b.Try("SELECT 1 / count(*) FROM orders") == nil })
	killed := time.Now()
	p.a.Kill()
	comes(t, "the standby takes writes", func() bool { return p.b.Try("INSERT INTO orders VALUES (2)") == nil })
	t.Logf("the standby took a write %v after the primary was killed", time.Since(killed))
	if n := p.b.Text("SELECT count(*)::text FROM orders"); n != "2" {
		t.Errorf("%s rows, want 2", n)
	}
	x := p.apps["us-1"].coordinatorPlans(t)
	comes(t, "the plan is finished", func() bool {
		all, err := x.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(e plan.Execution) bool { return e.Plan.Name == failover.RejoinMember })
		return len(all) == 1 && all[0].State.Final()
	})
	all, err := x.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(e plan.Execution) bool { return e.Plan.Name == failover.RejoinMember })
	for _, e := range all[0].Entries {
		t.Logf("%-18s %-8s %6v %s%s", e.Step, e.Outcome, e.Finished.Sub(e.Started).Round(time.Millisecond), e.Output, e.Error)
	}
	if all[0].State != plan.StateCommitted || all[0].Params["from"] != "a" || all[0].Params["to"] != "b" {
		t.Errorf("%s %v: %s", all[0].State, all[0].Params, all[0].Error)
	}
	if b := p.member("b").Keeper; !b.Holds || !b.Writable {
		t.Errorf("the status does not show it: %+v", p.status().Services)
	}
}

// try asks the leader to look whether a plan could be carried out now.
func (p *pair) try(t *testing.T, name string) plan.Evaluation {
	t.Helper()
	data, err := json.Marshal(plan.Request{Ask: plan.AskTry, Plan: name})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.apps["us-1"].Bus().AskPlans(t.Context(), data)
	if err != nil {
		return plan.Evaluation{Error: err.Error()}
	}
	reply, err := plan.DecodeReply(answer)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Evaluation == nil {
		return plan.Evaluation{Error: reply.Error}
	}
	return *reply.Evaluation
}

// coordinatorPlans reads the journal.
func (a *App) coordinatorPlans(t *testing.T) *plan.Executor {
	t.Helper()
	store, err := a.Bus().Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	x, err := plan.NewExecutor(plan.Options{Journal: plan.FromBus(store), Registry: plan.Standard(), Node: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	return x
}
