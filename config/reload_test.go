package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
)

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mahavishnu.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sources: {home: {path: /home}, old: {path: /old}}")
	first, err := Load(path, none)
	if err != nil {
		t.Fatal(err)
	}

	write(`
backup: {schedules: {weekly_full: {jitter: 5m}, often: {cron: "@hourly"}}, directory: ./elsewhere}
node: {grace: 1m, slots: 9}
nats: {lease: {duration: 1m}}
sources: {home: {path: /home, tags: [a]}, new: {path: /new}}`)
	second, changed, restart, err := Reload(first, path, none)
	if err != nil {
		t.Fatal(err)
	}
	wantChanged := []string{
		"backup.directory", "backup.schedules.often", "backup.schedules.weekly_full.jitter", "backup.storage.local.path",
		"nats.lease.duration", "node.grace", "node.slots", "sources.home.tags", "sources.new", "sources.old",
	}
	if diff := cmp.Diff(wantChanged, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	wantRestart := []string{"backup.directory", "backup.storage.local.path", "nats.lease.duration", "node.slots"}
	if diff := cmp.Diff(wantRestart, restart); diff != "" {
		t.Errorf("restart (-want +got):\n%s", diff)
	}

	_, changed, restart, err = Reload(second, path, none)
	if err != nil || len(changed)+len(restart) > 0 {
		t.Errorf("reloading the same file changed %v, %v, %v", changed, restart, err)
	}

	write("nodes: {}")
	kept, changed, restart, err := Reload(second, path, none)
	var errs Errors
	if kept != second || len(changed)+len(restart) > 0 || !errors.As(err, &errs) {
		t.Fatalf("a bad reload returned %p (old %p), %v, %v, %v", kept, second, changed, restart, err)
	}
	if !strings.Contains(err.Error(), "stays in force") || len(fault.Hints(err)) != 1 {
		t.Errorf("a bad reload says %v, hints %v", err, fault.Hints(err))
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if kept, _, _, err := Reload(second, path, none); kept != second || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reload of nothing returned %v", err)
	}
}

func TestLoadErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), none)
	if !errors.Is(err, os.ErrNotExist) || len(fault.Hints(err)) == 0 {
		t.Errorf("a missing file: %v, hints %v", err, fault.Hints(err))
	}
	if _, err = Load(dir, none); err == nil {
		t.Error("a directory was loaded")
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(big, none); err == nil || !strings.Contains(err.Error(), "is this the right file?") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestSetting(t *testing.T) {
	c, _ := loadText(t, "{node: {region: a}, regions: [a, b]}",
		Set("node.region", "b"), Set("node.slots", "7"), Set("node.grace", "3m"), Set("backup.enabled", "false"))
	if c.Node.Region != "b" || c.Node.Slots != 7 || c.Node.Grace.String() != "3m" || c.Backup.Enabled {
		t.Errorf("node %+v, enabled %v", c.Node, c.Backup.Enabled)
	}
	for key, value := range map[string]string{
		"node.slots": "many", "node.grace": "3", "backup.enabled": "perhaps", "regions": "a", "node.nothing": "x",
		"sources": "x", "node": "x", "": "x", "disaster_recovery.automated_tests.day": "sunnday",
	} {
		_, err := Parse("c.yaml", []byte("{}"), none, Set(key, value))
		if err == nil || !strings.Contains(err.Error(), "the command line: ") {
			t.Errorf("--%s %s: %v, want a refusal that names the command line", key, value, err)
		}
	}
}
