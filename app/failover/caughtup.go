package failover

import (
	"context"
	"fmt"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/postgres"
)

// caughtUp holds when a member is no more than so far behind. One that receives nothing,
// because the primary was stopped for it, is compared with where that stopped.
func (p *Planner) caughtUp(ctx context.Context, c plan.Call) (bool, string, error) {
	m, err := p.member(c.Text("service"), c.Text("member"))
	if err == nil && c.Duration("lag") > 0 {
		err = p.stillLed(ctx, c.Text("service"), m.Member)
	}
	switch {
	case err != nil:
		return false, "", err
	case m.Keeper == nil || !m.Keeper.Healthy:
		return false, m.Member + " is not well", nil
	case m.Keeper.LagBytes < 0:
		return p.hasAllOfStopped(ctx, c.Text("service"), m)
	}
	behind := time.Duration(m.Keeper.LagMillis) * time.Millisecond
	seen := fmt.Sprintf("%d bytes, %v behind", m.Keeper.LagBytes, behind)
	if most := c.Duration("lag"); most > 0 {
		return behind <= most, seen, nil
	}
	return m.Keeper.LagBytes == 0, seen, nil
}

// hasAllOfStopped holds when the primary was stopped and a member has all of it.
func (p *Planner) hasAllOfStopped(ctx context.Context, service string, m messages.MemberStatus) (bool, string, error) {
	unknown := "it is not known how far behind " + m.Member + " is"
	record, err := p.tenureOf(ctx, service)
	if err != nil || record.Primary == "" || record.Primary == m.Member {
		return false, unknown, err
	}
	last, err := p.member(service, record.Primary)
	if err != nil || last.Keeper == nil || last.Keeper.Writable || last.Keeper.Holds || p.leases.holder(service) != "" {
		return false, unknown, err
	}
	return hasAll(*m.Keeper, *last.Keeper), fmt.Sprintf("%s stopped at %s, and %s is at %s", last.Member, last.Keeper.Position, m.Member, m.Keeper.Position), nil
}

// hasAll tells whether a member has everything of another, which takes no writes: by
// where their logs are, where they are PostgreSQL's, and else by what they say alike. A
// standby that receives nothing may tell the timeline of its last restart point: that it
// was made to follow in the other one's tenure counts as much.
func hasAll(m, of messages.MemberState) bool {
	if m.Timeline != of.Timeline && (of.Tenure == 0 || m.Tenure != of.Tenure) {
		return false
	}
	here, err := postgres.ParseLSN(m.Position)
	there, otherErr := postgres.ParseLSN(of.Position)
	if err == nil && otherErr == nil {
		return there > 0 && here >= there
	}
	return m.Position != "" && m.Position == of.Position
}

// stillLed is an error when the primary that a member is to catch up with is gone: then the
// service fails over, which a plan that waits for hours must not keep it from.
func (p *Planner) stillLed(ctx context.Context, service, member string) error {
	record, err := p.tenureOf(ctx, service)
	if err != nil || record.Primary == "" || record.Primary == member {
		return err
	}
	primary, err := p.member(service, record.Primary)
	if err != nil {
		return err
	}
	lost, why, err := p.lost(ctx, service, primary)
	if err != nil || !lost {
		return err
	}
	return fault.New("wait for", service+"/"+member, fmt.Errorf("%w: %s, which it follows, is gone: %s", plan.ErrNeedless, record.Primary, why), "")
}
