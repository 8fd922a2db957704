package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/replication"
	"mahavishnu/storage"
)

// moveEvery is how often a service that moves is looked at.
const moveEvery = 100 * time.Millisecond

// move is a service whose primary is in a region that is left; from is "" when it has left
// it already, and nobody serves it.
type move struct {
	service, from, to string
}

// moves lists the services whose primary is in one region and that have members in the
// other, each with the one that is to take over, "" when none can. Those without members
// there stay, in sentences.
func (p *Planner) moves(ctx context.Context, from, to string) (all []move, stay []string, err error) {
	eyes := p.looking()
	if eyes == nil {
		return nil, nil, errors.New("the coordinator does not run yet")
	}
	for _, seen := range eyes.Status().Services {
		configured, ok := p.cfg.Failover.Services[seen.Service]
		if !ok {
			continue
		}
		record, err := p.tenureOf(ctx, seen.Service)
		if err != nil {
			return nil, nil, err
		}
		if record.Primary == "" || configured.Members[record.Primary].Region != from {
			continue // nobody was ever the primary, or it is elsewhere
		}
		there := seen
		there.Members = slices.DeleteFunc(slices.Clone(seen.Members), func(m messages.MemberStatus) bool {
			return configured.Members[m.Member].Region != to
		})
		if len(there.Members) == 0 {
			stay = append(stay, stays(seen.Service, record.Primary, to, configured))
			continue
		}
		all = append(all, move{seen.Service, record.Primary, heirOf(there, record, configured.Mode, p.away)})
	}
	return all, stay, nil
}

// stays says in a sentence that a service has no member in a region, and where it could go.
func stays(service, primary, to string, configured config.FailoverService) string {
	var others []string
	for _, member := range slices.Sorted(maps.Keys(configured.Members)) {
		if m := configured.Members[member]; member != primary && m.Region != configured.Members[primary].Region {
			others = append(others, fmt.Sprintf("%s, in %s", member, m.Region))
		}
	}
	text := fmt.Sprintf("%s stays on %s: it has no member in %s", service, primary, to)
	if len(others) == 0 {
		return text + ", nor in any other region"
	}
	return text + "; elsewhere it has " + strings.Join(others, ", ") + ": mahavishnu failover execute " + ServerFailure + " --set service=" + service
}

// tenureOf is what members of a service agree on; without a primary when nobody ever was.
func (p *Planner) tenureOf(ctx context.Context, service string) (keeper.Record, error) {
	data, _, err := p.records.Load(ctx, messages.ServiceLease(service))
	if err != nil || data == nil {
		return keeper.Record{}, err
	}
	record, err := keeper.DecodeRecord(data)
	if err != nil {
		return record, fault.New("read the record of service", service, err, "")
	}
	return record, nil
}

// checkMove tells whether every service in a region has somebody in the other.
func (p *Planner) checkMove(ctx context.Context, c plan.Call) (string, error) {
	moves, stay, err := p.moves(ctx, c.Text("from"), c.Text("to"))
	if err != nil {
		return "", err
	}
	var texts []string
	var errs []error
	if len(moves) == 0 && len(stay) > 0 && !p.copied(c.Text("from")) {
		errs = append(errs, fault.New("move services", c.Text("from"), errors.New("none of them can move there"), "name another region"))
	}
	for _, m := range moves {
		if m.to == "" {
			errs = append(errs, fault.New("move service", m.service, fmt.Errorf("no member in %s can take over", c.Text("to")), "see: mahavishnu failover status"))
			continue
		}
		texts = append(texts, fmt.Sprintf("%s from %s to %s", m.service, m.from, m.to))
	}
	texts = append(stay, texts...) // first: the rest is what everybody expects
	if len(texts) == 0 && len(errs) == 0 {
		return "no service has its primary in " + c.Text("from"), nil
	}
	return strings.Join(texts, ", "), errors.Join(errs...)
}

// moveServices moves every service whose primary is in a region to the other. One that
// cannot move does not keep the others, and one that has no member there stays.
func (p *Planner) moveServices(ctx context.Context, c plan.Call) (string, error) {
	moves, stay, err := p.moves(ctx, c.Text("from"), c.Text("to"))
	if err != nil {
		return "", err
	}
	left, err := p.movedOut(ctx, c.Text("from"))
	if err != nil {
		return "", err
	}
	rest, err := p.unserved(ctx, c, left, c.Text("to"))
	if err != nil {
		return "", err
	}
	var texts []string
	var errs []error
	for _, m := range append(moves, rest...) {
		var err error
		if m.from != "" {
			err = p.noteMoved(ctx, c, m)
		}
		if err == nil {
			err = p.moveService(ctx, c, m)
		}
		if errors.Is(err, plan.ErrFenced) {
			return "", err
		}
		if err != nil {
			errs = append(errs, fault.New("move service", m.service, err, "see: mahavishnu failover status"))
			continue
		}
		if back := p.cfg.Failover.Services[m.service].Members[m.to].Region; back != c.Text("to") {
			errs = append(errs, fault.New("move service", m.service,
				fmt.Errorf("it is on %s again, in %s: who took over is gone, and no other member in %s can", m.to, back, c.Text("to")),
				"bring another member there back, then: mahavishnu failover continue "+c.Execution+"; or leave the service where it is: mahavishnu failover rollback "+c.Execution))
			continue
		}
		texts = append(texts, fmt.Sprintf("%s moved to %s", m.service, m.to))
	}
	if texts = append(texts, stay...); len(texts) == 0 {
		texts = append(texts, "no service had to move")
	}
	return strings.Join(texts, ", "), errors.Join(errs...)
}

