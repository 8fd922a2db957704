package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backup is what one finished backup tells.
type Backup struct {
	Source, Type string
	// Outcome is an outcome of messages, or "partial": done, but some files
	// could not be read.
	Outcome  string
	Ended    time.Time
	Duration time.Duration
	// Size is what a restore would write, Read what was read for it, Stored
	// what it added to the storage, TakenOver what it took over there from an
	// attempt that died; bytes.
	Size, Read, Stored, TakenOver int64
	Unreadable                    int64 // files
}

// Partial is the outcome of a backup that could not read some files.
const Partial = "partial"

const succeeded = "succeeded"

type backups struct {
	ended, read, stored, takenOver, unreadable *prometheus.CounterVec
	size, success                              *prometheus.GaugeVec
	took                                       *prometheus.HistogramVec

	verified, problems, verifiedBytes, forgotten *prometheus.CounterVec
	verifiedAt, snapshots, held, unprotected     *prometheus.GaugeVec
	unverifiedAge, neverVerified, overdue        *prometheus.GaugeVec
}

func newBackups(r prometheus.Registerer) backups {
	const sub = "backup"
	b := backups{
		ended:      counter("", "backups_total", "Backups by how they ended. The success rate is that of succeeded.", "source", "type", "outcome"),
		took:       histogram(sub, "duration_seconds", "How long backups took that made a snapshot.", works(), "type"),
		size:       gauge(sub, "size_bytes", "Size of the newest snapshot: what a restore would write.", "source"),
		read:       counter(sub, "read_bytes_total", "Bytes read from sources.", "source"),
		stored:     counter(sub, "stored_bytes_total", "Bytes that backups added to the storage.", "source"),
		takenOver:  counter(sub, "taken_over_bytes_total", "Bytes in the storage that backups took over from attempts that died. With those stored, they are what snapshots cost.", "source"),
		unreadable: counter(sub, "unreadable_files_total", "Files that backups could not read.", "source"),
		success:    gauge(sub, "last_success_timestamp_seconds", "When the newest snapshot was finished.", "source", "type"),

		verified:      counter("", "verifications_total", "Verifications by how they ended.", "source", "outcome"),
		verifiedBytes: counter("verify", "read_bytes_total", "Stored bytes read and found whole."),
		problems:      counter("verify", "problems_total", "Damaged or missing objects found.", "source"),
		verifiedAt:    gauge("verify", "last_success_timestamp_seconds", "When the source's backups were last verified without a problem.", "source"),
		unverifiedAge: gauge("verify", "oldest_unverified_seconds", "How long the stored byte that waits longest has gone unverified."),
		neverVerified: gauge("verify", "never_verified_bytes", "Stored bytes that were never opened and hashed."),
		overdue:       gauge("verify", "overdue_bytes", "Stored bytes that have gone unverified for longer than max_unverified_age."),
		forgotten:     counter("", "snapshots_forgotten_total", "Snapshots that retention let go.", "source"),
		snapshots:     gauge("", "snapshots", "Snapshots that can be read, after the last backup or forget.", "source"),
		unprotected:   gauge("storage", "unprotected_timestamp_seconds", "The earliest time at which something stored can be deleted by whoever has the credentials, unless a prune keeps it for longer before.", "region"),
		held:          gauge("storage", "used_bytes", "Bytes of packs that the repository holds, after the last verify or prune; parity and second copies are not among them.", "region"),
	}
	r.MustRegister(b.ended, b.took, b.size, b.read, b.stored, b.takenOver, b.unreadable, b.success,
		b.verified, b.verifiedBytes, b.unverifiedAge, b.neverVerified, b.overdue, b.problems, b.verifiedAt, b.forgotten, b.snapshots, b.held, b.unprotected)
	return b
}

// BackupEnded counts a backup, successful or not.
func (b *backups) BackupEnded(x Backup) {
	b.ended.WithLabelValues(x.Source, x.Type, x.Outcome).Inc()
	b.read.WithLabelValues(x.Source).Add(float64(max(x.Read, 0)))
	b.stored.WithLabelValues(x.Source).Add(float64(max(x.Stored, 0)))
	b.takenOver.WithLabelValues(x.Source).Add(float64(max(x.TakenOver, 0)))
	b.unreadable.WithLabelValues(x.Source).Add(float64(max(x.Unreadable, 0)))
	if x.Outcome != succeeded && x.Outcome != Partial {
		return
	}
	b.took.WithLabelValues(x.Type).Observe(x.Duration.Seconds())
	b.size.WithLabelValues(x.Source).Set(float64(x.Size))
	b.success.WithLabelValues(x.Source, x.Type).Set(unix(x.Ended))
}

// VerifyEnded counts a verification of a source ("" is all of them), the bytes
// it read and the problems it found.
func (b *backups) VerifyEnded(source, outcome string, at time.Time, bytes int64, problems int) {
	b.verified.WithLabelValues(source, outcome).Inc()
	b.verifiedBytes.WithLabelValues().Add(float64(max(bytes, 0)))
	b.problems.WithLabelValues(source).Add(float64(max(problems, 0)))
	if outcome == succeeded && problems == 0 {
		b.verifiedAt.WithLabelValues(source).Set(unix(at))
	}
}

// SetUnverified tells how long the byte that waits longest has gone unverified,
// how many bytes never were verified, and how many are overdue.
func (b *backups) SetUnverified(oldest time.Duration, never, overdue int64) {
	b.unverifiedAge.WithLabelValues().Set(oldest.Seconds())
	b.neverVerified.WithLabelValues().Set(float64(never))
	b.overdue.WithLabelValues().Set(float64(overdue))
}

// SnapshotsForgotten counts snapshots that retention let go.
func (b *backups) SnapshotsForgotten(source string, n int) {
	b.forgotten.WithLabelValues(source).Add(float64(max(n, 0)))
}

// SetSnapshots tells how many snapshots of a source can be read.
func (b *backups) SetSnapshots(source string, n int) {
	b.snapshots.WithLabelValues(source).Set(float64(n))
}

// SetUnprotected tells from when on something that a region has stored could be
// deleted, unless it is kept for longer before.
func (b *backups) SetUnprotected(region string, from time.Time) {
	b.unprotected.WithLabelValues(region).Set(unix(from))
}

// SetStorageUsed tells how many bytes of packs a region's repository holds.
func (b *backups) SetStorageUsed(region string, bytes int64) {
	b.held.WithLabelValues(region).Set(float64(max(bytes, 0)))
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
