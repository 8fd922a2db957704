package metrics

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"mahavishnu/messages"
)

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// moveAll calls every method once.
func moveAll(m *Metrics) {
	m.BackupEnded(Backup{Source: "home", Type: "full", Outcome: "succeeded", Ended: noon, Duration: time.Minute, Size: 100, Read: 80, Stored: 40, TakenOver: 7, Unreadable: 2})
	m.BackupEnded(Backup{Source: "home", Type: "full", Outcome: "failed", Ended: noon.Add(time.Hour), Read: 20})
	m.VerifyEnded("home", "succeeded", noon, 1000, 0)
	m.SetUnverified(36*time.Hour, 5000, 100)
	m.VerifyEnded("home", "failed", noon.Add(time.Hour), 500, 3)
	m.SnapshotsForgotten("home", 4)
	m.SetSnapshots("home", 7)
	m.Corrected("parity")
	m.StorageOperation("get", "ok", 1<<20, 20*time.Millisecond)
	m.StorageOperation("get", "not_found", 0, time.Millisecond)
	m.StorageRetried("get")
	m.ShardsBehind(2)
	m.PruneEnded(Prune{Region: "eu", Outcome: "succeeded", Ended: noon, Unused: 500, Reclaimed: 300, Waiting: 100, Held: true})
	m.PruneEnded(Prune{Region: "eu", Outcome: "failed", Ended: noon.Add(time.Hour), Reclaimed: 20, Unused: 9})
	m.SetStorageUsed("eu", 12345)
	m.SetUnprotected("eu", time.Unix(1_900_000_000, 0))
	m.RestoreEnded("home", "succeeded", time.Minute)
	m.RestoreTestEnded(RestoreTest{Source: "home", Outcome: "succeeded", Ended: noon, RecoveryTime: 90 * time.Second, RecoveryPoint: time.Hour})
	m.RestoreTestEnded(RestoreTest{Source: "home", Outcome: "failed", RecoveryTime: time.Hour})
	m.SetTargets(15*time.Minute, 5*time.Minute)
	m.ReplicationEnded(Replication{From: "eu", To: "us", Outcome: "succeeded", Ended: noon, Objects: 3, Bytes: 4000, Deleted: 1})
	m.ReplicationEnded(Replication{From: "eu", To: "us", Outcome: "failed", Ended: noon.Add(time.Hour), Objects: 1})
	m.SetReplicationLag("eu", "us", Lag{Bytes: 100, Objects: 2, Age: 30 * time.Second, Pending: 5, Measured: noon})
	m.SetFront("orders", Front{Epoch: 41, Leading: true, Open: 3, Accepted: 5, Switches: 1})
	m.SetFront("orders", Front{Epoch: 42, Leading: true, Open: 1, Held: 2, Accepted: 9, Refused: 1, Expired: 1, Cut: 3, Switches: 2})
	m.JobStarted(messages.KindBackup, "eu", time.Second)
	m.JobStarted(messages.KindBackup, "eu", -time.Second)
	m.JobEnded(messages.KindBackup, "eu", messages.OutcomeSucceeded, time.Minute)
	m.JobRefused("backup", "eu")
	m.JobRefused("bakcup", "mars")
	m.LeaseLost(messages.KindBackup)
	m.BeatMissed(messages.KindBackup)
	m.HandlerStuck(messages.KindBackup)
	m.BusError("publish")
	m.Reconciled("woken", 2)
	m.JobsStuck(1)
	m.DeadLetter(messages.DeadRefused)
	m.Redriven()
	m.SetDeadLetters(3)
	m.SetQueue(messages.KindBackup, "eu", 5, 2)
	m.LeaseWon("scheduler", 17)
	m.LeaseEnded("scheduler")
	m.SetIsland(true)
	m.HandedOver("records", 2)
	m.LeaseWon("scheduler", 19)
	m.SetNodes("eu", "worker", 3)
	m.SlotsDecided("daily", "submitted", 2)
	m.SlotLate("daily", time.Second)
	m.NextSlot("daily", noon)
	m.NextSlot("weekly", noon)
	m.NextSlot("weekly", time.Time{})
	m.Leading(true, 19)
	m.ClockWentBack()
	m.SchedulerError("campaign")
	m.VerdictChanged("service", "down")
	m.SetPlanReady("region_failure", true)
	m.ExecutionTurned("region_failure", "committed")
	m.StepEnded("region_failure", "done", time.Second)
	m.ApprovalRefused("region_failure")
	m.NoticeTold("region_failure")
	m.SetMemberState("db", "a", "down")
	m.SetNodeStates(3, 2, 1)
	m.SetQuorum(true, 3, 2)
	m.SetStretch(2)
	m.Probed("db", "a", true, time.Millisecond)
	m.Probed("db", "a", false, time.Second)
	m.HeartbeatFailed()
}

