package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
)

// suits refuses an order in which something takes over from itself, or a member what is its
// already: it would be stopped for nothing, and could not be gone back from.
func (p *Planner) suits(ctx context.Context, definition *plan.Plan, v plan.Variant, params map[string]string) error {
	for _, pair := range [][2]string{{"from", "to"}, {"primary", "member"}} {
		source, target := pair[0], pair[1]
		if definition.Returns {
			source, target = target, source
		}
		t := definition.Parameters[source].Type
		if t != definition.Parameters[target].Type {
			continue
		}
		switch {
		case t == plan.TypeRegion && params[source] == params[target]:
			others := without(p.names(t), params[target])
			return unsuitable(params[target]+" cannot take over from itself", "region", others)
		case t == plan.TypeMember:
			beginsAgain := v == plan.Ungraceful && pair[0] == "from" && !definition.Returns
			if err := p.suitsMembers(ctx, params["service"], params[source], params[target], beginsAgain); err != nil {
				return err
			}
		}
	}
	return nil
}

// suitsMembers is suits for two members of a service. Its last primary, when it is gone and
// nobody else can take over, may begin again, and so may any member when the last primary is
// none any more: that it is gone is for the plan to see.
func (p *Planner) suitsMembers(ctx context.Context, service, source, target string, beginsAgain bool) error {
	record, err := p.tenureOf(ctx, service)
	if err != nil {
		return err
	}
	_, there := p.cfg.Failover.Services[service].Members[record.Primary]
	beginsAgain = beginsAgain && source == target && (target == record.Primary || record.Primary != "" && !there)
	if source != target && target != record.Primary || beginsAgain {
		return nil
	}
	what := target + " cannot take over from itself"
	if target == record.Primary {
		what = target + " was the last that took writes"
		if m, err := p.member(service, target); err == nil && reigns(&m, record) {
			what = target + " takes the writes already"
		}
	}
	members := slices.Sorted(maps.Keys(p.cfg.Failover.Services[service].Members))
	return unsuitable(what, "member", without(members, target, record.Primary))
}

// unsuitable refuses an order, and names what could be ordered instead.
func unsuitable(why, what string, others []string) error {
	hint := ""
	if len(others) > 0 {
		hint = "name another " + what + ": " + strings.Join(others, ", ")
	}
	return fault.WithHint(fmt.Errorf("%w: %w", plan.ErrRefused, errors.New(why)), hint)
}

// without leaves names out of a list.
func without(all []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(names, name) })
}
