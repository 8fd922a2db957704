package failover

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
)

// Nothing takes over from itself, and no member what is its already; only the last primary
// that is gone may begin again.
func TestNothingTakesOverFromItself(t *testing.T) {
	p, _ := planned(t)
	p.cfg.Regions = []string{"eu", "us"}
	p.cfg.Failover.Services["orders"] = config.FailoverService{Members: map[string]config.FailoverMember{"a": {}, "b": {}, "c": {}}}
	members := p.eyes.(*sight).members
	members[1].Verdict, members[1].Keeper.Tenure = "up", 20
	recorded(t, p, keeper.Record{Primary: "b", Epoch: 20})
	all, err := plan.All(plan.Standard(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		plan       string
		variant    plan.Variant
		params     string
		want, hint string
	}{
		{"single_server_failure", plan.Graceful, "from=b to=a", "", ""},
		{"single_server_failure", plan.Graceful, "from=b to=b", "b takes the writes already", "name another member: a, c"},
		{"single_server_failure", plan.Graceful, "from=a to=b", "b takes the writes already", "name another member: a, c"},
		{"single_server_failure", plan.Graceful, "from=a to=a", "a cannot take over from itself", "name another member: c"},
		{"single_server_failure", plan.Ungraceful, "from=b to=b", "", ""}, // nobody else can
		{"single_server_failure", plan.Ungraceful, "from=a to=b", "b takes the writes already", "name another member: a, c"},
		{"single_server_failure", plan.Ungraceful, "from=a to=a", "a cannot take over from itself", "name another member: c"},
		{"failback_service", plan.Graceful, "from=a to=b", "", ""},
		{"failback_service", plan.Graceful, "from=a to=a", "a cannot take over from itself", "name another member: c"},
		{"failback_service", plan.Graceful, "from=b to=b", "b takes the writes already", "name another member: a, c"},
		{"failback_service", plan.Ungraceful, "from=b to=b", "b takes the writes already", "name another member: a, c"},
		{"failback_service", plan.Graceful, "from=b to=a", "b takes the writes already", "name another member: a, c"},
		{"rejoin_member", plan.Graceful, "member=a primary=b", "", ""},
		{"rejoin_member", plan.Graceful, "member=b primary=b", "b takes the writes already", "name another member: a, c"},
		{"first_primary", plan.Graceful, "member=b", "", ""}, // it asks that itself
		{"region_failure", plan.Ungraceful, "from=eu to=us", "", ""},
		{"region_failure", plan.Ungraceful, "from=eu to=eu", "eu cannot take over from itself", "name another region: us"},
		{"failback_region", plan.Graceful, "from=us to=us", "us cannot take over from itself", "name another region: eu"},
		{"network_partition", plan.Ungraceful, "from=eu to=eu", "eu cannot take over from itself", "name another region: us"},
	} {
		params := map[string]string{"service": "orders"}
		for each := range strings.FieldsSeq(c.params) {
			name, value, _ := strings.Cut(each, "=")
			params[name] = value
		}
		err := p.suits(t.Context(), all[c.plan], c.variant, params)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s %s: %v", c.plan, c.params, err)
		case c.want != "" && (!errors.Is(err, plan.ErrRefused) || !strings.Contains(err.Error(), c.want) || !slices.Contains(fault.Hints(err), c.hint)):
			t.Errorf("%s %s: %v, hints %q; want %s, %s", c.plan, c.params, err, fault.Hints(err), c.want, c.hint)
		}
	}
	members[1].Keeper.Holds = false
	if err := p.suitsMembers(t.Context(), "orders", "b", "b", false); err == nil || !strings.Contains(err.Error(), "b was the last that took writes") {
		t.Errorf("a primary that is gone: %v", err)
	}
}

// Who asks for a failover of a primary that works hears how that is moved; of a member that
// there is not, which there are.
func TestWhatIsRefusedNamesWhatToOrder(t *testing.T) {
	p, _ := planned(t)
	members := p.eyes.(*sight).members
	members[0].Keeper.Role = "standby"
	for i := range members {
		members[i].Verdict = "up"
	}
	for member, want := range map[string]bool{"a": false, "b": true} {
		down, seen, err := p.memberDown(t.Context(), plan.Call{Plan: ServerFailure, Variant: plan.Ungraceful, Params: map[string]string{"service": "orders", "member": member}})
		if err != nil || down || strings.Contains(seen, "moved with --graceful") != want {
			t.Errorf("%s: %v %q %v", member, down, seen, err)
		}
	}
	if hint := p.handOver("orders", members[1]); !strings.HasSuffix(hint, "mahavishnu failover execute single_server_failure --graceful --set service=orders --set to=a") {
		t.Errorf("a primary: %q", hint)
	}
	if hint := p.handOver("orders", members[0]); hint != "" {
		t.Errorf("a standby: %q", hint)
	}
	if _, err := p.member("orders", "z"); err == nil || !strings.Contains(err.Error(), "it has a, b") {
		t.Errorf("no such member: %v", err)
	}
	if _, err := p.member("z", "a"); err == nil || !strings.Contains(err.Error(), "there are orders") {
		t.Errorf("no such service: %v", err)
	}
}
