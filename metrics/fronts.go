package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Front is what a TCP front has done since it started.
type Front struct {
	// Epoch is that of the tenure that clients are led to; Leading is false while
	// they are led nowhere.
	Epoch   uint64
	Leading bool
	// Open and Held are the clients that are connected through and that wait.
	Open, Held int
	// Accepted clients in all, of which Refused for want of room, Expired because
	// nobody could be reached in time, and Cut because a tenure ended; Switches to
	// another member.
	Accepted, Refused, Expired, Cut, Switches uint64
}

type fronts struct {
	epoch, leading, open, held                   *prometheus.GaugeVec
	accepted, refused, expired, broken, switches *prometheus.CounterVec

	told *lastFronts
}

// lastFronts are the figures that counters have got already.
type lastFronts struct {
	mu sync.Mutex
	of map[string]Front
}

func newFronts(r prometheus.Registerer) fronts {
	const sub = "front"
	f := fronts{
		epoch:    gauge(sub, "epoch", "The epoch of the tenure that a TCP front leads clients to.", "service"),
		leading:  gauge(sub, "leading", "Whether a TCP front leads clients anywhere: 0 between two tenures.", "service"),
		open:     gauge(sub, "open_connections", "Clients that are connected through a TCP front.", "service"),
		held:     gauge(sub, "held_connections", "Clients of a TCP front that wait for a primary.", "service"),
		accepted: counter(sub, "connections_total", "Clients that connected to a TCP front.", "service"),
		refused:  counter(sub, "refused_connections_total", "Clients that a TCP front had no room for.", "service"),
		expired:  counter(sub, "expired_connections_total", "Clients that waited in vain for a primary.", "service"),
		broken:   counter(sub, "cut_connections_total", "Connections that were broken because their primary's tenure ended.", "service"),
		switches: counter(sub, "switches_total", "How often a TCP front led its clients to another member.", "service"),
		told:     &lastFronts{of: map[string]Front{}},
	}
	r.MustRegister(f.epoch, f.leading, f.open, f.held, f.accepted, f.refused, f.expired, f.broken, f.switches)
	return f
}

// SetFront tells what the front of a service has done since it started.
func (f *fronts) SetFront(service string, now Front) {
	f.told.mu.Lock()
	defer f.told.mu.Unlock()
	last := f.told.of[service]
	f.told.of[service] = now
	f.epoch.WithLabelValues(service).Set(float64(now.Epoch))
	leading := 0.0
	if now.Leading {
		leading = 1
	}
	f.leading.WithLabelValues(service).Set(leading)
	f.open.WithLabelValues(service).Set(float64(now.Open))
	f.held.WithLabelValues(service).Set(float64(now.Held))
	for _, c := range []struct {
		counter   *prometheus.CounterVec
		was, isAt uint64
	}{
		{f.accepted, last.Accepted, now.Accepted},
		{f.refused, last.Refused, now.Refused},
		{f.expired, last.Expired, now.Expired},
		{f.broken, last.Cut, now.Cut},
		{f.switches, last.Switches, now.Switches},
	} {
		if c.isAt >= c.was { // a front that was made anew begins with nothing
			c.counter.WithLabelValues(service).Add(float64(c.isAt - c.was))
		}
	}
}
