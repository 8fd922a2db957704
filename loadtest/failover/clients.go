package failover

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mahavishnu/fault"
	"mahavishnu/postgres/sandbox"
)

// What a good client does: it gives up soon, and looks again where the service is.
const (
	connectTimeout = 500 * time.Millisecond
	writeTimeout   = time.Second
	clientPause    = 20 * time.Millisecond
)

// ack is a row that a client was told is stored.
type ack struct {
	row    int64
	member string // that told it
	at     time.Time
}

// clients write numbered rows, each on its way to the primary.
type clients struct {
	s    *system
	stop context.CancelFunc
	all  sync.WaitGroup

	mu   sync.Mutex
	next int64
	// acked are the acknowledged rows of the run under way, by way.
	acked map[Way][]ack
}

// startClients starts a client for each way. They write until stopped.
func (s *system) startClients(ctx context.Context, ways []Way) *clients {
	ctx, cancel := context.WithCancel(ctx)
	c := &clients{s: s, stop: cancel, acked: map[Way][]ack{}}
	for _, way := range ways {
		client := sandbox.Client{
			ConnectTimeout: connectTimeout, WriteTimeout: writeTimeout, Pause: clientPause, Clock: s.clock,
			Dial: map[Way]func(context.Context) (net.Conn, error){ByFront: s.dialFront, ByDNS: s.dialName}[way],
		}
		c.all.Go(func() { client.Write(ctx, c.number, c.took(way), func(error) {}) }) // it tries again
	}
	return c
}

func (c *clients) end() {
	c.stop()
	c.all.Wait()
}

func (c *clients) number() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.next
}

func (c *clients) took(way Way) func(int64, string) {
	return func(row int64, dataDir string) {
		at := c.s.clock.Now()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acked[way] = append(c.acked[way], ack{row, c.s.memberOf(dataDir), at})
	}
}

// begin forgets the runs before, whose rows were found.
func (c *clients) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.acked)
}

// rows are all that were acknowledged since begin.
func (c *clients) rows() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []int64
	for _, acked := range c.acked {
		for _, a := range acked {
			all = append(all, a.row)
		}
	}
	return all
}

// served tells whether every client has had so many writes acknowledged since a moment.
func (c *clients) served(ways []Way, since time.Time, times int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, way := range ways {
		acked := c.acked[way]
		if len(acked) < times || acked[len(acked)-times].at.Before(since) {
			return false
		}
	}
	return true
}

// around are the last moment at which a client was told by one member that a row was
// stored, and the first at which it was told so by another one. ok is false while there
// is no such moment.
func (c *clients) around(way Way, before, after string) (last, first time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.acked[way], func(a ack) bool { return a.member == after })
	if i < 1 || c.acked[way][i-1].member != before {
		return time.Time{}, time.Time{}, false
	}
	return c.acked[way][i-1].at, c.acked[way][i].at, true
}

// gap is the longest time between two moments in which some client had no row
// acknowledged.
func (c *clients) gap(since, until time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := time.Duration(0)
	for _, acked := range c.acked {
		last := since
		for _, a := range append(slices.Clone(acked), ack{at: until}) {
			if a.at.Before(since) {
				continue
			}
			longest = max(longest, min(a.at.Sub(last), until.Sub(last)))
			last = a.at
		}
	}
	return longest
}

// late counts the rows that a member acknowledged after a moment.
func (c *clients) late(member string, since time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, acked := range c.acked {
		for _, a := range acked {
			if a.member == member && a.at.After(since) {
				n++
			}
		}
	}
	return n
}

// memberOf is whose data directory it is.
func (s *system) memberOf(dataDir string) string {
	for _, m := range s.machines {
		if m.member != "" && filepath.Clean(dataDir) == m.dataDir() {
			return m.member
		}
	}
	return ""
}

// dialFront connects as a client does whose front is on its own machine.
func (s *system) dialFront(ctx context.Context) (net.Conn, error) {
	w := s.witness()
	return s.network.Dial(ctx, w.region, "tcp", net.JoinHostPort(w.addr, frontPort))
}

// dialName connects to where the name leads now.
func (s *system) dialName(ctx context.Context) (net.Conn, error) {
	led, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return s.network.Dial(ctx, s.witness().region, "tcp", net.JoinHostPort(led, "5432"))
}

// resolve asks the name server, without any cache, where the service is.
func (s *system) resolve(ctx context.Context) (string, error) {
	asking, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addresses, err := s.names.Resolver().LookupNetIP(asking, "ip4", host+".")
	if err != nil {
		return "", err
	}
	if len(addresses) != 1 {
		return "", fault.New("look up", host, fmt.Errorf("it has %d addresses", len(addresses)), "")
	}
	return addresses[0].String(), nil
}

// observer connects to one machine's database, wherever the primary is.
func (s *system) observer(m *machine) sandbox.Client {
	return sandbox.Client{
		ConnectTimeout: connectTimeout, WriteTimeout: writeTimeout, Clock: s.clock,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return s.network.Dial(ctx, s.witness().region, "tcp", m.database())
		},
	}
}
