package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/coordinator/keeper"
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

// What limits keep from being done is told with its cause and what a person can type, and first
// of all; the verdict, which is long, comes last.
func TestWhatLimitsForbidIsTold(t *testing.T) {
	p, _ := planned(t)
	eyes, bound := p.eyes, p.bus
	p.cfg.Node.Name = "eu-1"
	p, err := newPlanner(Options{Config: p.cfg, Bus: bound, Timing: messages.TimingFor(time.Second), Clock: clock.System(), Log: zerolog.Nop()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.eyes = eyes
	recorded(t, p, keeper.Record{Primary: "a", Epoch: 9})
	// Two failovers and three attempts to follow were a moment ago.
	now := time.Now().UTC()
	runs := func(n int) (all []plan.Run) {
		for range n {
			all = append(all, plan.Run{At: now, Each: "c"})
		}
		return all
	}
	data, err := json.Marshal(map[string]any{"epoch": 1, "things": map[string]plan.Standing{
		"service/orders":  {Thing: "service/orders", Automatic: runs(2)},
		"member/orders/b": {Thing: "member/orders/b", Automatic: runs(3)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := bound.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "plan.board", data); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	led := make(chan error, 1)
	go func() { led <- p.desk.Lead(ctx, 7) }()
	t.Cleanup(func() { end(); <-led })
	service := messages.ServiceStatus{Service: "orders", Members: []messages.MemberStatus{
		{Member: "a", Node: "eu-1", Region: "eu", Seen: messages.Seen{Verdict: "down", Why: "what regions say"}},
		{Member: "b", Node: "us-1", Region: "us", Seen: messages.Seen{Verdict: "up"}, Keeper: &messages.MemberState{Healthy: true, Role: "standby", State: "fenced", Tenure: 3}},
	}}
	for len(p.complaints()) < 2 { // until it leads
		if err := p.consider(t.Context(), service, p.cfg.Failover.Services["orders"]); err != nil && !errors.Is(err, plan.ErrNotLeading) {
			t.Fatal(err)
		}
		if err := p.startRejoin(t.Context(), "orders", service.Members[1], "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i, want := range []string{
		`^nothing is done yet about the primary of orders, a, which is gone: begin plan single_server_failure: too many automatic executions: 2 within 1h; the next may in (1h|59m\d*s?), at [-0-9]+ [:0-9]+ UTC; a person need not wait: mahavishnu failover execute single_server_failure --set service=orders --set from=a --set to=b; why it is gone: what regions say$`,
		`^orders/b follows nobody, and nothing is done about it yet: begin plan rejoin_member: too many automatic executions: 3 failed within 1d; the next may in .*, at [-0-9]+ [:0-9]+ UTC; a person need not wait: mahavishnu failover execute rejoin_member --set service=orders --set member=b; what was tried: mahavishnu failover journal$`,
	} {
		if got := p.complaints()[i]; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}
