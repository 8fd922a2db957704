package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stored is what the storage does, and what it turned out to hold.
type stored struct {
	operations, moved, retries, corrections, behind *prometheus.CounterVec
	took                                            *prometheus.HistogramVec
}

func newStored(r prometheus.Registerer) stored {
	const sub = "storage"
	s := stored{
		operations: counter(sub, "operations_total", "Operations on storage by how they ended. Expected answers such as not_found are no failures; see the documentation of package storage.", "operation", "result"),
		moved:      counter(sub, "transferred_bytes_total", "Bytes of objects that were written and read.", "operation"),
		took:       histogram(sub, "operation_duration_seconds", "How long operations waited for the storage, repetitions included.", waits(), "operation"),
		retries:    counter(sub, "retries_total", "Requests that failed for a passing reason and were made again.", "operation"),
		corrections: counter(sub, "corrections_total",
			"Objects that were read right although they are not stored right: damaged, missing or unreadable ones. `mahavishnu verify --repair` mends them.", "by"),
		behind: counter(sub, "shards_behind_total", "Shards of dispersed storage that could not be put after their objects were confirmed. `mahavishnu verify --repair` makes them."),
	}
	r.MustRegister(s.operations, s.moved, s.took, s.retries, s.corrections, s.behind)
	s.behind.WithLabelValues()
	return s
}

// StorageOperation counts an operation on storage: how it ended, the bytes of objects
// that it moved, and how long it waited.
func (s *stored) StorageOperation(op, result string, bytes int64, took time.Duration) {
	s.operations.WithLabelValues(op, result).Inc()
	s.took.WithLabelValues(op).Observe(took.Seconds())
	if bytes > 0 {
		s.moved.WithLabelValues(op).Add(float64(bytes))
	}
}

// StorageRetried counts a request that is made again.
func (s *stored) StorageRetried(op string) { s.retries.WithLabelValues(op).Inc() }

// Corrected counts an object that was read right all the same: by parity, by its
// stripe, by its copy.
func (s *stored) Corrected(by string) { s.corrections.WithLabelValues(by).Inc() }

// ShardsBehind counts shards of dispersed storage that are missing though their objects
// were confirmed.
func (s *stored) ShardsBehind(n int) { s.behind.WithLabelValues().Add(float64(max(n, 0))) }