func TestEveryMetricMoves(t *testing.T) {
	m := New("1.2.3")
	start := families(t, m)
	moveAll(m)
	moved := families(t, m)
	for name := range registered(t, m) {
		f, ok := moved[name]
		if !ok {
			t.Errorf("%s: no method moves it", name)
			continue
		}
		if value(f) == 0 {
			t.Errorf("%s stays at zero", name)
		}
		if before, ok := start[name]; ok && name != "mahavishnu_build_info" && value(before) == value(f) {
			t.Errorf("%s did not move", name)
		}
	}
	if f := moved["mahavishnu_build_info"]; value(f) != 1 {
		t.Errorf("build_info = %v", f)
	}
}

// registered asks every collector for its name, whether it has a value or not.
func registered(t *testing.T, m *Metrics) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, c := range m.collectors() {
		name := nameOf(c)
		if !strings.HasPrefix(name, namespace+"_") {
			t.Errorf("%s does not begin with %s_", name, namespace)
		}
		if names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
	}
	if len(names) < 40 {
		t.Fatalf("only %d metrics found", len(names))
	}
	return names
}

func families(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range all {
		out[f.GetName()] = f
	}
	return out
}

func value(f *dto.MetricFamily) float64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

func TestValues(t *testing.T) {
	m := New("1.2.3")
	moveAll(m)
	for text, want := range map[string]string{
		"mahavishnu_backups_total": `
			mahavishnu_backups_total{outcome="failed",source="home",type="full"} 1
			mahavishnu_backups_total{outcome="succeeded",source="home",type="full"} 1`,
		"mahavishnu_backup_read_bytes_total":                     `mahavishnu_backup_read_bytes_total{source="home"} 100`,
		"mahavishnu_backup_size_bytes":                           `mahavishnu_backup_size_bytes{source="home"} 100`,
		"mahavishnu_backup_last_success_timestamp_seconds":       `mahavishnu_backup_last_success_timestamp_seconds{source="home",type="full"} 1.7487792e+09`,
		"mahavishnu_verify_last_success_timestamp_seconds":       `mahavishnu_verify_last_success_timestamp_seconds{source="home"} 1.7487792e+09`,
		"mahavishnu_verify_problems_total":                       `mahavishnu_verify_problems_total{source="home"} 3`,
		"mahavishnu_prune_reclaimed_bytes_total":                 `mahavishnu_prune_reclaimed_bytes_total{region="eu"} 320`,
		"mahavishnu_prune_condemned_bytes":                       `mahavishnu_prune_condemned_bytes{region="eu"} 100`,
		"mahavishnu_prune_unused_bytes":                          `mahavishnu_prune_unused_bytes{region="eu"} 500`,
		"mahavishnu_prune_last_success_timestamp_seconds":        `mahavishnu_prune_last_success_timestamp_seconds{region="eu"} 1.7487792e+09`,
		"mahavishnu_replication_copied_objects_total":            `mahavishnu_replication_copied_objects_total{from="eu",to="us"} 4`,
		"mahavishnu_replication_lag_bytes":                       `mahavishnu_replication_lag_bytes{from="eu",to="us"} 100`,
		"mahavishnu_replication_lag_seconds":                     `mahavishnu_replication_lag_seconds{from="eu",to="us"} 30`,
		"mahavishnu_replication_last_success_timestamp_seconds":  `mahavishnu_replication_last_success_timestamp_seconds{from="eu",to="us"} 1.7487792e+09`,
		"mahavishnu_front_connections_total":                     `mahavishnu_front_connections_total{service="orders"} 9`,
		"mahavishnu_front_cut_connections_total":                 `mahavishnu_front_cut_connections_total{service="orders"} 3`,
		"mahavishnu_front_held_connections":                      `mahavishnu_front_held_connections{service="orders"} 2`,
		"mahavishnu_front_leading":                               `mahavishnu_front_leading{service="orders"} 1`,
		"mahavishnu_recovery_time_seconds":                       `mahavishnu_recovery_time_seconds{source="home"} 90`,
		"mahavishnu_restore_test_last_success_timestamp_seconds": `mahavishnu_restore_test_last_success_timestamp_seconds{source="home"} 1.7487792e+09`,
		"mahavishnu_jobs_running":                                `mahavishnu_jobs_running{kind="backup",region="eu"} 1`,
		"mahavishnu_jobs_refused_total": `
			mahavishnu_jobs_refused_total{kind="backup"} 1
			mahavishnu_jobs_refused_total{kind="unknown"} 1`,
		"mahavishnu_lease_changes_total": `
			mahavishnu_lease_changes_total{change="ended",lease="scheduler"} 1
			mahavishnu_lease_changes_total{change="won",lease="scheduler"} 2`,
		"mahavishnu_schedule_slots_total":            `mahavishnu_schedule_slots_total{outcome="submitted",schedule="daily"} 2`,
		"mahavishnu_schedule_next_timestamp_seconds": `mahavishnu_schedule_next_timestamp_seconds{schedule="daily"} 1.7487792e+09`,
	} {
		if err := testutil.GatherAndCompare(m.registry, strings.NewReader(header(t, m, text)+want+"\n"), text); err != nil {
			t.Error(err)
		}
	}
}

