package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route/named"
	"mahavishnu/fault"
	"mahavishnu/lab/disk"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
	"mahavishnu/postgres/sandbox"
)

const (
	service = "orders"

	queuePort, clusterPort = "4222", 6222
	frontPort, dnsPort     = "6432", "5353"
	zone                   = "ha.test"
	host                   = service + "." + zone

	keyName   = "loadtest"
	keySecret = "bWVhc3VyZW1lbnRzLW9mLXRoaXMtbWFjaGluZS1vbmx5" // of a name server that lives for minutes on this machine

	// patience is how long anything may take that is not measured: longer than it needs.
	patience = 2 * time.Minute
	// glance is how often it is looked whether it is done.
	glance = 20 * time.Millisecond
)

// system is everything that is measured, running.
type system struct {
	o        Options
	clock    clock.Clock
	dir      string
	network  network
	binDir   string
	owner    string // whom databases run as; "" is this user
	machines []*machine
	names    *named.Server
	conn     *bus.Conn
	bus      *bus.Bus
	sweep    *sweeper
}

// regions are where the machines are. The last one is never hurt.
var regions = []string{"eu", "us", "ap"}

// start makes a system in a directory and returns when it does what it is for. What was
// begun is ended by close, after an error, too.
func (s *system) start(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"directories and disks", s.prepare},
		{"NATS servers", s.startQueues},
		{"a name server", s.startNames},
		{"a database", s.initialize},
		{"coordinators", s.startPrograms},
		{"a primary and its standby", s.pair},
	} {
		s.say("start %s", step.what)
		if err := step.do(ctx); err != nil {
			return fault.New("start", step.what, err, "")
		}
	}
	return nil
}

func (s *system) say(format string, args ...any) {
	if s.o.Progress != nil {
		s.o.Progress(fmt.Sprintf(format, args...))
	}
}

// prepare makes directories and disks.
func (s *system) prepare(context.Context) error {
	var err error
	if s.binDir, err = sandbox.BinDir(); err != nil {
		return err
	}
	owner, switches, err := sandbox.FindOwner()
	if err != nil {
		return err
	}
	if switches {
		s.owner = owner.Name
	}
	if s.sweep, err = startSweeper(s.dir); err != nil {
		return err
	}
	for i, region := range regions {
		m := &machine{region: region, node: region + "-1", addr: s.network.Addr(region), local: s.network.Local(region), dir: filepath.Join(s.dir, region)}
		s.machines = append(s.machines, m)
		if i < len(regions)-1 {
			m.member = string(rune('a' + i))
		}
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if m.member != "" && s.o.stalls() {
			if m.disk, err = disk.Mount(filepath.Join(m.dir, "disk.img"), m.top()); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(m.stateDir(), 0o700); err != nil {
			return err
		}
		if err := sandbox.Give(m.top()); err != nil {
			return err
		}
	}
	return nil
}

// queueFile is the configuration of a machine's NATS server.
func (s *system) queueFile(m *machine) string { return filepath.Join(m.dir, "queue.json") }

// startQueues starts the NATS servers, and has a connection to that of the machine that
// is never hurt.
func (s *system) startQueues(ctx context.Context) error {
	var routes []string
	for _, m := range s.machines {
		routes = append(routes, net.JoinHostPort(m.addr, fmt.Sprint(clusterPort)))
	}
	for _, m := range s.machines {
		data, err := json.Marshal(queue{
			Name: m.node, StoreDir: filepath.Join(m.dir, "queue"), Host: m.local,
			Cluster: natsserver.Cluster{Name: "control", Host: m.addr, Port: clusterPort, Routes: routes},
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.queueFile(m), data, 0o600); err != nil {
			return err
		}
		if err := s.startQueue(ctx, m); err != nil {
			return err
		}
	}
	w := s.witness()
	at, err := s.network.Reach(ctx, w.region, w.queueAddr())
	if err != nil {
		return err
	}
	if s.conn, err = bus.Connect(ctx, bus.Options{URL: "nats://" + at, Name: "loadtest", Patience: patience}); err != nil {
		return err
	}
	if err := bus.Provision(ctx, s.conn, bus.ProvisionOptions{Regions: regions, Replicas: len(s.machines), EventReaders: []string{"scheduler"}}); err != nil {
		return err
	}
	s.bus, err = bus.Bind(ctx, s.conn)
	return err
}

// startNames starts the name server, on the machine that is never hurt.
func (s *system) startNames(ctx context.Context) error {
	w := s.witness()
	dir := filepath.Join(w.dir, "names")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	address, err := s.network.Names(ctx, w.region)
	if err != nil {
		return err
	}
	s.names, err = named.Start(ctx, named.Options{
		Dir: dir, Address: address, Zone: zone,
		Keys: []named.Key{{
			Name: keyName, Algorithm: "hmac-sha256", Secret: keySecret,
			Grants: []string{"name " + host + " A AAAA", "name _epoch." + host + " TXT"},
		}},
		Run: s.on(w), Dial: s.from(w), Clock: s.clock,
	})
	return err
}

// initialize makes the data directory of the first primary. Its standby has none yet.
func (s *system) initialize(ctx context.Context) error {
	for _, m := range s.machines {
		if m.member == "" {
			continue
		}
		// A standby is a copy with all settings but this one, which is found beside it.
		listen := fmt.Sprintf("listen_addresses = '%s'\n", m.addr)
		if err := os.WriteFile(filepath.Join(m.top(), "listen.conf"), []byte(listen), 0o644); err != nil {
			return err
		}
	}
	first := s.machines[0].dataDir()
	if err := sandbox.Init(ctx, s.binDir, first); err != nil {
		return err
	}
	return errors.Join(
		sandbox.Append(first, "postgresql.conf", databaseSettings),
		sandbox.Append(first, "pg_hba.conf", "host all all all trust\nhost replication all all trust\n"))
}

// databaseSettings make servers small, and nothing else: every commit is on the disk of
// both before it is acknowledged.
const databaseSettings = `
include '../listen.conf'
unix_socket_directories = ''
shared_buffers = 16MB
max_wal_size = 128MB
wal_keep_size = 64MB
`

func (s *system) startPrograms(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	for _, m := range s.machines {
		if err := s.startProgram(m); err != nil {
			return err
		}
	}
	return s.until(ctx, "a coordinator leads", patience, func() (bool, error) {
		for _, m := range s.machines {
			select {
			case <-m.program.Exited():
				return false, errors.New(m.node + " ended: " + m.program.tail())
			default:
			}
		}
		v, err := s.view(ctx)
		return v.leader != "" && len(v.all) == len(s.machines), err
	})
}

// witness is the machine that is never hurt.
func (s *system) witness() *machine { return s.machines[len(s.machines)-1] }

// until waits until something is so. An error ends the wait.
func (s *system) until(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	deadline := s.clock.Now().Add(limit)
	for {
		done, err := ok()
		if err != nil || done {
			return err
		}
		if s.clock.Now().After(deadline) {
			return fault.New("wait until", what, fmt.Errorf("it did not come within %v", limit), "see the logs in "+s.dir)
		}
		if err := s.clock.Sleep(ctx, glance); err != nil {
			return err
		}
	}
}

// close ends everything and takes it away.
func (s *system) close() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, m := range s.machines {
		errs = append(errs, m.end())
	}
	if s.names != nil {
		s.names.Stop()
	}
	errs = append(errs, s.network.Close())
	if s.sweep != nil {
		s.sweep.dismiss()
	}
	if !s.o.Keep {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
