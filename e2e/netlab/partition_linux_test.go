package netlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/app"
	"mahavishnu/lab/netlab"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// longEnv makes the cut long enough for a schedule to come due in it, and runs the other
// kinds of cut, too: `make soak`.
const longEnv = "NETLAB_LONG"

// timing is the lease of services, as the configuration leaves it.
var timing = messages.LeaseTiming{
	RenewEvery: 400 * time.Millisecond, RenewDeadline: 1800 * time.Millisecond, StopTime: 800 * time.Millisecond,
	Margin: 200 * time.Millisecond, Lease: 3 * time.Second, Promotion: 3200 * time.Millisecond,
}

// TestRegionCutOffAlive cuts off the region that has the primary while all in it lives.
// Its primary stops before another one starts; its backups go on into its own storage by
// its own queue; and when the line is back, journals, catalog and replicas become equal
// everywhere by themselves.
func TestRegionCutOffAlive(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := timing.Check(); err != nil {
		t.Fatal(err)
	}
	w.must(near, nil, "backup", sourceName)
	w.until("the first backup is copied", func() bool { return w.lag() == replication.Lag{} })
	w.leadElsewhere(ctx)
	lease, writers := w.watchLease(ctx, timing.RenewDeadline), startWriters(t, w.lab, near, far)
	w.until("writes are taken", func() bool { return len(writers.writes(time.Time{})) > 0 })

	t.Logf("%s leads; %s is cut off", w.leader(), near)
	cut := time.Now()
	w.lab.Isolate(near, netlab.Link{Cut: true})
	var first write
	w.until("the other member takes writes", func() (is bool) { first, is = writers.first(far, cut); return is })
	w.printLease(cut, lease.last(near).sent, writers.refusedSince(near), first.sent)
	writers.judge(time.Time{})

	did := w.goOnAlone()
	if n := w.lab.Count(near, third); n.Lost == 0 {
		t.Error("the cut lost nothing: it did not bite")
	}
	if w.lag().Snapshots == 0 {
		t.Error("the copy has what was backed up during the cut")
	}
	t.Logf("cut off for %v", time.Since(cut).Round(time.Millisecond))

	w.lab.Heal()
	healed := time.Now()
	since := func() time.Duration { return time.Since(healed).Round(10 * time.Millisecond) }
	w.until("its records are in the common queue", func() bool { return w.recorded(ctx, did.backup, messages.StateSucceeded) })
	t.Logf("%v after the link was back, what the region did was in the common queue", since())
	w.until("its waiting jobs are, too", func() bool { return w.recorded(ctx, did.waiting, messages.StateQueued) })
	w.until("the replica has everything", func() bool { return w.lag() == replication.Lag{} })
	t.Logf("%v after it, the replica lagged behind by nothing", since())
	w.until("one member is the primary and the other follows", func() bool { return w.primary() != "" && w.follows() })
	t.Logf("%v after it, the primary was in %s and the other member followed; the longest time without a write was %v",
		since(), w.primary(), writers.longestGap(healed).Round(time.Millisecond))
	w.equal(ctx, did)
	t.Logf("%v after it, journals, catalog and replicas were the same everywhere", since())
	writers.judge(time.Time{})
	if os.Getenv(longEnv) != "" {
		w.otherCuts(writers)
	}
}