// header is the HELP and TYPE of a metric, so that the table above need not
// repeat them.
func header(t *testing.T, m *Metrics, name string) string {
	t.Helper()
	f := families(t, m)[name]
	return "# HELP " + name + " " + f.GetHelp() + "\n# TYPE " + name + " " + strings.ToLower(f.GetType().String()) + "\n"
}

func TestNamesFollowTheConventions(t *testing.T) {
	m := New("1.2.3")
	moveAll(m)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestHandler(t *testing.T) {
	m := New("1.2.3")
	moveAll(m)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	for _, want := range []string{`mahavishnu_build_info{go_version=`, `version="1.2.3"`, "mahavishnu_schedule_slots_total", "go_goroutines", "process_"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestTwoRegistriesDoNotMeet(t *testing.T) {
	a, b := New("1"), New("2")
	a.Redriven()
	if got := value(families(t, a)["mahavishnu_dead_letters_redriven_total"]); got != 1 {
		t.Errorf("first = %v", got)
	}
	if f := families(t, b)["mahavishnu_dead_letters_redriven_total"]; f != nil && value(f) != 0 {
		t.Errorf("second = %v", f)
	}
}

func BenchmarkJob(b *testing.B) {
	m := New("1")
	b.ReportAllocs()
	for b.Loop() {
		m.JobStarted(messages.KindBackup, "eu", time.Millisecond)
		m.JobEnded(messages.KindBackup, "eu", messages.OutcomeSucceeded, time.Second)
	}
}

// TestEveryMethodIsCalled looks for each method among the program's sources: a metric
// that only tests move shows nothing to anybody.
func TestEveryMethodIsCalled(t *testing.T) {
	calls := map[string]bool{}
	call := regexp.MustCompile(`\.(\w+)`)
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "metrics" || d.Name() == "node_modules" || d.Name() == "testdata" || path != "." && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(root, path)
		for _, found := range call.FindAllSubmatch(text, -1) {
			calls[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	methods := reflect.TypeFor[*Metrics]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; !calls[name] {
			t.Errorf("nothing calls %s", name)
		}
	}
	if methods.NumMethod() < 40 {
		t.Errorf("only %d methods", methods.NumMethod())
	}
}
