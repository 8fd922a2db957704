package netlab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/lab/netlab"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// stretched is a cluster of three real servers, one in each region.
type stretched struct {
	t       *testing.T
	lab     *netlab.Lab
	servers map[string]*natstest.Configured
	clients map[string]string // region: the address of its server, for a client in it
}

// serverConf is a server of the stretched cluster, with the settings of
// deploy/nats/three-regions.conf that decide how it behaves when a link is cut.
const serverConf = `
server_name: %[1]s-1
server_tags: [ "region:%[1]s" ]
listen: "0.0.0.0:4222"
max_payload: 8MB
ping_interval: "5s"
ping_max: 2
jetstream { store_dir: "%[3]s", max_file_store: 8GB, sync_interval: always, unique_tag: "region:" }
cluster {
  name: control
  listen: "%[2]s:6222"
  no_advertise: true
  ping_interval: "5s"
  routes: [ %[4]s ]
}
`

func startStretched(t *testing.T, regions ...string) *stretched {
	t.Helper()
	s := &stretched{t: t, lab: newLab(t, regions...), servers: map[string]*natstest.Configured{}, clients: map[string]string{}}
	var routes []string
	for _, r := range regions {
		routes = append(routes, fmt.Sprintf(`"nats-route://%s:6222"`, s.lab.Addr(r)))
	}
	dir := t.TempDir()
	var all []*natstest.Configured
	for _, r := range regions {
		file := filepath.Join(dir, r+".conf")
		text := fmt.Sprintf(serverConf, r, s.lab.Addr(r), filepath.Join(dir, r), strings.Join(routes, ", "))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.servers[r] = &natstest.Configured{Name: r + "-1", File: file, Run: s.lab.Runner(r)}
		all = append(all, s.servers[r])
		near, err := s.lab.Forward(r, s.lab.Addr(r).String()+":4222")
		if err != nil {
			t.Fatal(err)
		}
		s.clients[r] = "nats://" + near
	}
	natstest.StartConfigured(t, all...)
	return s
}

// conn is a connection of a client in a region to its region's server, that waits so
// long for an answer.
func (s *stretched) conn(region string, patience time.Duration) *bus.Conn {
	s.t.Helper()
	c, err := bus.Connect(s.t.Context(), bus.Options{URL: s.clients[region], Name: "client in " + region, Patience: patience})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *stretched) bind(c *bus.Conn) *bus.Bus {
	s.t.Helper()
	b, err := bus.Bind(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// journals are the streams that must be equal everywhere in the end.
var journals = []string{
	messages.StreamJobs, messages.StreamEvents, messages.StreamDead, messages.StreamAudit,
	"KV_" + messages.BucketJobs, "KV_" + messages.BucketLeases, "KV_" + messages.BucketNodes, "KV_" + messages.BucketCatalog,
}

func job(id, region string) messages.Job {
	return messages.Job{Envelope: messages.Envelope{ID: id}, Kind: messages.KindBackup, Region: region, Spec: &messages.BackupSpec{Source: "home"}}
}

// TestLeadingRegionCutOffAlive cuts off the region that leads every stream, while its
// server and a client in it live on. That side acknowledges nothing from then on, the
// others elect leaders and go on, and when the link is back, both have the same.
func TestLeadingRegionCutOffAlive(t *testing.T) {
	t.Parallel()
	const minority = "us-east-1"
	s := startStretched(t, minority, "us-west-2", "eu-west-1")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	setup := s.conn("eu-west-1", time.Minute)
	if err := bus.Provision(ctx, setup, bus.ProvisionOptions{Regions: []string{minority}, Replicas: 3, EventReaders: []string{"reader"}}); err != nil {
		t.Fatal(err)
	}
	s.catchUp(ctx, setup, minority)
	here, there := s.bind(s.conn(minority, 2*time.Second)), s.bind(s.conn("eu-west-1", time.Minute))
	acknowledged := map[string]bool{}
	submit := func(b *bus.Bus, id string) error {
		_, err := b.Submit(ctx, job(id, minority))
		if err == nil {
			acknowledged[id] = true
		}
		return err
	}
	for i := range 20 {
		if err := submit(here, fmt.Sprintf("before-%d", i)); err != nil {
			t.Fatal(err)
		}
	}

	s.lab.Isolate(minority, netlab.Link{Cut: true})
	cut := time.Now()
	quiet := make(chan string, 1)
	go func() { // a client in the cut-off region goes on trying
		for i := range 8 {
			if _, err := here.Submit(ctx, job(fmt.Sprintf("minority-%d", i), minority)); err == nil {
				quiet <- fmt.Sprintf("minority-%d was acknowledged %v after the cut", i, time.Since(cut))
				return
			}
		}
		quiet <- ""
	}()
	if err := submit(there, "majority-first"); err != nil {
		t.Fatal(err)
	}
	t.Logf("the majority acknowledged its first job %v after the cut", time.Since(cut).Round(time.Millisecond))
	for i := range 20 {
		if err := submit(there, fmt.Sprintf("majority-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if said := <-quiet; said != "" {
		t.Error(said)
	}
	if c := s.lab.Count(minority, "eu-west-1"); c.Lost == 0 {
		t.Error("the cut lost nothing: it did not bite")
	}
	t.Logf("the cut-off region acknowledged nothing for %v", time.Since(cut).Round(time.Millisecond))

	s.lab.Heal()
	healed := time.Now()
	patient := s.bind(s.conn(minority, time.Minute))
	for {
		if _, err := patient.Submit(ctx, job("after", minority)); err == nil {
			acknowledged["after"] = true
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the region that was cut off acknowledged a job again %v after the link was back", time.Since(healed).Round(time.Millisecond))

	// Each server in turn leads all: what it has then is what clients get.
	var first map[string]string
	for _, region := range s.lab.Regions() {
		s.catchUp(ctx, setup, region)
		if region == minority {
			t.Logf("it had caught up with every journal and led them %v after the link was back", time.Since(healed).Round(time.Millisecond))
		}
		have := s.journals(ctx, there)
		for id := range acknowledged {
			if _, ok := have["record "+id]; !ok {
				t.Errorf("%s lost the record of %s", region, id)
			}
		}
		if first == nil {
			first = have
			t.Logf("%d records and messages", len(have))
		}
		for what, is := range have {
			if first[what] != is {
				t.Errorf("%s: %s differs from the first server's", region, what)
			}
		}
		if len(have) != len(first) {
			t.Errorf("%s has %d records and messages, the first server has %d", region, len(have), len(first))
		}
	}
}

// catchUp waits until a region's server is up to date and leads everything.
func (s *stretched) catchUp(ctx context.Context, c *bus.Conn, region string) {
	s.t.Helper()
	elsewhere := func(server string) string {
		if strings.HasPrefix(server, region+"-") {
			return region
		}
		return "elsewhere"
	}
	for {
		_, err := bus.Repin(ctx, c, bus.RepinOptions{Away: "elsewhere", RegionOf: elsewhere, Streams: journals})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			s.t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// journals are all records and messages, by what they are.
func (s *stretched) journals(ctx context.Context, b *bus.Bus) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	entries, err := b.Records().List(ctx, bus.Filter{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		all["record "+e.Job.ID] = fmt.Sprint(e.Revision, e.State, e.Attempt)
	}
	if err := b.Queued(ctx, func(m bus.QueuedMessage) error {
		all[fmt.Sprint("message ", m.Sequence)] = fmt.Sprint(m.Subject, m.Job, m.Stored.UnixNano())
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return all
}
