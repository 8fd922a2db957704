package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// unservedService is one whose writes nobody takes, for longer than it takes to begin or
// to fail over.
type unservedService struct {
	Service string `json:"service"`
	// Millis is for how long the coordinator that was believed has known of nobody.
	Millis int64 `json:"unserved_ms"`
	// Last is the member that was its primary last; "" when it never had one, or that
	// could not be read.
	Last string `json:"last_primary,omitempty"`
	// Why and Remedy are what is known, and what to type.
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

func (u unservedService) String() string {
	return fmt.Sprintf("%s: nobody has taken writes for %s: %s; %s", u.Service, passed(u.Millis), u.Why, u.Remedy)
}

// unservedGrace is how long a service may be without anybody who takes its writes before
// that is told: a start, a restart and a failover take no longer.
func unservedGrace(l config.Lease) time.Duration { return 10*time.Second + 2*l.Duration.Std() }

// findUnserved notes the services that nobody serves, unless a plan is at work on them. b
// is nil where the queue cannot be read.
func (r *failoverReport) findUnserved(ctx context.Context, b *bus.Bus, cfg *config.Config) error {
	best, _ := r.best()
	for _, s := range best.Services {
		if _, known := cfg.Failover.Services[s.Service]; !known || s.UnservedMillis <= unservedGrace(cfg.Failover.Lease).Milliseconds() {
			continue
		}
		var record keeper.Record
		if b != nil {
			var err error
			if record, err = readRecord(ctx, b, s.Service); err != nil {
				return err
			}
		}
		if u, ok := r.unserved(s, record, b != nil); ok {
			r.Unserved = append(r.Unserved, u)
		}
	}
	return nil
}

// readRecord reads who was the primary of a service last; there is none in the record when
// it never had one.
func readRecord(ctx context.Context, b *bus.Bus, service string) (keeper.Record, error) {
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		return keeper.Record{}, err
	}
	data, _, err := keeper.BusRecords(store).Load(ctx, messages.ServiceLease(service))
	if err != nil || data == nil {
		return keeper.Record{}, err
	}
	return keeper.DecodeRecord(data)
}

// unserved judges a service of which its coordinator knows nobody who takes writes. It is
// no alarm while a plan is at work on it, nor while somebody holds the lease whom the
// coordinator does not hear: he may well serve, and that he is silent is told anyhow.
func (r *failoverReport) unserved(s messages.ServiceStatus, record keeper.Record, read bool) (u unservedService, ok bool) {
	u = unservedService{Service: s.Service, Millis: s.UnservedMillis, Last: record.Primary}
	x := r.executionAbout(s.Service)
	if x != nil && x.Wants == "" {
		return u, false
	}
	lease, had := r.lease(messages.ServiceLease(s.Service))
	holder := memberOf(s, lease.Holder)
	switch {
	case holder != nil && (holder.Keeper == nil || holder.KeeperSilentMillis > 0):
		return u, false
	case holder == nil && !read && slices.ContainsFunc(s.Members, func(m messages.MemberStatus) bool { return m.KeeperSilentMillis > 0 && m.Keeper.Holds }):
		return u, false // it cannot be read whether he holds the lease
	case holder != nil:
		u.Why = lease.Holder + " holds the lease and takes none: " + said(holder.Keeper)
	case !read:
		u.Why = "who held the lease last cannot be read here"
	case !had:
		u.Why = "nobody ever held its lease"
	case lease.State == leaseLapsed:
		u.Why = fmt.Sprintf("%s held the lease last, epoch %d, and renewed it %s ago", lease.Last, lease.Epoch, passed(lease.AgeMillis))
	default:
		u.Why = fmt.Sprintf("the lease was given back %s ago", passed(lease.AgeMillis))
		if record.Primary != "" {
			u.Why = record.Primary + " was its last primary; " + u.Why
		}
	}
	u.Remedy = remedy(s, holder, record, read, x)
	if best, _ := r.best(); !best.Quorum.Have || r.Leader == "" {
		u.Remedy = "without a coordinator that leads nobody takes over: start the ones that do not answer, or mend the line"
	}
	return u, true
}

