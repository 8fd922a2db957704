package metrics

import "github.com/prometheus/client_golang/prometheus"

// stored is what the storage turned out to hold.
type stored struct {
	corrections *prometheus.CounterVec
}

func newStored(r prometheus.Registerer) stored {
	s := stored{
		corrections: counter("storage", "corrections_total",
			"Objects that were read right although they are not stored right: damaged, missing or unreadable ones. `mahavishnu verify --repair` mends them.", "by"),
	}
	r.MustRegister(s.corrections)
	return s
}

// Corrected counts an object that was read right all the same: by parity, by its
// stripe, by its copy.
func (s *stored) Corrected(by string) { s.corrections.WithLabelValues(by).Inc() }
