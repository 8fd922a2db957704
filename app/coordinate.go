package app

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator"
	"mahavishnu/coordinator/probe"
	"mahavishnu/coordinator/vote"
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
		Timing: leaseTiming(f.Lease), Metrics: a.metrics,
		Clock: a.Clock, Log: a.Log.With().Str("part", "coordinator").Logger(),
	}
	o.Connect(a.bus)
	var p *planner
	if movable(a.cfg) {
		var err error
		if p, err = a.startPlans(ctx); err != nil {
			return err
		}
		o.Reactor, o.Troubles = p, p.troubles
	}
	c, err := coordinator.New(o)
	if err != nil {
		return err
	}
	if p != nil {
		p.look(c)
	}
	a.mu.Lock()
	a.coordinator = c
	a.mu.Unlock()
	a.launch("coordinator", c.Run)
	return a.startMembership(c)
}

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
