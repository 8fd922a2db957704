package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// states are those that a member of a service can be in.
var states = []string{"up", "suspect", "down"}

type failover struct {
	verdicts         *prometheus.CounterVec
	members          *prometheus.GaugeVec
	nodes, heard     *prometheus.GaugeVec
	quorum           *prometheus.GaugeVec
	reached, needed  *prometheus.GaugeVec
	stretch          *prometheus.GaugeVec
	probes           *prometheus.CounterVec
	probeTime        *prometheus.HistogramVec
	heartbeatsFailed *prometheus.CounterVec
}

func newFailover(r prometheus.Registerer) failover {
	const sub = "coordinator"
	f := failover{
		verdicts:         counter(sub, "verdicts_total", "Verdicts that changed, by what they are about and what they became.", "target", "state"),
		members:          gauge(sub, "member_state", "1 for the state in which this coordinator holds a member of a service to be.", "service", "member", "state"),
		nodes:            gauge(sub, "nodes", "Nodes by the state in which this coordinator holds them to be.", "state"),
		heard:            gauge("", "nodes", "Nodes of which this coordinator hears, by what they do; one that does several things counts for each.", "region", "role"),
		quorum:           gauge(sub, "majority", "1 while this coordinator reaches a majority of regions and may decide."),
		reached:          gauge(sub, "regions_reached", "Regions that this coordinator reaches and is reached by."),
		needed:           gauge(sub, "regions_needed", "Regions that are a majority."),
		stretch:          gauge(sub, "self_doubt", "By how much this coordinator distrusts its own suspicions: 1 is well, 8 is worst."),
		probes:           counter(sub, "probes_total", "Looks at members of services by how they went.", "service", "member", "outcome"),
		probeTime:        histogram(sub, "probe_seconds", "How long looks at members took that went well.", []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, "service", "member"),
		heartbeatsFailed: counter("", "node_heartbeats_failed_total", "Heartbeats of this node that could not be sent."),
	}
	r.MustRegister(f.verdicts, f.members, f.nodes, f.heard, f.quorum, f.reached, f.needed, f.stretch, f.probes, f.probeTime, f.heartbeatsFailed)
	return f
}

// VerdictChanged counts a verdict about a target of this kind, "node" or "service".
func (f *failover) VerdictChanged(kind, state string) {
	f.verdicts.WithLabelValues(kind, state).Inc()
}

// SetMemberState tells in which state a member of a service is held to be.
func (f *failover) SetMemberState(service, member, state string) {
	for _, s := range states {
		f.members.WithLabelValues(service, member, s).Set(is(s == state))
	}
}

// SetNodeStates tells how many nodes are in which state.
func (f *failover) SetNodeStates(up, suspect, down int) {
	for i, n := range []int{up, suspect, down} {
		f.nodes.WithLabelValues(states[i]).Set(float64(n))
	}
}

// SetNodes tells how many nodes with a role are heard of in a region.
func (f *failover) SetNodes(region, role string, n int) {
	f.heard.WithLabelValues(region, role).Set(float64(n))
}

// SetQuorum tells whether a majority of regions is reached.
func (f *failover) SetQuorum(have bool, reached, needed int) {
	f.quorum.WithLabelValues().Set(is(have))
	f.reached.WithLabelValues().Set(float64(reached))
	f.needed.WithLabelValues().Set(float64(needed))
}

// SetStretch tells by how much a coordinator distrusts itself.
func (f *failover) SetStretch(factor float64) { f.stretch.WithLabelValues().Set(factor) }

// Probed counts a look at a member of a service.
func (f *failover) Probed(service, member string, ok bool, took time.Duration) {
	outcome := "failed"
	if ok {
		outcome = succeeded
		f.probeTime.WithLabelValues(service, member).Observe(took.Seconds())
	}
	f.probes.WithLabelValues(service, member, outcome).Inc()
}

// HeartbeatFailed counts a heartbeat that could not be sent.
func (f *failover) HeartbeatFailed() { f.heartbeatsFailed.WithLabelValues().Inc() }

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