// leadElsewhere moves the streams' leaders out of the region that will be cut off, as
// the leading coordinator does every 15 seconds.
func (w *whole) leadElsewhere(ctx context.Context) {
	w.t.Helper()
	conn := w.conn(third, time.Minute)
	pinned, err := bus.Repin(ctx, conn, bus.RepinOptions{Away: near, Regions: []string{near, far, third}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pinned {
		if p.Region == near {
			w.t.Errorf("%s is led from %s", p.Stream, p.Region)
		}
	}
}

// printLease prints the inequality that keeps two primaries apart, and what was
// measured of it. A machine that is too busy to stop the old primary in time leaves less of the
// margin; what must hold is that it refused before anybody else took a write.
func (w *whole) printLease(cut, renewed, refused, first time.Time) {
	w.t.Helper()
	at := func(m time.Time) time.Duration { return m.Sub(renewed).Round(time.Millisecond) }
	w.t.Logf("renew deadline %v + stop time %v + margin %v = %v < lease %v < earliest promotion %v",
		timing.RenewDeadline, timing.StopTime, timing.Margin, timing.RenewDeadline+timing.StopTime+timing.Margin, timing.Lease, timing.Promotion)
	w.t.Logf("after the last renewal that was acknowledged was sent: the cut %v, the old primary refused writes from %v on, the new one took its first after %v",
		at(cut), at(refused), at(first))
	switch {
	case renewed.IsZero() || refused.IsZero():
		w.t.Errorf("the old primary renewed last at %v, and refused since %v", renewed, refused)
	case !refused.Before(first):
		w.t.Errorf("the old primary took writes until %v after its last renewal, the new one its first after %v", at(refused), at(first))
	case at(first) < timing.Lease:
		w.t.Errorf("the new primary took a write %v after the old one's last renewal", at(first))
	}
}

// alone is what the region did while it was cut off.
type alone struct{ backup, waiting string }

// goOnAlone waits until the region goes on by itself, and has it back up, by hand, into
// its own storage; a job that is not due yet waits in its queue.
func (w *whole) goOnAlone() alone {
	w.t.Helper()
	address := filepath.Join(w.dir, near, "data", "nats.url")
	w.until("the region has a queue of its own", func() bool { _, err := os.Stat(address); return err == nil })
	text, err := os.ReadFile(address)
	if err != nil {
		w.t.Fatal(err)
	}
	queue := []string{"MAHAVISHNU_NATS_URL=" + strings.TrimSpace(string(text))}
	before := w.snapshots(near)
	w.write("written-while-cut-off", "dear reader, if you can")
	w.must(near, queue, "backup", sourceName)
	made := slices.DeleteFunc(w.snapshots(near), func(s repository.Snapshot) bool {
		return slices.ContainsFunc(before, func(b repository.Snapshot) bool { return b.ID == s.ID })
	})
	if len(made) == 0 {
		w.t.Fatal("no snapshot was made during the cut")
	}
	if os.Getenv(longEnv) != "" {
		w.until("a schedule comes due during the cut", func() bool {
			return slices.ContainsFunc(w.snapshots(near), func(s repository.Snapshot) bool {
				return strings.HasPrefix(s.Job, "minutely/") && !slices.ContainsFunc(before, func(b repository.Snapshot) bool { return b.ID == s.ID })
			})
		})
	}
	if !strings.Contains(w.logs[near].String(), "in the minority") {
		w.t.Error("the coordinator that is cut off does not say so")
	}
	w.seesItself()
	waiting := job("waits-for-its-time", near)
	waiting.NotBefore = time.Now().Add(time.Hour)
	if _, err := w.reach(strings.TrimSpace(string(text))).Submit(w.t.Context(), waiting); err != nil {
		w.t.Fatal(err)
	}
	return alone{backup: made[0].Job, waiting: waiting.ID}
}

// cutOffCode is the exit code of a status of a region that is cut off.
const cutOffCode = 7

// seesItself has commands in the region that is cut off tell what they can: its own queue
// and its node, and its coordinator, which reaches no majority. The first takes long: it also
// waits for the copy in another region.
func (w *whole) seesItself() {
	w.t.Helper()
	commands := map[string][]string{"failover status": {"region eu is cut off since ", "nobody leads", "coordinator us-1 does not answer", "NO, "}}
	if os.Getenv(longEnv) != "" {
		commands["status"] = []string{"region eu is cut off since ", "the region's own queue: ", "eu-1 (its region is cut off)"}
	}
	began := time.Now()
	for command, says := range commands {
		text := w.ends(cutOffCode, near, nil, strings.Fields(command)...)
		for _, want := range says {
			if !strings.Contains(text, want) {
				w.t.Errorf("%s in the region that is cut off does not say %q:\n%s", command, want, text)
			}
		}
	}
	w.t.Logf("%v to tell what can be told in the region", time.Since(began).Round(time.Millisecond))
}

// reach connects to the queue that the region has for itself.
func (w *whole) reach(url string) *bus.Bus {
	w.t.Helper()
	address, err := w.lab.Forward(near, strings.TrimPrefix(url, "nats://"))
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := bus.Connect(w.t.Context(), bus.Options{URL: "nats://" + address, Name: "somebody in " + near})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() }) //nolint:errcheck // its server is gone by then
	return w.bind(c)
}

// recorded reports whether the common queue has a job in that state.
func (w *whole) recorded(ctx context.Context, id string, state messages.State) bool {
	w.t.Helper()
	e, err := w.setup.Records().Get(ctx, id)
	return err == nil && e.State == state
}

