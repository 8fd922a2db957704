package plan

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/config"
)

// good is a plan into which the mistakes of the table are put.
const good = `name: good
about: what it is for
start: automatic
limits: {at_most: 1, within: 1h, quiet: 1m}
protects: ["service/$service"]
window: 1h
parameters:
  service: {type: service, about: which}
  lag: {type: duration, about: how far, default: 10s}
steps:
  - name: majority
    kind: check
    uses: quorum
    timeout: 2s
  - name: close
    kind: wait
    uses: caught_up
    only: graceful
    with: {service: $service, member: a, lag: $lag}
    timeout: 5s
  - name: fence
    kind: action
    uses: fence
    with: {service: $service, member: a}
    timeout: 3s
    undo: {uses: promote, with: {service: $service, member: a}, timeout: 5s}
  - name: pass
    kind: wait
    for: 10s
  - name: proof
    kind: probe
    uses: probe
    needs: [fence]
    with: {service: $service}
    timeout: 10s
`

func TestLoadGood(t *testing.T) {
	p, err := Load("good.yaml", []byte(good), Standard())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.In(Graceful)) != 5 || len(p.In(Ungraceful)) != 4 || p.Variant() != Ungraceful {
		t.Errorf("variants: %d, %d", len(p.In(Graceful)), len(p.In(Ungraceful)))
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again := &Plan{File: p.File}
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("the journal changes a plan:\n%s", diff)
	}
}

