package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Prune is what one finished prune job tells; sizes are stored bytes.
type Prune struct {
	Region  string
	Outcome string
	Ended   time.Time
	// Unused is what no snapshot needed when the run began, Reclaimed by how much
	// the storage holds less at its end.
	Unused, Reclaimed int64
	// Waiting is what is to be removed, and waits for somebody at work.
	Waiting int64
	// Held says that nothing was removed because a source is held.
	Held bool
}

type prunes struct {
	ended, reclaimed                     *prometheus.CounterVec
	unused, condemned, lastSuccess, held *prometheus.GaugeVec
}

func newPrunes(r prometheus.Registerer) prunes {
	const sub = "prune"
	p := prunes{
		ended:       counter("", "prunes_total", "Prune jobs by how they ended.", "region", "outcome"),
		reclaimed:   counter(sub, "reclaimed_bytes_total", "Bytes by which pruning made the storage hold less.", "region"),
		unused:      gauge(sub, "unused_bytes", "Stored bytes that no snapshot needed when the last prune began.", "region"),
		condemned:   gauge(sub, "condemned_bytes", "Stored bytes that are to be removed and wait for somebody at work.", "region"),
		held:        gauge(sub, "held", "1 when the last prune removed nothing because a source is held.", "region"),
		lastSuccess: gauge(sub, "last_success_timestamp_seconds", "When a prune last ended well.", "region"),
	}
	r.MustRegister(p.ended, p.reclaimed, p.unused, p.condemned, p.held, p.lastSuccess)
	return p
}

// PruneEnded counts a prune job, successful or not.
func (p *prunes) PruneEnded(x Prune) {
	p.ended.WithLabelValues(x.Region, x.Outcome).Inc()
	p.reclaimed.WithLabelValues(x.Region).Add(float64(max(x.Reclaimed, 0)))
	if x.Outcome != succeeded {
		return
	}
	p.unused.WithLabelValues(x.Region).Set(float64(x.Unused))
	p.condemned.WithLabelValues(x.Region).Set(float64(x.Waiting))
	p.lastSuccess.WithLabelValues(x.Region).Set(unix(x.Ended))
	held := 0.0
	if x.Held {
		held = 1
	}
	p.held.WithLabelValues(x.Region).Set(held)
}
