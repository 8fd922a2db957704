package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
)

// TestReload changes the configuration of a running process: a new source can
// be backed up at once, and a bad file changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	s := newSystem(t, tree(t, corpus.Spec{Kind: corpus.Small, Files: 5, FileSize: 100}), "")
	up, b := s.lead("up")
	path := filepath.Join(s.dir, "leader.yml")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	backup := func(source string) (messages.State, string) {
		t.Helper()
		sent, err := b.Submit(t.Context(), messages.NewJob(region, &messages.BackupSpec{Source: source}, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		e := s.ended(b, sent.ID)
		return e.State, e.Error
	}
	reload := func(text, says string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		seen := strings.Count(up.log.String(), says)
		up.signal(syscall.SIGHUP)
		s.until("the log to say "+says, func() bool { return strings.Count(up.log.String(), says) > seen })
	}

	if state, why := backup("more"); state != messages.StateDead || !strings.Contains(why, `no source "more"`) {
		t.Errorf("an unknown source: %s, %s", state, why)
	}
	with := strings.Replace(string(before), "sources:\n", fmt.Sprintf("sources:\n  more: {path: %q, region: %s}\n", s.source, region), 1)
	reload(with, "configuration reloaded")
	if state, why := backup("more"); state != messages.StateSucceeded {
		t.Errorf("the new source: %s, %s", state, why)
	}
	reload(with+"\nbackups: {}\n", "the old one stays in force")
	if state, why := backup("more"); state != messages.StateSucceeded {
		t.Errorf("after a bad reload: %s, %s", state, why)
	}
	up.signal(interrupt)
	if code := up.wait(); code != 0 {
		t.Errorf("stopping it: exit code %d\n%s", code, up.log.String())
	}
}

// TestMetricsAndHealth asks a running process how it is.
func TestMetricsAndHealth(t *testing.T) {
	t.Parallel()
	s := newSystem(t, tree(t, corpus.Spec{Kind: corpus.Small, Files: 5, FileSize: 100}), "")
	path := s.config("leader", "")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `listen: "",`, `listen: "`+address+`",`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	up := s.start("leader", "up", "--config", path)
	get := func(path string) string {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return ""
		}
		return string(body)
	}
	s.until("health", func() bool {
		up.alive()
		return get("/health") == "ok\n"
	})
	s.must("backup", source, "--config", path)
	want := `mahavishnu_backups_total{outcome="succeeded",source="home",type="incremental"} 1`
	s.until(want, func() bool { return strings.Contains(get("/metrics"), want) })
}

// TestDemo runs what a newcomer runs first, on a small tree.
func TestDemo(t *testing.T) {
	t.Parallel()
	source := tree(t, corpus.Spec{Kind: corpus.Small, Files: 300, FileSize: 4000})
	s := newSystem(t, source, "")
	dir := filepath.Join(t.TempDir(), "demo")
	out := s.must("demo", "--source", source, "--dir", dir)
	for _, part := range []string{"worker killed", "job typed by hand", "byte flipped", "equal", "measured in this run"} {
		if !strings.Contains(out, part) {
			t.Errorf("the demo does not tell of %q:\n%s", part, out)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the demo left %s behind: %v", dir, err)
	}
}
