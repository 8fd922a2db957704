package failover

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/front"
	"mahavishnu/coordinator/route/hook"
	"mahavishnu/coordinator/route/rfc2136"
	"mahavishnu/coordinator/route/route53"
	"mahavishnu/fault"
	"mahavishnu/metrics"
)

// Routes are the ways that lead clients of a service to the member that serves.
type Routes struct {
	// Router changes all of them together; nil when there is none.
	Router route.Router
	// Front is the one among them that has to be run, and told of the lease; nil when
	// there is none.
	Front *front.Front
}

// RoutesOptions say for whom routes are made.
type RoutesOptions struct {
	// Service is the name of the service, DataDir where what routes remember is kept.
	Service, DataDir string
	// OnLag hears of a name server that did not take a change that others did.
	OnLag func(place string, err error)
	Clock clock.Clock
}

// NewRoutes makes the routes of a service as they are configured. Nothing is changed
// yet; the front listens.
func NewRoutes(ctx context.Context, cfg config.Failover, s config.FailoverService, o RoutesOptions) (Routes, error) {
	var made Routes
	var places []route.Place
	needed := 0
	add := func(name string, r route.Router, err error) error {
		if err == nil {
			places = append(places, route.Place{Name: name, Router: r})
			needed++
		}
		return err
	}
	err := func() error {
		if d := s.Routes.DNS; len(d.Servers) > 0 {
			key, err := rfc2136.ReadKey(d.KeyFile)
			if err != nil {
				return err
			}
			r, err := rfc2136.New(rfc2136.Options{
				Servers: d.Servers, Zone: d.Zone, Name: record(d.Name, d.Kind, d.TTL), Key: key, Need: d.Need, OnLag: o.OnLag, Clock: o.Clock,
			})
			if err := add("dns", r, err); err != nil {
				return err
			}
		}
		if d := s.Routes.Route53; d.Zone != "" {
			r, err := route53.New(ctx, route53.Options{Zone: d.Zone, Name: record(d.Name, d.Kind, d.TTL), Profile: d.Profile, Clock: o.Clock})
			if err := add("route53", r, err); err != nil {
				return err
			}
		}
		if h := s.Routes.Hook; len(h.Command) > 0 {
			r, err := hook.New(hook.Options{
				Service: o.Service, Command: h.Command, Current: h.Current, Rehearse: h.Rehearse, Timeout: h.Timeout.Std(),
				State: route.NewFile(filepath.Join(o.DataDir, "route-hook-"+o.Service+".json")), Clock: o.Clock,
			})
			if err := add("hook", r, err); err != nil {
				return err
			}
		}
		if f := s.Routes.Front; f.Listen != "" {
			members, err := targets(s)
			if err != nil {
				return err
			}
			made.Front, err = front.New(front.Options{
				Service: o.Service, Listen: f.Listen, Members: members, Hold: f.Hold.Std(), MaxConnections: f.MaxConnections,
				State: route.NewFile(filepath.Join(o.DataDir, "route-front-"+o.Service+".json")),
				Lapse: time.Duration(cfg.Lease.Duration), Clock: o.Clock,
			})
			if err != nil {
				return err
			}
			places = append(places, route.Place{Name: "front", Router: made.Front, Follows: true})
		}
		return nil
	}()
	if err != nil || len(places) == 0 {
		return Routes{}, err
	}
	made.Router, err = route.NewGroup(places, route.GroupOptions{Need: max(needed, 1), OnLag: o.OnLag, Clock: o.Clock})
	return made, err
}

func record(name, kind string, ttl config.Duration) route.Name {
	n := route.Name{Name: name, Kind: route.Kind(kind), TTL: ttl.Std()}
	if n.Kind == "" {
		n.Kind = route.KindAddress
	}
	return n
}

// targets are a service's members as clients reach them, by name.
func targets(s config.FailoverService) (map[string]route.Target, error) {
	all := map[string]route.Target{}
	for name := range s.Members {
		t, err := TargetOf(s, name)
		if err != nil {
			return nil, err
		}
		all[name] = t
	}
	return all, nil
}

// TargetOf is a member of a service as clients reach it.
func TargetOf(s config.FailoverService, member string) (route.Target, error) {
	m, ok := s.Members[member]
	if !ok {
		return route.Target{}, fault.New("lead clients to", member, errors.New("it is no member of the service"), "see failover.services in the configuration")
	}
	c := m.EffectiveClients()
	t := route.Target{Member: member, Host: c.Host, Port: uint16(c.Port)}
	for _, text := range c.Addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return route.Target{}, fault.New("lead clients to", member, err, "see failover.services in the configuration")
		}
		t.Addresses = append(t.Addresses, a)
	}
	return t, t.Check()
}

// frontEvery is how often the figures of a front are told.
const frontEvery = 15 * time.Second

// measureFront keeps the figures of a service's front until ctx ends.
func (p *Planner) measureFront(ctx context.Context, service string, f *front.Front) error {
	for {
		s := f.Stats()
		p.metrics.SetFront(service, metrics.Front{
			Epoch: s.Epoch, Leading: s.Leading, Open: s.Open, Held: s.Held,
			Accepted: s.Accepted, Refused: s.Refused, Expired: s.Expired, Cut: s.Cut, Switches: s.Switches,
		})
		if err := p.clock.Sleep(ctx, frontEvery); err != nil {
			return err
		}
	}
}
