package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// madeIn tells how a queue is; ok is false when it has no streams.
func madeIn(t *testing.T, url string) (info bus.QueueInfo, ok bool) {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it was only read
	b, err := bus.Bind(t.Context(), c)
	if errors.Is(err, bus.ErrNotProvisioned) {
		return info, false
	}
	if err == nil {
		info, err = b.Info(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return info, true
}

// The queue that a region has for itself is made for that region alone, on one server
// whatever the common queue has, and the common queue is left alone.
func TestProvisionOfARegionsOwnQueue(t *testing.T) {
	dir := t.TempDir()
	common, own := natstest.Start(t).ClientURL(), natstest.Start(t).ClientURL()
	file := filepath.Join(dir, "mahavishnu.yaml")
	configure := func(island, ackWait string) {
		t.Helper()
		text := fmt.Sprintf(`
regions: [eu, us, ap]
node: {name: eu-1, region: eu, data_dir: %q}
nats: {url: %q, replicas: 3%s}
jobs: {ack_wait: %s}
`, dir, common, island, ackWait)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string) {
		var out, errs strings.Builder
		code := execute(t.Context(), append([]string{"provision", "--config", file}, args...), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}

	configure("", "30s")
	if code, text := run("--island"); code != exitUsage || !strings.Contains(text, "nats.island.url is not set") {
		t.Errorf("without one: %d, %s", code, text)
	}
	configure(fmt.Sprintf(", island: {after: 30s, url: %q}", own), "30s")
	for range 2 { // what is there is left alone
		code, text := run("--island", "--json")
		var made struct {
			Regions []string `json:"regions"`
		}
		if err := json.Unmarshal([]byte(text), &made); code != 0 || err != nil || !slices.Equal(made.Regions, []string{"eu"}) {
			t.Fatalf("%d, %v, %s", code, err, text)
		}
	}
	info, ok := madeIn(t, own)
	regions := map[string]bool{}
	for _, c := range info.Consumers {
		regions[c.Region] = true
	}
	if !ok || info.Replicas != 1 || !regions["eu"] || regions["us"] || regions["ap"] {
		t.Errorf("there %v, %d replicas, consumers %+v", ok, info.Replicas, info.Consumers)
	}
	if _, ok := madeIn(t, common); ok {
		t.Error("the common queue was changed")
	}

	configure(fmt.Sprintf(", island: {after: 30s, url: %q}", own), "40s")
	if code, text := run("--island"); code == 0 || !strings.Contains(text, "update-streams") {
		t.Errorf("what differs: %d, %s", code, text)
	}
	if code, text := run("--island", "--update-streams"); code != 0 || !strings.Contains(text, "[eu]") {
		t.Errorf("with --update-streams: %d, %s", code, text)
	}
	if code, text := run("--island"); code != 0 {
		t.Errorf("afterwards: %d, %s", code, text)
	}
}
