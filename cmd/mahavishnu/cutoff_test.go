package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/natsserver"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/repository/keyring"
)

// Where a region goes on by itself, the status is that of its own queue, says so, and ends
// with an exit code of its own; afterwards all is as ever.
func TestTheStatusOfARegionThatIsCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := natstest.FreePorts(t, 2)
	serve := func() *natsserver.Server {
		t.Helper()
		s, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(dir, "common"), Name: "common", Host: "127.0.0.1", Port: port[0]})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	common := serve()
	t.Cleanup(func() { _ = common.Shutdown() }) // what a test wants of it is looked at below
	file := filepath.Join(dir, "mahavishnu.yaml")
	at := func(port int) string { return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	text := fmt.Sprintf(`
backup: {directory: repository, encryption: {key_path: key}}
regions: [eu, us, ap]
sources: {home: {path: home, region: eu}}
node: {name: eu-1, region: eu, data_dir: data, listen: "127.0.0.1:0"}
nats: {url: "%s,%s", replicas: 1, island: {after: 1s}}
`, at(port[1]), at(port[0])) // the first of the two is never there
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Create(filepath.Join(dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		var out, errs strings.Builder
		code := execute(t.Context(), append(args, "--config", file), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(app.Options{Config: cfg, Roles: app.Roles{Scheduler: true, Worker: true}})
	if err == nil {
		err = a.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if code, text := run("status"); code != 0 || strings.Contains(text, "cut off") || !strings.Contains(text, "eu-1") {
		t.Errorf("before: %d, %s", code, text)
	}

	began := time.Now()
	if err := common.Shutdown(); err != nil {
		t.Fatal(err)
	}
	var seen statusReport
	comes(t, "the region goes on by itself", func() bool {
		code, text := run("status", "--json")
		if code != exitCutOff {
			return false
		}
		if err := json.Unmarshal([]byte(text), &seen); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return seen.Queue != nil && len(seen.Queue.Nodes) > 0
	})
	if c := seen.CutOff; c == nil || c.Region != "eu" || !strings.HasPrefix(c.Queue, "nats://127.0.0.1:") || c.Since.Before(began.Add(-time.Minute)) || c.Since.After(time.Now()) {
		t.Errorf("%+v", c)
	}
	if n := seen.Queue.Nodes[0]; n.Node != "eu-1" || !n.Island {
		t.Errorf("%+v", n)
	}
	for args, says := range map[string][]string{
		"status --check":  {"region eu is cut off since ", "the region's own queue: ", "(its region is cut off)"},
		"failover status": {"region eu is cut off since "},
	} {
		code, text := run(strings.Fields(args)...)
		for _, want := range says {
			if code != exitCutOff || !strings.Contains(text, want) {
				t.Errorf("%s: %d, want %q in\n%s", args, code, want, text)
			}
		}
	}
	if code, text := run("jobs", "list"); code != exitFailed || !strings.Contains(text, "mahavishnu status") {
		t.Errorf("jobs list: %d, %s", code, text)
	}

	common = serve()
	comes(t, "all is as before", func() bool { code, _ := run("status"); return code == 0 })
}

func TestSinceWhenARegionIsAlone(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	beat := func(region string, island bool, since int) messages.Heartbeat {
		return messages.Heartbeat{Region: region, Island: island, IslandSince: at(since)}
	}
	for _, c := range []struct {
		nodes []messages.Heartbeat
		since time.Time
		alone bool
	}{
		{nil, time.Time{}, false},
		{[]messages.Heartbeat{beat("eu", false, 0), beat("us", true, 1)}, time.Time{}, false},
		{[]messages.Heartbeat{beat("eu", true, 7), beat("eu", true, 5), beat("us", true, 1), beat("eu", false, 0)}, at(5), true},
	} {
		if since, alone := aloneSince(c.nodes, "eu"); !since.Equal(c.since) || alone != c.alone {
			t.Errorf("%+v: %v, %v", c.nodes, since, alone)
		}
	}
}

// comes waits until something is so.
func comes(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("it never came to be: %s", what)
		}
	}
}

// Where nothing comes back from a queue that regions share, the region is cut off as far as
// anybody here can know. A server that refuses, and a queue of one region, are just down.
func TestAQueueOutOfReach(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) //nolint:errcheck // nobody was served
	mute, closed := "nats://"+silent.Addr().String(), fmt.Sprintf("nats://127.0.0.1:%d", natstest.FreePorts(t, 1)[0])
	for name, c := range map[string]struct {
		regions, url, command string
		code                  int
		says                  string
	}{
		"failover status":  {"[eu, us, ap]", mute + "," + closed, "failover status", exitCutOff, "region eu is cut off from the majority of the queue's servers, or there is none"},
		"status":           {"[eu, us, ap]", mute + "," + closed, "status", exitCutOff, "region eu is cut off from the majority of the queue's servers, or there is none"},
		"a copy elsewhere": {"[eu, us, ap]", mute + "," + closed, "status", exitCutOff, "it could not be looked through within 4s"},
		"they are stopped": {"[eu, us, ap]", closed, "failover status", exitFailed, "no servers available"},
		"one region":       {"[eu]", mute + "," + closed, "failover status", exitFailed, "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "mahavishnu.yaml")
			text := fmt.Sprintf("regions: %s\nnode: {name: eu-1, region: eu, data_dir: %q}\nnats: {url: %q}\n", c.regions, dir, c.url)
			if c.command == "status" {
				text += fmt.Sprintf(`
backup:
  storage: {local: {path: %[1]q}}
  replication:
    enabled: true
    regions: [{primary: eu, secondary: us}]
    storages:
      eu: {local: {enabled: true, path: %[1]q}}
      us: {s3: {enabled: true, bucket: there, region: us-east-1, endpoint: "http://%[2]s", access_key: a, secret_key: b}}
`, filepath.Join(dir, "eu"), silent.Addr())
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs strings.Builder
			code := execute(t.Context(), append(strings.Fields(c.command), "--config", file), strings.NewReader(""), &out, &errs)
			if told := out.String() + errs.String(); code != c.code || !strings.Contains(told, c.says) {
				t.Errorf("%d, want %d and %q:\n%s", code, c.code, c.says, told)
			}
		})
	}
}