// moveService stops the primary, waits until it is certain that it takes no writes, and
// has another member take over.
func (p *Planner) moveService(ctx context.Context, c plan.Call, m move) error {
	if m.to == "" {
		return fmt.Errorf("no member in %s can take over", c.Text("to"))
	}
	at := func(member string) plan.Call {
		there := c
		there.Params = map[string]string{"service": m.service, "member": member, "primary": ""}
		return there
	}
	if m.from == "" {
		return p.takeOver(ctx, at(m.to))
	}
	stop := messages.VerbFence
	if c.Variant == plan.Graceful {
		stop = messages.VerbDemote
	}
	if _, err := p.order(ctx, stop, at(m.from)); err != nil && (c.Variant == plan.Graceful || errors.Is(err, plan.ErrFenced)) {
		return err // one that is gone stops itself, which is waited for
	}
	if err := p.takeOver(ctx, at(m.to)); err != nil {
		if c.Variant == plan.Graceful { // it was stopped in vain, and can serve as before
			err = errors.Join(err, p.reinstate(ctx, at(m.from), err))
		}
		return err
	}
	if c.Variant == plan.Graceful {
		follow := at(m.from)
		follow.Params["primary"] = m.to
		_, err := p.order(ctx, messages.VerbRejoin, follow)
		return err
	}
	return nil
}

// until looks until it is so, or ctx ends.
func (p *Planner) until(ctx context.Context, so func() bool) error {
	for !so() {
		if err := clock.Or(p.clock).Sleep(ctx, moveEvery); err != nil {
			return err
		}
	}
	return nil
}

// withEnds runs fn with both ends of a copy.
func (p *Planner) withEnds(ctx context.Context, c plan.Call, fn func(primary, replica storage.Backend) error) error {
	return p.withEndsOf(ctx, p.copies, c, fn)
}

func (p *Planner) withEndsOf(ctx context.Context, copies Copies, c plan.Call, fn func(primary, replica storage.Backend) error) (err error) {
	pair := config.RegionPair{Primary: c.Text("from"), Secondary: c.Text("to")}
	if !slices.Contains(p.cfg.Backup.Replication.Regions, pair) {
		return fault.New("open copy", pair.String(), errors.New("it is none of backup.replication.regions"),
			"copies: "+strings.Join(p.pairs(), ", "))
	}
	primary, replica, err := copies.Ends(ctx, pair)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, primary.Close(), replica.Close()) }()
	return fn(primary, replica)
}

func (p *Planner) pairs() []string {
	names := map[string]bool{}
	for _, pair := range p.cfg.Backup.Replication.Regions {
		names[pair.String()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// checkCopy tells which role a copy has now.
func (p *Planner) checkCopy(ctx context.Context, c plan.Call) (seen string, err error) {
	err = p.withEnds(ctx, c, func(_, replica storage.Backend) error {
		role, err := replication.RoleOf(ctx, replica)
		seen = fmt.Sprintf("%s is a %s of epoch %d", replica.Location(), role.Role, role.Epoch)
		return err
	})
	return seen, err
}

// promoteRepository makes a copy the primary. Epochs of repositories are their own: who
// promotes second finds it done.
func (p *Planner) promoteRepository(ctx context.Context, c plan.Call) (text string, err error) {
	if _, err := p.regions.change(ctx, c, c.Text("from"), func(*messages.RegionRecord, *messages.RegionChange) {}); err != nil {
		return "", err // an earlier leader can change nothing from here on
	}
	err = p.withEnds(ctx, c, func(primary, replica storage.Backend) error {
		now, untold, err := replication.Promote(ctx, replication.PromoteOptions{
			Replica: replica, Primary: primary, By: c.Node, Reason: c.Execution, Clock: p.clock,
		})
		if err != nil {
			return err
		}
		text = fmt.Sprintf("%s is the primary, epoch %d", replica.Location(), now.Epoch)
		if untold != nil {
			text += "; the old one learns it when it comes back"
		}
		return nil
	})
	if err == nil {
		err = p.notePromoted(ctx, c)
	}
	return text, err
}

func (p *Planner) repositoryPromoted(ctx context.Context, c plan.Call) (done bool, err error) {
	done, err = p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool {
		return r.Repository != nil && r.Repository.To == c.Text("to")
	})
	if err != nil || !done {
		return false, err
	}
	err = p.withEnds(ctx, c, func(_, replica storage.Backend) error {
		role, err := replication.RoleOf(ctx, replica)
		done = role.Noted && role.Role == replication.Primary
		return err
	})
	return done, err
}

// repositoryCurrent holds when a copy is no more than so far behind.
func (p *Planner) repositoryCurrent(ctx context.Context, c plan.Call) (bool, string, error) {
	pair := config.RegionPair{Primary: c.Text("from"), Secondary: c.Text("to")}
	lag, err := p.copies.Measure(ctx, pair)
	if err != nil {
		return false, "", err
	}
	age := lag.Age(clock.Or(p.clock).Now())
	return lag.Objects == 0 || age <= c.Duration("lag"), fmt.Sprintf("%d objects, %v behind", lag.Objects, age.Round(time.Second)), nil
}
