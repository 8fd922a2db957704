package app

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"time"

	"mahavishnu/app/failover"
	"mahavishnu/config"
	"mahavishnu/coordinator"
	"mahavishnu/coordinator/probe"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// startCoordinator watches nodes and services, and votes on them.
func (a *App) startCoordinator(ctx context.Context) error {
	if !a.Roles.Coordinator {
		return nil
	}
	f, node := a.cfg.Failover, a.cfg.Node
	o := coordinator.Options{
		Node: node.Name, Region: node.Region, Instance: a.instance, Started: a.started, Voters: voters(f), Services: services(a.cfg),
		Heartbeat: f.Heartbeat.Std(), Threshold: float64(f.Suspicion), Pause: f.EffectivePause(),
		Confirm: f.EffectiveConfirm(), Recovery: f.Recovery.Std(),
		Timing: LeaseTiming(f.Lease), Metrics: a.metrics,
		Clock: a.Clock, Log: a.Log.With().Str("part", "coordinator").Logger(),
	}
	var p *failover.Planner
	if movable(a.cfg) {
		var err error
		if p, err = failover.Start(ctx, a.failoverOptions()); err != nil {
			return err
		}
		o.Reactor, o.Troubles = p, p.Troubles
	}
	o.Connect(a.bus)
	c, err := coordinator.New(o)
	if err != nil {
		return err
	}
	if p != nil {
		p.Look(c)
	}
	a.mu.Lock()
	a.coordinator = c
	a.mu.Unlock()
	a.launch("coordinator", c.Run)
	store, err := a.bus.Store(messages.BucketNodes)
	if err != nil {
		return err
	}
	m := failover.NewMembership(store, node.Name)
	a.launch("membership", func(ctx context.Context) error { return m.Keep(ctx, c.Status, a.Clock, a.Log) })
	return nil
}

// failoverOptions are what plans need of the process.
func (a *App) failoverOptions() failover.Options {
	return failover.Options{
		Config: a.cfg, Bus: a.bus, Host: host{a}, Timing: LeaseTiming(a.cfg.Failover.Lease),
		Copies:  Replicas{Config: a.config, Storage: StoragesOf(a.cfg, a.Clock, a.metrics).Hasty(lagPatience)},
		Patient: Replicas{Config: a.config, Storage: StoragesOf(a.cfg, a.Clock, nil)},
		Metrics: a.metrics, Log: a.Log, Clock: a.Clock,
	}
}

// startKeepers keeps the members of services that live beside this node.
func (a *App) startKeepers(ctx context.Context) error {
	if !a.Roles.Coordinator {
		return nil
	}
	k := failover.NewKeepers(failover.KeepersOptions{
		Config: a.cfg, Bus: a.bus, Host: host{a}, Timing: LeaseTiming(a.cfg.Failover.Lease),
		Watchdog: a.Watchdog, Log: a.Log, Clock: a.Clock,
	})
	a.mu.Lock()
	a.keepers = k
	a.mu.Unlock()
	return k.Start(ctx)
}

// members are the states of all members beside this node, for heartbeats.
func (a *App) members() []messages.MemberState {
	a.mu.Lock()
	k := a.keepers
	a.mu.Unlock()
	if k == nil {
		return nil
	}
	return k.Members()
}

// host is the process for what carries out failovers.
type host struct{ app *App }

// Launch implements failover.Host.
func (h host) Launch(name string, run func(context.Context) error) { h.app.launch(name, run) }

// Repeat implements failover.Host.
func (h host) Repeat(name string, run func(context.Context) error) {
	h.app.launch(name, h.app.again(name, run))
}

// Push implements failover.Host.
func (h host) Push(name string, stop func(context.Context) error) { h.app.push(name, stop) }

// movable tells whether there is anything that plans can move: services, or the backups of
// a region that another keeps a copy of, where coordinators are named that decide about it.
func movable(cfg *config.Config) bool {
	return len(cfg.Failover.Services) > 0 || len(cfg.Failover.Coordinators) > 0 && len(cfg.Backup.Replication.Regions) > 0
}

// reconnected tells the coordinator of a line that was away.
func (a *App) reconnected(n bus.Notice) {
	a.mu.Lock()
	c := a.coordinator
	a.mu.Unlock()
	if c != nil && n.Kind == bus.NoticeReconnected {
		c.Reconnected()
	}
}

// voters are the coordinators that vote; nil is each alone.
func voters(f config.Failover) []vote.Voter {
	var all []vote.Voter
	for _, v := range f.Coordinators {
		all = append(all, vote.Voter{Name: v.Node, Region: v.Region})
	}
	return all
}

// services are what coordinators watch, by name.
func services(cfg *config.Config) []coordinator.Service {
	watched := cfg.Watched()
	var all []coordinator.Service
	for _, name := range slices.Sorted(maps.Keys(watched)) {
		s := watched[name]
		made := coordinator.Service{Name: name, Kind: s.Kind}
		for _, member := range slices.Sorted(maps.Keys(s.Members)) {
			m := s.Members[member]
			made.Members = append(made.Members, coordinator.Member{
				Name: member, Node: m.Node, Region: m.Region, Address: m.Address,
				Probe: prober(s.Kind, m.Address), Every: s.ProbeEvery.Std(), Timeout: s.ProbeTimeout.Std(),
			})
		}
		all = append(all, made)
	}
	return all
}

// prober looks at a member of a service of this kind.
func prober(kind, address string) probe.Prober {
	switch kind {
	case config.ServicePostgres:
		return probe.Postgres(address)
	case config.ServiceHTTP:
		return probe.HTTP(address, probe.NewClient(&http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
		}))
	default:
		return probe.TCP(address)
	}
}
