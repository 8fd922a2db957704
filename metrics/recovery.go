package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RestoreTest is what one restore test tells.
type RestoreTest struct {
	Source, Outcome string
	Ended           time.Time
	// RecoveryTime is how long it took until the data was usable, RecoveryPoint
	// how old the data was when the test began.
	RecoveryTime, RecoveryPoint time.Duration
}

type recovery struct {
	restores    *prometheus.CounterVec
	restoreTook *prometheus.HistogramVec

	tests                     *prometheus.CounterVec
	testedAt, recovers, point *prometheus.GaugeVec
	timeTarget, pointTarget   *prometheus.GaugeVec
}

func newRecovery(r prometheus.Registerer) recovery {
	c := recovery{
		restores:    counter("", "restores_total", "Restores by how they ended.", "source", "outcome"),
		restoreTook: histogram("restore", "duration_seconds", "How long successful restores took.", works()),
		tests:       counter("", "restore_tests_total", "Restore tests by how they ended.", "source", "outcome"),
		testedAt:    gauge("restore_test", "last_success_timestamp_seconds", "When a restore test of the source last succeeded.", "source"),
		recovers:    gauge("recovery", "time_seconds", "Recovery time (RTO) that the last successful restore test measured.", "source"),
		point:       gauge("recovery", "point_seconds", "Age of the newest restorable data (RPO) that the last successful restore test measured.", "source"),
		timeTarget:  gauge("recovery", "time_target_seconds", "Recovery time objective of the configuration."),
		pointTarget: gauge("recovery", "point_target_seconds", "Recovery point objective of the configuration."),
	}
	r.MustRegister(c.restores, c.restoreTook, c.tests, c.testedAt, c.recovers, c.point, c.timeTarget, c.pointTarget)
	return c
}

// RestoreEnded counts a restore.
func (c *recovery) RestoreEnded(source, outcome string, took time.Duration) {
	c.restores.WithLabelValues(source, outcome).Inc()
	if outcome == succeeded {
		c.restoreTook.WithLabelValues().Observe(took.Seconds())
	}
}

// RestoreTestEnded counts a restore test and what it measured.
func (c *recovery) RestoreTestEnded(x RestoreTest) {
	c.tests.WithLabelValues(x.Source, x.Outcome).Inc()
	if x.Outcome != succeeded {
		return
	}
	c.testedAt.WithLabelValues(x.Source).Set(unix(x.Ended))
	c.recovers.WithLabelValues(x.Source).Set(x.RecoveryTime.Seconds())
	c.point.WithLabelValues(x.Source).Set(x.RecoveryPoint.Seconds())
}

// SetTargets tells the objectives of the configuration.
func (c *recovery) SetTargets(recoveryTime, recoveryPoint time.Duration) {
	c.timeTarget.WithLabelValues().Set(recoveryTime.Seconds())
	c.pointTarget.WithLabelValues().Set(recoveryPoint.Seconds())
}
