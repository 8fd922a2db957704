package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type plans struct {
	ready      *prometheus.GaugeVec
	executions *prometheus.CounterVec
	steps      *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	notices    *prometheus.CounterVec
}

func newPlans(r prometheus.Registerer) plans {
	const sub = "failover"
	p := plans{
		ready:      gauge(sub, "plan_ready", "1 while the last evaluation found that the plan could be carried out, 0 while something is in its way.", "plan"),
		executions: counter(sub, "executions_total", "Turns that executions of plans took, by the state they came to.", "plan", "state"),
		steps:      histogram(sub, "step_seconds", "How long attempts at steps of plans took, by how they ended.", []float64{0.01, 0.05, 0.25, 1, 5, 30, 120, 600, 3600}, "plan", "outcome"),
		refused:    counter(sub, "approvals_refused_total", "Approvals that were not valid.", "plan"),
		notices:    counter(sub, "notices_total", "What plans had to tell people.", "plan"),
	}
	r.MustRegister(p.ready, p.executions, p.steps, p.refused, p.notices)
	return p
}

// SetPlanReady tells whether a plan could be carried out.
func (p *plans) SetPlanReady(plan string, ready bool) {
	p.ready.WithLabelValues(plan).Set(is(ready))
}

// ExecutionTurned counts an execution that came to a state.
func (p *plans) ExecutionTurned(plan, state string) { p.executions.WithLabelValues(plan, state).Inc() }

// StepEnded tells how an attempt at a step went.
func (p *plans) StepEnded(plan, outcome string, took time.Duration) {
	p.steps.WithLabelValues(plan, outcome).Observe(took.Seconds())
}

// ApprovalRefused counts an approval that was not valid.
func (p *plans) ApprovalRefused(plan string) { p.refused.WithLabelValues(plan).Inc() }

// NoticeTold counts something that a plan told people.
func (p *plans) NoticeTold(plan string) { p.notices.WithLabelValues(plan).Inc() }