// open opens a region's storage, not by way of the region.
func (w *whole) open(prefix string) storage.Backend {
	w.t.Helper()
	be, err := storage.OpenWith(w.t.Context(), w.server.URL(prefix), storage.OpenOptions{
		Credentials: storage.Credentials{S3: storage.S3Credentials{AccessKey: w.server.AccessKey, SecretKey: w.server.SecretKey}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { be.Close() }) //nolint:errcheck // it was only read
	return be
}

// copied is where the replica lies.
const copied = far + "/replicas/" + near

func (w *whole) lag() replication.Lag {
	w.t.Helper()
	lag, err := replication.Measure(w.t.Context(), w.open(near), w.open(copied))
	if err != nil {
		return replication.Lag{Objects: -1}
	}
	return replication.Lag{Objects: lag.Objects, Bytes: lag.Bytes, Snapshots: lag.Snapshots}
}

func (w *whole) snapshots(prefix string) []repository.Snapshot {
	w.t.Helper()
	ring, err := keyring.Load(filepath.Join(w.dir, "key"))
	if err != nil {
		w.t.Fatal(err)
	}
	repo, err := repository.Open(w.t.Context(), w.open(prefix), ring, repository.OpenOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer repo.Close() //nolint:errcheck // it was only read
	all, damaged, err := repo.Snapshots(w.t.Context(), "")
	if err = errors.Join(append(damaged, err)...); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// equal wants the same journals on every server, all snapshots in the catalog and on
// both sides, and the same objects in both storages.
func (w *whole) equal(ctx context.Context, did alone) {
	w.t.Helper()
	var first map[string]string
	conn := w.conn(third, time.Minute)
	w.until("every server has the same journals", func() bool {
		first = nil
		for _, region := range w.lab.Regions() { // each in turn leads: what it has is what is read
			w.catchUp(ctx, conn, region)
			have := w.journals(ctx, w.setup)
			maps.Copy(have, w.events(ctx))
			if first == nil {
				first = have
			}
			if !maps.Equal(have, first) {
				return false // or something happened in between
			}
		}
		return true
	})
	w.t.Logf("%d records, messages and events", len(first))
	if _, ok := first["event "+did.backup+" "+string(messages.OutcomeSucceeded)]; !ok {
		w.t.Errorf("no event tells that %s succeeded", did.backup)
	}
	catalog, err := app.OpenCatalog(ctx, w.setup)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, where := range []string{near, copied} {
		all := w.snapshots(where)
		if len(all) != catalog.Len() {
			w.t.Errorf("%s has %d snapshots, the catalog %d", where, len(all), catalog.Len())
		}
	}
	objects := 0
	from, to := w.open(near), w.open(copied)
	err = from.List(ctx, "", func(info storage.Info) error {
		for _, own := range []string{"gc/", "ledger/", "copies/ledger/", "copies/gc/", "leases/", replication.Prefix} {
			if strings.HasPrefix(info.Name, own) {
				return nil // each place's own
			}
		}
		objects++
		a, err := storage.ReadAll(ctx, from, info.Name, 64<<20, nil)
		if err != nil {
			return err
		}
		b, err := storage.ReadAll(ctx, to, info.Name, 64<<20, nil)
		if err == nil && string(a) != string(b) {
			err = fmt.Errorf("%s differs", info.Name)
		}
		return err
	})
	if err != nil || objects == 0 {
		w.t.Errorf("%d objects compared: %v", objects, err)
	}
	w.t.Logf("%d objects are the same in both storages, %d snapshots in the catalog", objects, catalog.Len())
}

// events are the journal of events, by job and outcome.
func (w *whole) events(ctx context.Context) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	err := w.setup.ReadEvents(ctx, bus.EventFilter{}, func(m bus.EventMessage) error {
		text, err := json.Marshal(m.Event)
		all[fmt.Sprint("event number ", m.Sequence)] = string(text)
		all["event "+m.Job+" "+string(m.Outcome)] = "told"
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// otherCuts cuts one way only, and on and off: whatever fails over, no two members take
// writes at once.
func (w *whole) otherCuts(writers *writers) {
	for _, c := range []struct {
		name string
		hurt func(primary string)
		long time.Duration
	}{
		{"what the primary's region says is lost", func(primary string) {
			for _, other := range w.lab.Regions() {
				if other != primary {
					w.lab.Set(primary, other, netlab.Link{Cut: true})
				}
			}
		}, 15 * time.Second},
		{"what is said to the primary's region is lost", func(primary string) {
			for _, other := range w.lab.Regions() {
				if other != primary {
					w.lab.Set(other, primary, netlab.Link{Cut: true})
				}
			}
		}, 15 * time.Second},
	} {
		primary := w.primary()
		began := time.Now()
		c.hurt(primary)
		time.Sleep(c.long)
		w.lab.Heal()
		w.until("one member is the primary again", func() bool { return w.primary() != "" })
		w.t.Logf("%s, for %v: the primary was in %s and is in %s, after %d turns", c.name, c.long, primary, w.primary(), writers.judge(began))
		w.until("the other follows", w.follows)
	}
	primary := w.primary()
	began := time.Now()
	ctx, stop := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.lab.Flap(ctx, primary, third, netlab.Link{Cut: true}, 700*time.Millisecond)
	}()
	for on := true; ctx.Err() == nil; on = !on {
		for _, r := range []string{near, far} {
			if r != primary {
				w.lab.Both(primary, r, netlab.Link{Cut: on})
			}
		}
		time.Sleep(900 * time.Millisecond)
	}
	<-done
	w.lab.Heal()
	w.until("one member is the primary again", func() bool { return w.primary() != "" })
	w.t.Logf("links on and off for 20 s: the primary was in %s and is in %s, after %d turns", primary, w.primary(), writers.judge(began))
}

// primary is the region whose member takes writes; "" is none, or more than one keeper
// says so.
func (w *whole) primary() (found string) {
	for _, r := range []string{near, far} {
		if m := w.member(r); m.Writable && m.Holds {
			if found != "" {
				return ""
			}
			found = r
		}
	}
	return found
}

func (w *whole) follows() bool {
	for _, r := range []string{near, far} {
		if m := w.member(r); m.Healthy && m.Role == "standby" {
			return true
		}
	}
	return false
}
