package plan

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEvaluateChangesNothingAndFindsWhatIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, with, _ := approver(t)
		w := newWorld()
		n := node{w: w}
		broken := ""
		var told []Event
		x := n.executor(t, with, func(o *Options) {
			looked := n.set().(ActionFuncs)
			looked.Checks = func(_ context.Context, c Call) (string, error) {
				if c.Text("thing") == broken {
					return "", errors.New("its disk is full")
				}
				return "ready", nil
			}
			if err := o.Registry.BindAction("set", looked); err != nil {
				t.Fatal(err)
			}
			o.Tell = func(e Event) {
				if e.Kind != EventEvaluated {
					told = append(told, e)
				}
			}
		})
		w.truth["ready"] = false // a check that does not hold before the day is no fault
		plans := Plans{"whole": load(t, whole)}
		all, err := x.EvaluateAll(t.Context(), plans)
		if err != nil || len(all) != 2 {
			t.Fatalf("%d evaluations, %v", len(all), err)
		}
		for _, e := range all {
			if e.Broken() != "" || len(e.Findings) != 8 || e.Findings[1].Seen != "ready" {
				t.Errorf("%+v", e)
			}
		}
		if len(told) > 0 || len(w.effects) > 0 {
			t.Errorf("events %v, effects %v", told, w.effects)
		}
		broken = "two"
		for range 2 {
			if all, err = x.EvaluateAll(t.Context(), plans); err != nil || !strings.Contains(all[0].Broken(), "step two: its disk is full") {
				t.Fatalf("%v %v", all[0].Broken(), err)
			}
		}
		kept, err := x.Evaluations(t.Context(), "whole")
		if diff := cmp.Diff(all, kept); diff != "" || err != nil {
			t.Errorf("what was kept differs: %v\n%s", err, diff)
		}
		broken = ""
		if _, err := x.EvaluateAll(t.Context(), plans); err != nil {
			t.Fatal(err)
		}
		var kinds []EventKind
		for _, e := range told {
			kinds = append(kinds, e.Kind)
		}
		if diff := cmp.Diff([]EventKind{EventBroken, EventMended}, kinds); diff != "" {
			t.Errorf("told:\n%s", diff)
		}
	})
}

func TestEvaluateNeedsSomebodyToCallAndToAsk(t *testing.T) {
	x := node{w: newWorld()}.executor(t, func(o *Options) { o.Registry = testRegistry() })
	e := x.Evaluate(t.Context(), Order{Plan: load(t, whole)})
	for _, want := range []string{"step look: use is: " + ErrUnbound.Error(), "step ask: it needs 1 approvals", "undoing step one"} {
		if !strings.Contains(e.Broken(), want) {
			t.Errorf("%s\nwant %s", e.Broken(), want)
		}
	}
	e = x.Evaluate(t.Context(), Order{Plan: load(t, strings.Replace(whole, "    retries: 2\n", "    on_failure: continue\n", 1))})
	if !e.Findings[1].Optional || e.Findings[1].Error == "" || strings.Contains(e.Broken(), "; step one:") {
		t.Errorf("a step that the plan goes on without breaks it: %s", e.Broken())
	}
	e = x.Evaluate(t.Context(), Order{Plan: load(t, small)})
	if !strings.Contains(e.Error, "parameter which") {
		t.Errorf("%+v", e)
	}
}

func TestInstancesAreWhatThePlanCouldBeGiven(t *testing.T) {
	plans, err := Shipped(Standard())
	if err != nil {
		t.Fatal(err)
	}
	x := node{w: newWorld()}.executor(t, func(o *Options) {
		o.Names = func(ty Type) []string {
			switch ty {
			case TypeRegion:
				return []string{"a", "b", "c"}
			case TypeService:
				return []string{"db", "web"}
			default:
				return []string{"m1", "m2", "m3"}
			}
		}
	})
	if all := x.instances(plans["region_failure"]); len(all) != 6 {
		t.Errorf("pairs of three regions: %v", all)
	}
	x.o.Sensible = func(_ *Plan, params map[string]string) bool { return params["from"] == "a" }
	if all := x.instances(plans["region_failure"]); len(all) != 2 {
		t.Errorf("those that make sense: %v", all)
	}
	x.o.Sensible = nil
	if all := x.instances(plans["single_server_failure"]); len(all) != 2 || all[0]["service"] != "db" || all[0]["from"] != "" {
		t.Errorf("services: %v", all)
	}
}

func TestEvaluationTakesAtMostItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := node{w: newWorld()}
		x := n.executor(t, func(o *Options) {
			slow := n.set().(ActionFuncs)
			slow.Checks = func(ctx context.Context, _ Call) (string, error) {
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			if err := o.Registry.BindAction("set", slow); err != nil {
				t.Fatal(err)
			}
		})
		e := x.Evaluate(t.Context(), order(t, small, "db", ByHand))
		if e.Took != 2*evaluateTimeout || !strings.Contains(e.Broken(), "longer than its timeout") {
			t.Errorf("%v %s", e.Took, e.Broken())
		}
	})
}

// TestRunbooks compares the runbooks of the documentation with the plans they were
// printed from. WRITE_RUNBOOKS=1 prints them.
func TestRunbooks(t *testing.T) {
	r := Standard()
	plans, err := Shipped(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "docs", "runbooks")
	for name, p := range plans {
		file := filepath.Join(dir, name+".md")
		text := Runbook(p, r, nil)
		if os.Getenv("WRITE_RUNBOOKS") != "" {
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		written, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), text); diff != "" {
			t.Errorf("%s is not what the plan says; WRITE_RUNBOOKS=1 go test ./coordinator/plan -run Runbooks\n%s", file, diff)
		}
		if strings.Contains(text, "$") {
			t.Errorf("%s shows a parameter that has no value", file)
		}
	}
}

func TestRunbookWithValues(t *testing.T) {
	r := Standard()
	plans, err := Shipped(r)
	if err != nil {
		t.Fatal(err)
	}
	text := Runbook(plans["region_failure"], r, map[string]string{"from": "us-east-1", "to": "eu-west-1"})
	for _, want := range []string{
		"mahavishnu failover execute region_failure --graceful --set from=us-east-1 --set to=eu-west-1",
		"mahavishnu replication promote us-east-1@eu-west-1 --reason failover",
		"Asked: one of the approvers",
		"failover failback EXECUTION",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the runbook lacks %q:\n%s", want, text)
		}
	}
}

func TestDeskEvaluatesByIntervalAndOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		var files atomic.Pointer[Plans]
		files.Store(&Plans{"small": load(t, strings.Replace(small, "about: what}", "about: what, default: db}", 1))})
		d := NewDesk(x, DeskOptions{Plans: *files.Load(), Reload: func() (Plans, error) { return *files.Load(), nil }})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Lead(ctx, 5) }()
		count := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			n := 0
			for _, key := range w.writes {
				if strings.HasPrefix(key, evaluationPrefix) {
					n++
				}
			}
			return n
		}
		if n := count(); n != 1 {
			t.Errorf("%d evaluations at the start", n)
		}
		time.Sleep(EvaluateEvery + time.Second)
		if n := count(); n != 2 {
			t.Errorf("%d evaluations after half an hour", n)
		}
		files.Store(&Plans{"a": load(t, small), "b": load(t, small)})
		d.Changed()
		time.Sleep(settle / 2)
		d.Changed()
		time.Sleep(settle)
		if n := count(); n != 4 {
			t.Errorf("%d evaluations after a flock of changes", n)
		}
		time.Sleep(2 * soon) // which is missing a parameter now
		if n := count(); n != 6 {
			t.Errorf("%d evaluations while something is in the way", n)
		}
		cancel(errGone)
		if err := <-ended; !errors.Is(err, errGone) {
			t.Errorf("it ended with %v", err)
		}
	})
}