func TestLoadBad(t *testing.T) {
	placed := regexp.MustCompile(`^bad\.yaml:\d+:\d+: `)
	for _, c := range []struct{ name, old, with, want string }{
		{"unknown key", "    timeout: 2s", "    timeout: 2s\n    retrys: 1", `steps[0].retrys: there is no setting of this name in steps[0]; did you mean "retries"?`},
		{"unknown key at the top", "window: 1h", "windows: 1h", `did you mean "window"?`},
		{"settings of the configuration are no help", "window: 1h", "rto_target_minutes: 1", "there is no setting of this name at the top"},
		{"key given twice", "window: 1h", "window: 1h\nwindow: 2h", "is given twice, first in line 6"},
		{"unknown action", "uses: fence\n", "uses: fense\n", `there is no action "fense"; there are demote, failback_repository, fence`},
		{"its suggestion", "uses: fence\n", "uses: fense\n", `did you mean "fence"?`},
		{"unknown condition", "uses: quorum", "uses: qorum", `did you mean "quorum"?`},
		{"an action as a check", "uses: quorum", "uses: notify", `notify changes something, which a check must not: write "kind: action"`},
		{"a condition as an action", "uses: fence\n", "uses: quorum\n", "quorum only looks"},
		{"unknown kind", "kind: probe", "kind: prob", `"prob" is not a kind of step: write one of check, action, wait, approve, probe`},
		{"no kind", "    kind: probe\n", "", "steps[4].kind: is missing"},
		{"no timeout", "    timeout: 3s\n", "", `steps[2].timeout: is missing: say how long one attempt may take`},
		{"no timeout of undo", "member: a}, timeout: 5s}", "member: a}}", "steps[2].undo.timeout: is missing"},
		{"timeout without unit", "timeout: 3s", "timeout: 3", "3 has no unit"},
		{"timeout of a pause", "for: 10s", "for: 10s\n    timeout: 1s", "has no meaning for a wait"},
		{"wait for nothing", "    for: 10s\n", "", "is a wait for nothing"},
		{"unknown parameter of an action", "{service: $service, member: a}\n    timeout: 3s", "{service: $service, membr: a}\n    timeout: 3s", `steps[2].with.membr: fence has no parameter of this name; it has service, member; did you mean "member"?`},
		{"missing parameter of an action", "with: {service: $service, member: a}\n    timeout: 3s", "with: {service: $service}\n    timeout: 3s", "steps[2].with.member: is missing: fence wants one of its members (member)"},
		{"wrong type of a literal", "lag: $lag}", "lag: soon}", "not a duration"},
		{"wrong type of a reference", "lag: $lag}", "lag: $service}", "wants a duration, and $service is a service"},
		{"name put together", "member: a, lag", "member: a$service, lag", "cannot be put together from parts"},
		{"list for a value", "member: a, lag", "member: [a], lag", "expected one value, found a list"},
		{"unknown parameter of the plan", "lag: $lag}", "lag: $lags}", `the plan has no parameter "lags"; did you mean "lag"?`},
		{"unused parameter", "lag: $lag}", "lag: 1s}", "parameters.lag: no step uses it"},
		{"dollar alone", `"service/$service"`, `"service/$"`, "a dollar sign with no name behind it"},
		{"bad default", "default: 10s", "default: soon", "not a duration"},
		{"type of a parameter", "type: duration", "type: time", `"time" is not a type of parameter`},
		{"no about of a parameter", "{type: service, about: which}", "{type: service}", "parameters.service.about: is missing"},
		{"name of a parameter", "  lag: {", "  Lag: {", "cannot be a name"},
		{"two steps of one name", "name: pass", "name: fence", "step 3 has this name already"},
		{"name of a step", "name: pass", "name: a b", `"a b" cannot be a name`},
		{"needs nothing", "needs: [fence]", "needs: [fense]", `there is no step "fense"; did you mean "fence"?`},
		{"needs itself", "needs: [fence]", "needs: [proof]", "leads in a circle: the step needs itself"},
		{"needs a later one", "    for: 10s", "    for: 10s\n    needs: [proof]", `step "proof" comes later`},
		{"circle", "    for: 10s\n", "    for: 10s\n    needs: [proof]\n", "comes later"},
		{"needs another variant", "needs: [fence]", "needs: [close]", "only in the graceful variant"},
		{"only of a variant that is not there", "window: 1h", "variants: [ungraceful]\nwindow: 1h", "the plan has no graceful variant"},
		{"variant twice", "window: 1h", "variants: [graceful, graceful]\nwindow: 1h", "graceful is given twice"},
		{"variant without action", "    uses: fence\n", "    uses: fence\n    only: graceful\n", "has no action for the ungraceful variant"},
		{"undo of a check", "    timeout: 2s", "    timeout: 2s\n    undo: {uses: fence}", "belongs to action, not to check"},
		{"every of an action", "    timeout: 3s", "    timeout: 3s\n    every: 1s", "belongs to wait and probe, not to action"},
		{"policy", "    timeout: 3s", "    timeout: 3s\n    on_failure: ignore", `"ignore" is not what to do when a step fails`},
		{"too many retries", "    timeout: 3s", "    timeout: 3s\n    retries: 1000", "must be from 0 to 20"},
		{"retries as text", "    timeout: 3s", "    timeout: 3s\n    retries: three", "expected a whole number"},
		{"window of nothing", "window: 1h", "window: 0s", `write "none", or a duration`},
		{"expired without window", "window: 1h", "window: none\nexpired: rollback", "has no meaning without a window"},
		{"limits of a plan by hand", "start: automatic", "start: by_hand", "about plans that start by themselves"},
		{"automatic failback", "window: 1h", "window: 1h\nreturns: true", "going back is a person's decision"},
		{"no name", "name: good\n", "", "name: is missing"},
		{"no about", "about: what it is for\n", "", "about: is missing"},
		{"nothing protected", "protects: [\"service/$service\"]\n", "", "protects: is missing"},
		{"tab", "    for: 10s", "\tfor: 10s", "a tab in the indentation"},
		{"syntax", "kind: probe", "kind: probe: x", "a second colon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.with, 1)
			if text == good {
				t.Fatal("the mistake is not in the text")
			}
			_, err := Load("bad.yaml", []byte(text), Standard())
			var first *config.Error
			if err == nil || !errors.As(err, &first) {
				t.Fatalf("it was taken: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
			for _, line := range regexp.MustCompile(`(?m)^bad.*`).FindAllString(err.Error(), -1) {
				if !placed.MatchString(line) {
					t.Errorf("no line and column: %s", line)
				}
			}
			if first.Line > 0 && !strings.Contains(err.Error(), strings.TrimSpace(strings.Split(text, "\n")[first.Line-1])) && c.name != "tab" {
				t.Errorf("the line itself is not shown: %v", err)
			}
		})
	}
}

func TestCircleOfNeedsIsNamed(t *testing.T) {
	text := strings.Replace(good, "    for: 10s\n", "    for: 10s\n    needs: [proof]\n", 1)
	text = strings.Replace(text, "needs: [fence]", "needs: [pass]", 1)
	_, err := Load("bad.yaml", []byte(text), Standard())
	if err == nil || !strings.Contains(err.Error(), "leads in a circle: pass -> proof -> pass") {
		t.Errorf("%v", err)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	text := strings.NewReplacer("timeout: 2s", "", "kind: probe", "kind: prob", "uses: fence\n", "uses: fense\n").Replace(good)
	_, err := Load("bad.yaml", []byte(text), Standard())
	if n := strings.Count(err.Error(), "bad.yaml:"); n != 3 {
		t.Errorf("%d mistakes found, want 3:\n%v", n, err)
	}
}

func TestEmptyPlan(t *testing.T) {
	for _, text := range []string{"", "  \n\n", "# nothing\n", "[]", "x"} {
		if _, err := Load("bad.yaml", []byte(text), Standard()); err == nil || strings.Contains(err.Error(), "defaults alone") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestShippedPlans(t *testing.T) {
	plans, err := Shipped(Standard())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"single_server_failure", "region_failure", "network_partition"} {
		p := plans[name]
		if p == nil || !p.Has(Graceful) || !p.Has(Ungraceful) || plans[p.Failback] == nil || !plans[p.Failback].Returns {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if plans["single_server_failure"].Start != Automatic || plans["region_failure"].Start == Automatic {
		t.Error("who starts what")
	}
	region := plans["region_failure"]
	for _, v := range region.variants() {
		asked := false
		for _, s := range region.In(v) {
			if s.Kind == KindAction && !asked {
				t.Errorf("region_failure (%s) does %s before anybody approved", v, s.Name)
				break
			}
			asked = asked || s.Kind == KindApprove
		}
	}
	for _, p := range plans {
		for _, v := range p.variants() {
			free := false
			for _, s := range p.In(v) {
				if s.Uses == "promote" && !free {
					t.Errorf("%s (%s) promotes in step %s before the lease is free", p.Name, v, s.Name)
				}
				free = free || s.Uses == "wait_lease"
			}
		}
	}
}

func TestPlansOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.yaml", good)
	write("notes.txt", "no plan")
	write("mine.yml", strings.Replace(good, "name: good", "name: network_partition", 1))
	plans, err := All(Standard(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if plans["good"] == nil || plans["network_partition"].Failback != "" || plans["region_failure"] == nil {
		t.Errorf("%v", sorted(plans))
	}
	write("again.yaml", good)
	if _, err := All(Standard(), dir); err == nil || !strings.Contains(err.Error(), "rename one") {
		t.Errorf("two of one name: %v", err)
	}
	write("again.yaml", strings.Replace(good, "name: good", "name: again\nfailback: region_failure", 1))
	if _, err := All(Standard(), dir); err == nil || !strings.Contains(err.Error(), "plan region_failure is no failback") {
		t.Errorf("a failback that is none: %v", err)
	}
	write("again.yaml", strings.Replace(good, "name: good", "name: again\nfailback: good", 1))
	write("good.yaml", strings.Replace(good, "name: good", "name: good\nfailback: again", 1))
	if _, err := All(Standard(), dir); err == nil || !strings.Contains(err.Error(), "again -> good -> again") {
		t.Errorf("a circle: %v", err)
	}
	write("again.yaml", strings.Replace(good, "name: good", "name: again\nfailback: failback_servise", 1))
	if _, err := All(Standard(), dir); err == nil || !strings.Contains(err.Error(), `did you mean "failback_service"?`) {
		t.Errorf("a failback that is not there: %v", err)
	}
	if _, err := All(Standard(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestParametersAreCompleted(t *testing.T) {
	plans, err := Shipped(Standard())
	if err != nil {
		t.Fatal(err)
	}
	p := plans["region_failure"]
	names := func(Type) []string { return []string{"us-east-1", "eu-west-1"} }
	if _, err := p.Complete(map[string]string{"from": "us-east-1", "to": "eu-west-1"}, names); err != nil {
		t.Error(err)
	}
	for want, given := range map[string]map[string]string{
		`no parameter "form"; did you mean "from"?`: {"form": "us-east-1", "to": "eu-west-1"},
		"parameter to (region) is missing":          {"from": "us-east-1"},
		`did you mean "eu-west-1"?`:                 {"from": "us-east-1", "to": "eu-west-2"},
		`cannot be the name of a region`:            {"from": "us east", "to": "eu-west-1"},
	} {
		if _, err := p.Complete(given, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", given, err, want)
		}
	}
}

// FuzzLoad asks of any text: it is refused with places, or what was loaded can be
// carried out and printed.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	files, err := filepath.Glob("shipped/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	registry := Standard()
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Load("fuzz.yaml", text, registry)
		if err != nil {
			var first *config.Error
			if !errors.As(err, &first) || first.Message == "" {
				t.Fatalf("refused with %T: %v", err, err)
			}
			return
		}
		if Runbook(p, registry, nil) == "" {
			t.Fatal("no runbook")
		}
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again := &Plan{}
		if err := json.Unmarshal(data, again); err != nil {
			t.Fatalf("the journal cannot hold it: %v", err)
		}
		for _, v := range p.variants() {
			if Digest(*p, v, nil) != Digest(*again, v, nil) {
				t.Fatalf("the journal changes it:\n%s", data)
			}
			if len(p.In(v)) == 0 {
				t.Fatal("a variant without steps")
			}
		}
	})
}
