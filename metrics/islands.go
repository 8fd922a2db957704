package metrics

import "github.com/prometheus/client_golang/prometheus"

// islands tell of a region that goes on by itself while it is cut off.
type islands struct {
	active *prometheus.GaugeVec
	handed *prometheus.CounterVec
}

func newIslands(r prometheus.Registerer) islands {
	const sub = "island"
	i := islands{
		active: gauge(sub, "active", "1 while the region is cut off from its queue and goes on with one of its own."),
		handed: counter(sub, "handed_over_total", "What was brought from the region's own queue to the common one.", "what"),
	}
	r.MustRegister(i.active, i.handed)
	i.SetIsland(false)
	return i
}

// SetIsland tells whether the region goes on by itself.
func (i *islands) SetIsland(active bool) { i.active.WithLabelValues().Set(is(active)) }

// HandedOver counts what was brought to the common queue: "records", "jobs", "events"
// or "letters".
func (i *islands) HandedOver(what string, n int) {
	i.handed.WithLabelValues(what).Add(float64(n))
}
