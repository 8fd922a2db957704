package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mahavishnu/messages"
)

type jobs struct {
	attempts, refused, lost, beats, stuckHandlers, reconciled *prometheus.CounterVec
	busErrors                                                 *prometheus.CounterVec
	running, stuck                                            *prometheus.GaugeVec
	waited, ran                                               *prometheus.HistogramVec
}

func newJobs(r prometheus.Registerer) jobs {
	j := jobs{
		attempts:      counter("job", "attempts_total", "Attempts at jobs by how they ended.", "kind", "region", "outcome"),
		running:       gauge("", "jobs_running", "Jobs that this process is working on.", "kind", "region"),
		waited:        histogram("job", "wait_seconds", "From when a job was due to when a worker claimed it.", waits(), "kind"),
		ran:           histogram("job", "duration_seconds", "How long attempts took.", works(), "kind"),
		refused:       counter("", "jobs_refused_total", "Messages that became dead letters without a run.", "kind"),
		lost:          counter("job", "leases_lost_total", "Attempts that lost their claim.", "kind"),
		beats:         counter("job", "heartbeats_missed_total", "Heartbeats of attempts that were not acknowledged.", "kind"),
		stuckHandlers: counter("job", "handlers_stuck_total", "Handlers that did not return when told to.", "kind"),
		busErrors:     counter("", "bus_errors_total", "Requests to the queue that failed.", "operation"),
		reconciled:    counter("", "reconciled_total", "What the reconciler put right.", "what"),
		stuck:         gauge("", "jobs_stuck", "Running records that have had no living worker for long."),
	}
	r.MustRegister(j.attempts, j.running, j.waited, j.ran, j.refused, j.lost, j.beats, j.stuckHandlers, j.busErrors, j.reconciled, j.stuck)
	return j
}

// JobStarted counts a claim; waited is the time since the job was due.
func (j *jobs) JobStarted(kind messages.Kind, region string, waited time.Duration) {
	j.running.WithLabelValues(string(kind), region).Inc()
	j.waited.WithLabelValues(string(kind)).Observe(max(waited, 0).Seconds())
}

// JobEnded counts an attempt's end; ran is how long it took.
func (j *jobs) JobEnded(kind messages.Kind, region string, outcome messages.Outcome, ran time.Duration) {
	j.running.WithLabelValues(string(kind), region).Dec()
	j.attempts.WithLabelValues(string(kind), region, string(outcome)).Inc()
	j.ran.WithLabelValues(string(kind)).Observe(ran.Seconds())
}

// JobRefused counts a message that became a dead letter without a run. Kind
// and region may be what somebody mistyped: only known kinds become labels.
func (j *jobs) JobRefused(kind, _ string) {
	if !messages.Kind(kind).Known() {
		kind = "unknown"
	}
	j.refused.WithLabelValues(kind).Inc()
}

// LeaseLost counts attempts whose claim was lost.
func (j *jobs) LeaseLost(kind messages.Kind) { j.lost.WithLabelValues(string(kind)).Inc() }

// BeatMissed counts heartbeats that were not acknowledged.
func (j *jobs) BeatMissed(kind messages.Kind) { j.beats.WithLabelValues(string(kind)).Inc() }

// HandlerStuck counts handlers that did not return when told to.
func (j *jobs) HandlerStuck(kind messages.Kind) { j.stuckHandlers.WithLabelValues(string(kind)).Inc() }

// BusError counts failed requests to the queue, by what was tried.
func (j *jobs) BusError(operation string) { j.busErrors.WithLabelValues(operation).Inc() }

// Reconciled counts what the reconciler put right.
func (j *jobs) Reconciled(what string, n int) { j.reconciled.WithLabelValues(what).Add(float64(n)) }

// JobsStuck tells how many running records have no living worker.
func (j *jobs) JobsStuck(n int) { j.stuck.WithLabelValues().Set(float64(n)) }
