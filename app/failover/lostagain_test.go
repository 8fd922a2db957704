package failover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// A member that died after it was promoted is not waited for; one that was promoted a moment
// ago may still be held down from before.
func TestAProbeOfAMemberThatDiedEnds(t *testing.T) {
	p, _, written := led(t)
	eyes := p.eyes.(*sight)
	c := plan.Call{Params: map[string]string{"service": "orders", "member": "a", "writable": "true"}}
	for _, x := range []struct {
		name, holder, verdict string
		ago                   time.Duration
		hopeless              bool
	}{
		{"it was promoted a moment ago", "a", "down", 0, false},
		{"its lease was given back", "", "down", 0, true},
		{"another holds the lease", "b", "down", 0, true},
		{"its lease has lapsed", "a", "down", 2 * time.Minute, true},
		{"it is doubted", "", "suspect", 0, false},
	} {
		written(x.holder, x.ago)
		eyes.members[0].Verdict, eyes.members[0].Why, eyes.members[0].Probe = x.verdict, "what regions say", "refused"
		holds, _, err := p.serves(t.Context(), c)
		if holds || errors.Is(err, plan.ErrHopeless) != x.hopeless || err != nil && !strings.Contains(err.Error(), "what regions say") {
			t.Errorf("%s: %v, %v", x.name, holds, err)
		}
	}
}

// What is not done for a member is among the troubles until it is done, or not needed any more.
func TestAMemberThatIsLeftAloneIsTold(t *testing.T) {
	p, _ := planned(t)
	if !p.leave("orders/a", "why") || p.leave("orders/a", "why, later") {
		t.Error("it is news once")
	}
	if got := p.complaints(); !slices.Equal(got, []string{"why, later"}) {
		t.Errorf("told are %q", got)
	}
	// Nobody follows nobody any more.
	following := messages.ServiceStatus{Service: "orders", Members: []messages.MemberStatus{{Member: "a"}}}
	if err := p.reuniteService(t.Context(), following, p.cfg.Failover.Services["orders"]); err != nil {
		t.Fatal(err)
	}
	if got := p.complaints(); len(got) != 0 {
		t.Errorf("told are %q", got)
	}
}

// A service whose primary is gone while a plan is at work is looked at until it is not: no
// verdict changes when the plan stops.
func TestWhatWaitsForAPlanIsLookedAtAgain(t *testing.T) {
	p, _ := planned(t)
	p.complain("orders", complaint{about: underWay})
	if !p.pending("orders") || len(p.complaints()) != 0 {
		t.Error(fmt.Sprint("it is not looked at, or complained of: ", p.complaints()))
	}
	p.complain("orders", complaint{})
	if p.pending("orders") {
		t.Error("it is looked at though nothing is gone")
	}
}
