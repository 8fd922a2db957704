package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// view is what the coordinators answer, asked at once.
type view struct {
	at     time.Time
	all    []messages.CoordinatorStatus
	leader string // the node that leads; "" is none
	epoch  uint64
}

// askTime is how long coordinators have to answer.
const askTime = 500 * time.Millisecond

// view asks all coordinators how things are.
func (s *system) view(ctx context.Context) (view, error) {
	v := view{at: s.clock.Now()} // who answers does so at once; it is the dead that are waited for
	replies, err := s.bus.AskCoordinators(ctx, messages.ControlRequest{Verb: messages.VerbStatus}, len(s.machines), askTime)
	for _, r := range replies {
		one, err := messages.DecodeCoordinatorStatus(r.Data)
		if err != nil {
			return v, err
		}
		v.all = append(v.all, one)
		if one.Epoch > v.epoch {
			v.leader, v.epoch = one.Node, one.Epoch
		}
	}
	return v, err
}

// member is a member of the service as the leader sees it; nil when it does not.
func (v view) member(name string) *messages.MemberStatus {
	for _, c := range v.all {
		if c.Node != v.leader {
			continue
		}
		for _, svc := range c.Services {
			for i := range svc.Members {
				if svc.Service == service && svc.Members[i].Member == name {
					return &svc.Members[i]
				}
			}
		}
	}
	return nil
}

// whole says what is missing until a fault may happen: everybody hears everybody, one
// member is the primary, the other follows and has everything, and all of them are up.
func (s *system) whole(ctx context.Context) (primary, other *machine, missing string, err error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	for _, c := range v.all {
		for _, voter := range c.Quorum.Voters {
			if !voter.Self && (!voter.Heard || !voter.HearsUs) {
				return nil, nil, c.Node + " and " + voter.Node + " do not hear each other", nil
			}
		}
	}
	if len(v.all) != len(s.machines) || v.leader == "" {
		return nil, nil, fmt.Sprintf("%d of %d coordinators answer, %q leads", len(v.all), len(s.machines), v.leader), nil
	}
	for _, m := range s.machines {
		state := v.member(m.member)
		switch {
		case m.member == "":
		case state == nil || state.Keeper == nil:
			return nil, nil, "nothing is known of " + m.member, nil
		case state.Verdict != "up":
			return nil, nil, m.member + " is " + state.Verdict + ": " + state.Why, nil
		case state.Keeper.Holds && state.Keeper.Writable:
			primary = m
		case state.Keeper.Healthy && state.Keeper.Role == "standby":
			other = m
		default:
			return nil, nil, m.member + " is " + state.Keeper.Detail, nil
		}
	}
	if primary == nil || other == nil {
		return nil, nil, "there is no primary with a standby", nil
	}
	record, err := s.record(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	if record.Primary != primary.member || !slices.Contains(record.Members, other.member) {
		return nil, nil, other.member + " does not have everything yet", nil
	}
	if led, err := s.resolve(ctx); err != nil || led != primary.addr {
		return nil, nil, fmt.Sprintf("%s leads to %s, not to %s (%v)", host, led, primary.addr, err), nil
	}
	e, err := s.execution(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	if e.ID != "" && !e.State.Final() {
		return nil, nil, e.ID + " is " + string(e.State), nil
	}
	return primary, other, "", nil
}

// ready waits until a fault may happen.
func (s *system) ready(ctx context.Context) (primary, other *machine, err error) {
	missing := ""
	err = s.until(ctx, "everything is as it should be", patience, func() (bool, error) {
		var err error
		primary, other, missing, err = s.whole(ctx)
		return missing == "", err
	})
	if err != nil && missing != "" {
		err = fmt.Errorf("%w: %s", err, missing)
	}
	return primary, other, err
}

func (s *system) record(ctx context.Context) (keeper.Record, error) {
	store, err := s.bus.Store(messages.BucketLeases)
	if err != nil {
		return keeper.Record{}, err
	}
	data, _, err := keeper.BusRecords(store).Load(ctx, messages.ServiceLease(service))
	if err != nil || data == nil {
		return keeper.Record{}, err
	}
	return keeper.DecodeRecord(data)
}

// execution is the one that holds the service, as the board of all plans says; none has
// no id. Nothing is listed: that takes a consumer, and the servers make none while they
// elect.
func (s *system) execution(ctx context.Context) (plan.Execution, error) {
	x, err := s.journal()
	if err != nil {
		return plan.Execution{}, err
	}
	standings, err := x.Standings(ctx)
	if err != nil {
		return plan.Execution{}, err
	}
	for _, st := range standings {
		if st.Thing == "service/"+service && st.Holder != "" {
			return x.Find(ctx, st.Holder)
		}
	}
	return plan.Execution{}, nil
}

// journal is that of the plans, to be read.
func (s *system) journal() (*plan.Executor, error) {
	store, err := s.bus.Store(messages.BucketLeases)
	if err != nil {
		return nil, err
	}
	return plan.NewExecutor(plan.Options{Journal: plan.FromBus(store), Registry: plan.Standard(), Node: "loadtest"})
}

// command gives a keeper an order with the leader's epoch, as a plan would, until it is
// carried out.
func (s *system) command(ctx context.Context, verb messages.Verb, m, primary *machine) error {
	var last error
	err := s.until(ctx, fmt.Sprintf("%s obeys %s", m.member, verb), patience, func() (bool, error) {
		v, err := s.view(ctx)
		if err != nil || v.leader == "" {
			return false, err
		}
		c := messages.MemberCommand{Verb: verb, Service: service, Member: m.member, Epoch: v.epoch, By: "loadtest", Reason: "measure"}
		if primary != nil {
			c.Primary, c.Address = primary.member, primary.database()
		}
		obeying, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		reply, err := s.bus.CommandMember(obeying, c)
		switch {
		case errors.Is(err, bus.ErrNobody):
			last = err
			return false, nil
		case err != nil:
			return false, err
		case !reply.OK:
			last = errors.New(reply.Message)
			return false, s.clock.Sleep(ctx, 10*glance)
		}
		return true, nil
	})
	if err != nil && last != nil {
		err = fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// pair makes a primary of the first member and a standby of the second, by the orders
// that a coordinator would give.
func (s *system) pair(ctx context.Context) error {
	first, second := s.machines[0], s.machines[1]
	if err := s.command(ctx, messages.VerbPromote, first, nil); err != nil {
		return err
	}
	if err := s.observer(first).Setup(ctx); err != nil {
		return err
	}
	if err := s.command(ctx, messages.VerbRejoin, second, first); err != nil {
		return err
	}
	_, _, err := s.ready(ctx)
	return err
}
