package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Lag is how far a copy is behind what it is a copy of.
type Lag struct {
	// Bytes and Objects are what is not copied yet.
	Bytes, Objects int64
	// Age is for how long the oldest snapshot among it has waited.
	Age time.Duration
	// Pending are objects that were deleted in the primary and are kept in the copy
	// for a while.
	Pending int64
	// Measured is when somebody looked.
	Measured time.Time
}

// Replication is what one finished replicate job tells.
type Replication struct {
	From, To string
	Outcome  string
	Ended    time.Time
	// Objects and Bytes were copied, Deleted objects removed from the copy.
	Objects, Bytes, Deleted int64
}

type replications struct {
	ended, objects, bytes, deleted          *prometheus.CounterVec
	lastSuccess                             *prometheus.GaugeVec
	lagSeconds, lagBytes, lagObjects, waits *prometheus.GaugeVec
	measured                                *prometheus.GaugeVec
}

func newReplications(r prometheus.Registerer) replications {
	const sub = "replication"
	p := replications{
		ended:       counter("", "replications_total", "Replicate jobs by how they ended.", "from", "to", "outcome"),
		objects:     counter(sub, "copied_objects_total", "Objects copied to another region.", "from", "to"),
		bytes:       counter(sub, "copied_bytes_total", "Bytes copied to another region.", "from", "to"),
		deleted:     counter(sub, "deleted_objects_total", "Objects removed from a copy because they were deleted in its primary long enough ago.", "from", "to"),
		lastSuccess: gauge(sub, "last_success_timestamp_seconds", "When a replicate job last ended well.", "from", "to"),
		lagSeconds:  gauge(sub, "lag_seconds", "For how long the oldest snapshot that is not copied yet has waited.", "from", "to"),
		lagBytes:    gauge(sub, "lag_bytes", "Stored bytes that are not copied yet.", "from", "to"),
		lagObjects:  gauge(sub, "lag_objects", "Stored objects that are not copied yet.", "from", "to"),
		waits:       gauge(sub, "pending_deletions", "Objects deleted in the primary that are kept in the copy for a while.", "from", "to"),
		measured:    gauge(sub, "lag_measured_timestamp_seconds", "When the lag was last measured; it grows old while one of both storages cannot be reached.", "from", "to"),
	}
	r.MustRegister(p.ended, p.objects, p.bytes, p.deleted, p.lastSuccess, p.lagSeconds, p.lagBytes, p.lagObjects, p.waits, p.measured)
	return p
}

// ReplicationEnded counts a replicate job, successful or not.
func (p *replications) ReplicationEnded(x Replication) {
	p.ended.WithLabelValues(x.From, x.To, x.Outcome).Inc()
	p.objects.WithLabelValues(x.From, x.To).Add(float64(max(x.Objects, 0)))
	p.bytes.WithLabelValues(x.From, x.To).Add(float64(max(x.Bytes, 0)))
	p.deleted.WithLabelValues(x.From, x.To).Add(float64(max(x.Deleted, 0)))
	if x.Outcome == succeeded {
		p.lastSuccess.WithLabelValues(x.From, x.To).Set(unix(x.Ended))
	}
}

// SetReplicationLag tells how far a copy is behind.
func (p *replications) SetReplicationLag(from, to string, l Lag) {
	p.lagBytes.WithLabelValues(from, to).Set(float64(l.Bytes))
	p.lagObjects.WithLabelValues(from, to).Set(float64(l.Objects))
	p.lagSeconds.WithLabelValues(from, to).Set(l.Age.Seconds())
	p.waits.WithLabelValues(from, to).Set(float64(l.Pending))
	p.measured.WithLabelValues(from, to).Set(unix(l.Measured))
}
