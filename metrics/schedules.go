package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type schedules struct {
	slots, wentBack, failures *prometheus.CounterVec
	late                      *prometheus.HistogramVec
	next, leads, epoch        *prometheus.GaugeVec
}

func newSchedules(r prometheus.Registerer) schedules {
	s := schedules{
		slots:    counter("schedule", "slots_total", "Slots by what became of them: submitted, repeated, missed, overlapped, paused, refused.", "schedule", "outcome"),
		late:     histogram("schedule", "lateness_seconds", "How long after it was due a slot became a job.", waits(), "schedule"),
		next:     gauge("schedule", "next_timestamp_seconds", "When the schedule is due next.", "schedule"),
		leads:    gauge("scheduler", "leader", "1 while this process's scheduler leads."),
		epoch:    gauge("scheduler", "epoch", "Fencing token of the leading scheduler; 0 when it does not lead."),
		wentBack: counter("", "clock_steps_back_total", "How often the system's clock was found set back."),
		failures: counter("scheduler", "errors_total", "What the scheduler tried, failed at, and tries again.", "operation"),
	}
	r.MustRegister(s.slots, s.late, s.next, s.leads, s.epoch, s.wentBack, s.failures)
	return s
}

// SlotsDecided counts slots of a schedule by what became of them.
func (s *schedules) SlotsDecided(schedule, outcome string, n int) {
	s.slots.WithLabelValues(schedule, outcome).Add(float64(n))
}

// SlotLate tells how long after its due time a slot became a job.
func (s *schedules) SlotLate(schedule string, late time.Duration) {
	s.late.WithLabelValues(schedule).Observe(max(late, 0).Seconds())
}

// NextSlot tells when a schedule is due next; zero when never.
func (s *schedules) NextSlot(schedule string, at time.Time) {
	if at.IsZero() {
		s.next.DeleteLabelValues(schedule)
		return
	}
	s.next.WithLabelValues(schedule).Set(unix(at))
}

// Leading tells whether this process's scheduler leads, and in which epoch.
func (s *schedules) Leading(leads bool, epoch uint64) {
	value := 0.0
	if leads {
		value = 1
	}
	s.leads.WithLabelValues().Set(value)
	s.epoch.WithLabelValues().Set(float64(epoch))
}

// ClockWentBack counts steps back of the system's clock.
func (s *schedules) ClockWentBack() { s.wentBack.WithLabelValues().Inc() }

// SchedulerError counts what failed and is tried again.
func (s *schedules) SchedulerError(operation string) { s.failures.WithLabelValues(operation).Inc() }
