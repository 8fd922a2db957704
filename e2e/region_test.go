package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/app"
	"mahavishnu/coordinator/plan"
	"mahavishnu/coordinator/standby/standbytest"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// world is three regions with a machine each: a member of a service that counts, a
// repository of its own, and a copy of eu's in us. ap runs the queue.
type world struct {
	*system
	bus       *bus.Bus
	counter   map[string]*standbytest.Service // by region
	processes map[string]*running             // by node
	ann       plan.PrivateKey
	plans     string // failover.plans; "" for the shipped ones alone
}

// newWorld starts it. What edit makes of shipped plans is what the coordinators have in
// their place.
func newWorld(t *testing.T, edit map[string]func(string) string) *world {
	t.Helper()
	w := &world{system: newSystem(t, t.TempDir(), ""), counter: map[string]*standbytest.Service{}, processes: map[string]*running{}}
	group := standbytest.NewGroup()
	for _, region := range []string{"eu", "us", "ap"} {
		w.counter[region] = group.Member(t, region)
	}
	var err error
	if w.ann, err = plan.CreateKey(filepath.Join(w.dir, "ann.key")); err != nil {
		t.Fatal(err)
	}
	for name, fn := range edit {
		w.plans = filepath.Join(w.dir, "plans")
		text, err := os.ReadFile(filepath.Join("..", "coordinator", "plan", "shipped", name+".yaml"))
		if err == nil {
			err = errors.Join(os.MkdirAll(w.plans, 0o700), os.WriteFile(filepath.Join(w.plans, name+".yaml"), []byte(fn(string(text))), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(w.source, "a.txt"), []byte("alpha"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.up("ap-1")
	w.until("the queue's address", func() bool {
		w.processes["ap-1"].alive()
		text, err := os.ReadFile(filepath.Join(w.dir, "ap-1", "nats.url"))
		w.queue = strings.TrimSpace(string(text))
		return err == nil && w.queue != ""
	})
	w.bus = w.bind(w.processes["ap-1"])
	w.up("eu-1")
	w.up("us-1")
	w.until("the primary is in eu, and the others follow", func() bool {
		return w.member("eu").Holds && w.member("us").Role == "standby" && w.member("ap").Role == "standby"
	})
	w.backUp("home", "eu-1")
	w.until("the backup is copied", func() bool {
		all, err := w.bus.Records().List(t.Context(), bus.Filter{Kinds: []messages.Kind{messages.KindReplicate}, States: []messages.State{messages.StateSucceeded}})
		return err == nil && len(all) > 0
	})
	return w
}

// up starts a machine's process.
func (w *world) up(node string) {
	w.t.Helper()
	w.processes[node] = w.start(node, "up", "--config", w.machine(node))
}

// machine writes the configuration of a machine.
func (w *world) machine(node string) string {
	w.t.Helper()
	queue := "listen: 127.0.0.1:0"
	if w.queue != "" {
		queue = fmt.Sprintf("url: %q, replicas: 1", w.queue)
	}
	var storages, members strings.Builder
	for _, region := range []string{"eu", "us", "ap"} {
		fmt.Fprintf(&storages, "      %s: {local: {enabled: true, path: %q}}\n", region, w.store(region))
		fmt.Fprintf(&members, "        %s: {node: %s-1, region: %s, address: %q}\n", region, region, region, w.counter[region].URL())
	}
	plans := ""
	if w.plans != "" {
		plans = fmt.Sprintf("plans: %q", w.plans)
	}
	text := fmt.Sprintf(`
backup:
  encryption: {key_path: %q}
  validation: {verify_on_create: true}
  replication:
    enabled: true
    regions: [{primary: eu, secondary: us}]
    storages:
%s
regions: [eu, us, ap]
sources:
  home: {path: %q, region: eu, also_from: [us]}
  local: {path: %q, region: eu}
node: {name: %s, region: %s, data_dir: %q, listen: "", slots: 2, grace: 1s, log_format: json}
nats: {%s}
jobs: {ack_wait: %s, retry_first: 1s}
failover:
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  approvers: {ann: {public_key: %q}}
  commit_window: 10m
  %s
  services:
    counter:
      kind: http
      members:
%s`, w.access.KeyPath, storages.String(), w.source, w.source, node, node[:2], filepath.Join(w.dir, node), queue, ackWait, w.ann.Public(), plans, members.String())
	path := filepath.Join(w.dir, node+".yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// store is where a region keeps its repository.
func (w *world) store(region string) string { return filepath.Join(w.dir, "store", region) }

// member is what the keeper of a region's member says.
func (w *world) member(region string) messages.MemberState {
	w.t.Helper()
	reply, err := w.bus.CommandMember(w.t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Service: "counter", Member: region})
	if err != nil && !errors.Is(err, bus.ErrNobody) {
		w.t.Fatal(err)
	}
	return reply.State
}

// backup hands in a backup job of a source of eu and returns its end.
func (w *world) backup(source string) bus.Entry {
	w.t.Helper()
	sent, err := w.bus.Submit(w.t.Context(), messages.NewJob("eu", &messages.BackupSpec{Source: source}, time.Now()))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.ended(w.bus, sent.ID)
}

// backUp has a source of eu backed up, by the worker of a node, verifies it as the
// follow-up of every backup does, and returns the snapshot.
func (w *world) backUp(source, node string) string {
	w.t.Helper()
	e := w.backup(source)
	var result struct {
		Snapshot string `json:"snapshot"`
	}
	if err := json.Unmarshal(e.Result, &result); e.State != messages.StateSucceeded || e.Worker != node || err != nil {
		w.t.Fatalf("the backup ended %s on %s (%v): %s", e.State, e.Worker, err, e.Error)
	}
	if v := w.succeeded(w.bus, e.Job.ID+"/verify"); v.Worker != node {
		w.t.Errorf("verified by %s", v.Worker)
	}
	return result.Snapshot
}

// holds fails the test unless the repository in a place has the snapshots.
func (w *world) holds(place string, snapshots ...string) {
	w.t.Helper()
	repo, err := app.Access{Location: place, KeyPath: w.access.KeyPath}.Open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer repo.Close() //nolint:errcheck // only read
	for _, id := range snapshots {
		if _, err := repo.FindSnapshot(w.t.Context(), id); err != nil {
			w.t.Errorf("%s: %v", place, err)
		}
	}
}

// region is what plans changed about eu.
func (w *world) region() messages.RegionRecord {
	w.t.Helper()
	store, err := w.bus.Store(messages.BucketLeases)
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := store.Get(w.t.Context(), messages.RegionKey("eu"))
	if errors.Is(err, bus.ErrNotFound) {
		return messages.RegionRecord{}
	}
	r, decoding := messages.DecodeRegion(v.Data)
	if err = errors.Join(err, decoding); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// ask asks the leading coordinator. Who just leads may not answer yet.
func (w *world) ask(q plan.Request) plan.Reply {
	w.t.Helper()
	q.By = "ann"
	data, err := json.Marshal(q)
	if err != nil {
		w.t.Fatal(err)
	}
	var reply plan.Reply
	w.until("the leader's answer", func() bool {
		answer, err := w.bus.AskPlans(w.t.Context(), data)
		if err == nil {
			reply, err = plan.DecodeReply(answer)
		}
		return err == nil
	})
	return reply
}

// order begins an execution once the leader can.
func (w *world) order(q plan.Request) string {
	w.t.Helper()
	var reply plan.Reply
	began := time.Now()
	w.until("the leader takes the order", func() bool {
		reply = w.ask(q)
		if err := reply.Err(); err != nil && time.Since(began) > 20*time.Second {
			w.t.Fatalf("the leader does not take the order: %v", err)
		}
		return reply.Execution != nil && reply.Err() == nil
	})
	return reply.Execution.ID
}

// journal is an execution as it is written down.
func (w *world) journal(id string) plan.Execution {
	w.t.Helper()
	store, err := w.bus.Store(messages.BucketLeases)
	if err != nil {
		w.t.Fatal(err)
	}
	x, err := plan.NewExecutor(plan.Options{Journal: plan.FromBus(store), Registry: plan.Standard(), Node: "reader"})
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := x.Find(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// comesTo waits for an execution's state.
func (w *world) comesTo(id string, state plan.State) plan.Execution {
	w.t.Helper()
	var e plan.Execution
	began := time.Now()
	w.until(fmt.Sprintf("%s is %s", id, state), func() bool {
		e = w.journal(id)
		if time.Since(began) > time.Minute {
			w.t.Fatalf("%s is still %s\n%s", id, e.State, steps(e))
		}
		if e.State != state && (e.State == plan.StateStopped || e.State.Final()) {
			w.t.Fatalf("%s is %s: %s\n%s", id, e.State, e.Error, steps(e))
		}
		return e.State == state
	})
	w.t.Logf("%s is %s\n%s", id, state, steps(e))
	return e
}

func steps(e plan.Execution) string {
	var b strings.Builder
	for _, s := range e.Entries {
		fmt.Fprintf(&b, "%-18s %-8s %8v %s%s\n", s.Step, s.Outcome, s.Finished.Sub(s.Started).Round(time.Millisecond), s.Output, s.Error)
	}
	return b.String()
}

// asks waits until an execution asks for an approval.
func (w *world) asks(id string) plan.Question {
	w.t.Helper()
	var q plan.Question
	w.until(id+" asks for an approval", func() bool {
		e := w.journal(id)
		var ok bool
		q, ok = e.Question()
		return ok
	})
	return q
}

// approve signs what an execution asks.
func (w *world) approve(q plan.Question, key plan.PrivateKey, at time.Time) plan.Approval {
	w.t.Helper()
	a, err := plan.Sign(q, "ann", key, at, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// refused sends an approval that must be refused, and the journal must say why.
func (w *world) refused(id string, a plan.Approval, why string) {
	w.t.Helper()
	if reply := w.ask(plan.Request{Ask: plan.AskApprove, Execution: id, Approval: &a}); reply.Err() == nil {
		w.t.Errorf("an approval was accepted that should not be: %s", why)
	}
	e := w.journal(id)
	if n := len(e.Refusals); n == 0 || !strings.Contains(e.Refusals[n-1].Reason, why) {
		w.t.Errorf("the journal says %+v, want %q", e.Refusals, why)
	}
}

// A whole region is lost: another takes over its services, repository and jobs once a
// person has approved, and gives back everything when it returns.
func TestARegionIsFailedOverAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]func(string) string{
		"failback_region": func(text string) string {
			return strings.NewReplacer("every: 5s", "every: 100ms", "holds: 60", "holds: 5").Replace(text)
		},
		"single_server_failure": func(text string) string { return strings.ReplaceAll(text, "start: automatic", "start: by_hand") },
	})
	if err := w.counter["eu"].Write(); err != nil {
		t.Fatal(err)
	}
	w.until("the failover could be carried out", func() bool {
		reply := w.ask(plan.Request{Ask: plan.AskTry, Plan: "region_failure", Params: map[string]string{"from": "eu", "to": "us"}})
		return reply.Evaluation != nil && reply.Evaluation.Broken() == ""
	})

	// Everything in eu is gone at once, its disks too.
	w.processes["eu-1"].Kill()
	w.counter["eu"].Crash()
	if err := os.Rename(w.store("eu"), w.store("lost")); err != nil {
		t.Fatal(err)
	}
	failover := w.order(plan.Request{Ask: plan.AskExecute, Plan: "region_failure", Params: map[string]string{"from": "eu", "to": "us"}})
	question := w.asks(failover)
	if r := w.region(); r.Changed() {
		t.Errorf("without an approval it has changed %+v", r)
	}
	other, err := plan.CreateKey(filepath.Join(w.dir, "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	w.refused(failover, w.approve(question, other, time.Now()), "forged")
	w.refused(failover, w.approve(question, w.ann, time.Now().Add(-time.Hour)), "stale")
	if r := w.region(); r.Changed() || w.member("us").Holds {
		t.Errorf("a refused approval has changed %+v", r)
	}
	approval := w.approve(question, w.ann, time.Now())
	if err := w.ask(plan.Request{Ask: plan.AskApprove, Execution: failover, Approval: &approval}).Err(); err != nil {
		t.Fatal(err)
	}
	w.refused(failover, approval, "used already")
	w.comesTo(failover, plan.StateFailedOver)
	if r := w.region(); r.Paused != nil || r.Workers == nil || r.Repository == nil || r.Services["counter"] != "eu" {
		t.Errorf("after the failover the region is %+v", r)
	}
	if err := w.counter["us"].Write(); err != nil {
		t.Errorf("the service in us: %v", err)
	}
	if out := w.must("failover", "status", "--config", filepath.Join(w.dir, "us-1.yml")); !strings.Contains(out, "workers of us take its jobs") {
		t.Errorf("failover status does not show it:\n%s", out)
	}
	made := w.backUp("home", "us-1")
	w.holds(filepath.Join(w.store("us"), "replicas", "eu"), made)
	if e := w.backup("local"); e.State != messages.StateDead || e.Spent != 0 || !strings.Contains(e.Error, "cannot read source") {
		t.Errorf("a source that us does not see ended %s after %d attempts: %s", e.State, e.Spent, e.Error)
	}

	// It comes back, and does nothing by itself.
	if err := errors.Join(os.RemoveAll(w.store("eu")), os.Rename(w.store("lost"), w.store("eu"))); err != nil {
		t.Fatal(err)
	}
	w.counter["eu"].Restart()
	w.up("eu-1")
	w.until("eu's keeper is heard", func() bool { return w.member("eu").Service != "" })
	meanwhile := w.backUp("home", "us-1")

	if err := w.ask(plan.Request{Ask: plan.AskCommit, Execution: failover}).Err(); err != nil {
		t.Fatal(err)
	}
	w.comesTo(failover, plan.StateCommitted)
	failback := w.order(plan.Request{Ask: plan.AskFailback, Execution: failover})
	w.asks(failback)
	w.refused(failback, approval, "it is for execution "+failover)
	w.must("failover", "approve", failback, "--key-file", filepath.Join(w.dir, "ann.key"), "--config", filepath.Join(w.dir, "us-1.yml"))
	w.comesTo(failback, plan.StateCommitted)
	if r := w.region(); r.Changed() {
		t.Errorf("after the failback the region is %+v", r)
	}
	if err := w.counter["eu"].Write(); err != nil {
		t.Errorf("the service in eu: %v", err)
	}
	if n := w.counter["eu"].Has(); n != 3 {
		t.Errorf("it has %d writes, want 3", n)
	}
	w.until("the others follow it", func() bool { return w.member("us").Role == "standby" })
	after := w.backUp("home", "eu-1")
	w.holds(w.store("eu"), made, meanwhile, after)
}

// A region that is left in good order is back as it was when that is taken back within
// the window. All shipped plans are ready before.
func TestARegionFailoverIsRolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	config := filepath.Join(w.dir, "us-1.yml")
	var listed string
	w.until("all plans are ready", func() bool {
		var code int
		code, listed, _ = w.run("failover", "plan", "--config", config)
		return code == 0 && !strings.Contains(listed, "BROKEN") && strings.Count(listed, "ready, ") >= 7
	})
	t.Log("\n" + listed)
	if err := w.counter["eu"].Write(); err != nil {
		t.Fatal(err)
	}
	failover := w.order(plan.Request{
		Ask: plan.AskExecute, Plan: "region_failure", Variant: plan.Graceful, Params: map[string]string{"from": "eu", "to": "us"},
	})
	w.asks(failover)
	w.must("failover", "approve", failover, "--key-file", filepath.Join(w.dir, "ann.key"), "--config", config)
	w.comesTo(failover, plan.StateFailedOver)
	if !w.member("us").Holds || w.member("eu").Writable {
		t.Errorf("the service has not moved: %+v %+v", w.member("eu"), w.member("us"))
	}
	if err := w.counter["us"].Write(); err != nil {
		t.Errorf("the service in us: %v", err)
	}
	made := w.backUp("home", "us-1") // though eu's own worker is alive
	if err := w.ask(plan.Request{Ask: plan.AskRollback, Execution: failover}).Err(); err != nil {
		t.Fatal(err)
	}
	w.comesTo(failover, plan.StateRolledBack)
	if r := w.region(); r.Changed() {
		t.Errorf("after the rollback the region is %+v", r)
	}
	if err := w.counter["eu"].Write(); err != nil {
		t.Errorf("the service in eu: %v", err)
	}
	if n := w.counter["eu"].Has(); n != 3 {
		t.Errorf("it has %d writes, want 3", n)
	}
	w.holds(w.store("eu"), made, w.backUp("home", "eu-1"))
}