// remedy is what to type for a service that nobody serves.
func remedy(s messages.ServiceStatus, holder *messages.MemberStatus, record keeper.Record, read bool, x *recentExecution) string {
	deaf := !slices.ContainsFunc(s.Members, func(m messages.MemberStatus) bool { return m.Keeper != nil && m.KeeperSilentMillis == 0 })
	switch {
	case holder != nil && holder.Keeper.Remedy != "":
		return holder.Keeper.Remedy
	case x != nil:
		return "see what its plan waits for: mahavishnu failover journal " + x.Execution
	case deaf:
		return "no keeper of its members is heard; on their nodes: mahavishnu coordinator"
	case !read:
		return "where the queue can be reached: mahavishnu failover status"
	case record.Primary == "":
		return "it never had a primary; give it one: mahavishnu failover execute first_primary --set service=" + s.Service
	}
	return "let another take over: mahavishnu failover execute " + singleServerFailure + " --set service=" + s.Service + " --set from=" + record.Primary
}

// singleServerFailure is the plan by which another member takes over.
const singleServerFailure = "single_server_failure"

// executionAbout is the execution about a service that has not ended, or one that is at
// work on regions, whose services it may move; nil when there is none.
func (r *failoverReport) executionAbout(service string) *recentExecution {
	for i := range r.Executions {
		x := &r.Executions[i]
		about := func(thing string) bool {
			return thing == "service/"+service || x.Wants == "" && strings.HasPrefix(thing, "region/")
		}
		if !x.State.Final() && x.State != plan.StateFailedOver && slices.ContainsFunc(x.things, about) {
			return x
		}
	}
	return nil
}

func (r *failoverReport) lease(name string) (l leaseStatus, ok bool) {
	i := slices.IndexFunc(r.Leases, func(l leaseStatus) bool { return l.Lease == name })
	if i < 0 {
		return l, false
	}
	return r.Leases[i], true
}

func memberOf(s messages.ServiceStatus, name string) *messages.MemberStatus {
	i := slices.IndexFunc(s.Members, func(m messages.MemberStatus) bool { return m.Member == name })
	if i < 0 {
		return nil
	}
	return &s.Members[i]
}

// said is what a keeper says of its member, in a few words at least.
func said(k *messages.MemberState) string {
	if k.Detail != "" {
		return k.Detail
	}
	return "its keeper says " + k.State
}

// The states of a lease.
const (
	leaseHeld     = "held"
	leaseLapsed   = "lapsed"
	leaseReleased = "released"
)

// leaseStatus is who holds a lease, or did last.
type leaseStatus struct {
	Lease string `json:"lease"`
	// State is "held", "lapsed" (nobody renews it, and anybody may take it) or "released".
	State string `json:"state"`
	// Holder holds it; "" is nobody. Last is who did before it lapsed.
	Holder string `json:"holder"`
	Last   string `json:"last_holder,omitempty"`
	Epoch  uint64 `json:"epoch"`
	// Renewed is when it was written last, AgeMillis how long ago, by the clocks of the
	// queue's servers.
	Renewed   time.Time `json:"renewed,omitzero"`
	AgeMillis int64     `json:"age_ms"`
}

func leaseOf(name string, s bus.Sight) leaseStatus {
	l := leaseStatus{Lease: name, State: leaseHeld, Holder: s.Holder, Epoch: s.Epoch, Renewed: s.Renewed, AgeMillis: s.Age.Milliseconds()}
	switch {
	case s.Holder == "":
		l.State = leaseReleased
	case s.Lapsed:
		l.State, l.Holder, l.Last = leaseLapsed, "", s.Holder
	}
	return l
}

// who is one cell for who holds it.
func (l leaseStatus) who() string {
	switch l.State {
	case leaseLapsed:
		return fmt.Sprintf("nobody; last %s, renewed %s ago", l.Last, passed(l.AgeMillis))
	case leaseReleased:
		return fmt.Sprintf("nobody; given back %s ago", passed(l.AgeMillis))
	}
	return l.Holder
}

func (r *failoverReport) readLeases(ctx context.Context, b *bus.Bus, cfg *config.Config, timing messages.LeaseTiming) error {
	names := []string{messages.LeaseCoordinator}
	for _, service := range sortedKeys(cfg.Failover.Services) {
		names = append(names, messages.ServiceLease(service))
	}
	sights, err := b.Leases().See(ctx, timing, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if s, ok := sights[name]; ok {
			r.Leases = append(r.Leases, leaseOf(name, s))
		}
	}
	return nil
}
