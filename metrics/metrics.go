package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "mahavishnu"

// Metrics is everything that is measured in one process.
type Metrics struct {
	registry *prometheus.Registry
	backups
	recovery
	jobs
	queue
	schedules
	prunes
	stored
	replications
	fronts
	failover
	plans
	islands
}

// New returns metrics that are all at their start. The version is shown as a label.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	build := gauge("", "build_info", "Which version runs; always 1.", "version", "go_version")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.backups = newBackups(m.registry)
	m.recovery = newRecovery(m.registry)
	m.jobs = newJobs(m.registry)
	m.queue = newQueue(m.registry)
	m.schedules = newSchedules(m.registry)
	m.prunes = newPrunes(m.registry)
	m.stored = newStored(m.registry)
	m.replications = newReplications(m.registry)
	m.fronts = newFronts(m.registry)
	m.failover = newFailover(m.registry)
	m.plans = newPlans(m.registry)
	m.islands = newIslands(m.registry)
	return m
}

// Handler serves the metrics in the formats that Prometheus reads.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:      m.registry,
		ErrorHandling: promhttp.HTTPErrorOnError,
	})
}

// waits are buckets in seconds, from a pick-up of a millisecond to half an
// hour in the queue.
func waits() []float64 { return []float64{0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800} }

// works are buckets in seconds, from a second to a day. 900 and 1800 are the
// plan's targets for restoring and backing up 10 GB.
func works() []float64 {
	return []float64{1, 5, 15, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600}
}

func counter(subsystem, name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
}

func gauge(subsystem, name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
}

func histogram(subsystem, name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
	}, labels)
}
