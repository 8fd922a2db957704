package app

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
)

// TestJobsAreMeasured runs jobs by a real worker, and asks for the metrics as
// Prometheus does.
func TestJobsAreMeasured(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "failover: {heartbeat: 100ms}\n")
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true, Coordinator: true}})
	do := func(spec messages.Spec) string {
		sent, err := a.Bus().Submit(t.Context(), messages.NewJob("eu", spec, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if state := ended(t, a, sent.ID); state != messages.StateSucceeded {
			t.Fatalf("the %s job ended %s", spec.Kind(), state)
		}
		return sent.ID
	}
	do(&messages.BackupSpec{Source: "home"})
	do(&messages.BackupSpec{Source: "home"})
	shows(t, a, `mahavishnu_snapshots{source="home"} 2`, `mahavishnu_nodes{region="eu",role="worker"} 1`,
		`mahavishnu_nodes{region="eu",role="coordinator"} 1`)
	do(&messages.VerifySpec{})
	shows(t, a, `mahavishnu_storage_used_bytes{region="eu"} `)
	do(&messages.ForgetSpec{})
	do(&messages.PruneSpec{})
	shows(t, a, `mahavishnu_snapshots{source="home"} `, "mahavishnu_prune_last_success_timestamp_seconds")
}

// shows waits until every one of the wanted series is there, and is not zero.
func shows(t *testing.T, a *App, wanted ...string) {
	t.Helper()
	var text string
	for range 1500 {
		text = scrape(t, a)
		missing := 0
		for _, w := range wanted {
			_, value, there := strings.Cut(text, "\n"+w)
			if !there || strings.HasPrefix(value, "0\n") {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("not all of %q show in the metrics:\n%s", wanted, text)
}

func scrape(t *testing.T, a *App) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.HTTPAddr().String()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
