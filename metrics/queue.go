package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"mahavishnu/messages"
)

type queue struct {
	deadLetters, redriven *prometheus.CounterVec
	dead                  *prometheus.GaugeVec
	waiting, held         *prometheus.GaugeVec
	leaseHeld, leaseEpoch *prometheus.GaugeVec
	leaseChanges          *prometheus.CounterVec
}

func newQueue(r prometheus.Registerer) queue {
	q := queue{
		deadLetters:  counter("", "dead_letters_total", "Messages that died, by cause.", "cause"),
		redriven:     counter("", "dead_letters_redriven_total", "Dead letters that were sent again."),
		dead:         gauge("", "dead_letters", "Dead letters that wait for a person."),
		waiting:      gauge("queue", "waiting_jobs", "Messages that no worker has taken.", "kind", "region"),
		held:         gauge("queue", "held_jobs", "Messages that workers hold.", "kind", "region"),
		leaseHeld:    gauge("lease", "held", "1 while this process holds the lease.", "lease"),
		leaseEpoch:   gauge("lease", "epoch", "Fencing token of the lease this process holds or last held.", "lease"),
		leaseChanges: counter("lease", "changes_total", "How often this process won or lost the lease.", "lease", "change"),
	}
	r.MustRegister(q.deadLetters, q.redriven, q.dead, q.waiting, q.held, q.leaseHeld, q.leaseEpoch, q.leaseChanges)
	return q
}

// DeadLetter counts a message that died.
func (q *queue) DeadLetter(cause messages.DeadCause) {
	q.deadLetters.WithLabelValues(string(cause)).Inc()
}

// Redriven counts a dead letter that was sent again.
func (q *queue) Redriven() { q.redriven.WithLabelValues().Inc() }

// SetDeadLetters tells how many dead letters wait for a person.
func (q *queue) SetDeadLetters(n uint64) { q.dead.WithLabelValues().Set(float64(n)) }

// SetQueue tells how many messages of a kind and region wait and are held.
func (q *queue) SetQueue(kind messages.Kind, region string, waiting, held uint64) {
	q.waiting.WithLabelValues(string(kind), region).Set(float64(waiting))
	q.held.WithLabelValues(string(kind), region).Set(float64(held))
}

// LeaseWon tells that this process holds a lease from now on.
func (q *queue) LeaseWon(lease string, epoch uint64) {
	q.leaseHeld.WithLabelValues(lease).Set(1)
	q.leaseEpoch.WithLabelValues(lease).Set(float64(epoch))
	q.leaseChanges.WithLabelValues(lease, "won").Inc()
}

// LeaseEnded tells that this process holds a lease no longer.
func (q *queue) LeaseEnded(lease string) {
	q.leaseHeld.WithLabelValues(lease).Set(0)
	q.leaseChanges.WithLabelValues(lease, "ended").Inc()
}
