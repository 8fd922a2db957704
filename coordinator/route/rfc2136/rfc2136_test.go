package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/routetest"
	"mahavishnu/fault"
)

var pg1, pg2 = routetest.Targets()[0], routetest.Targets()[1]

func TestConformance(t *testing.T) {
	for _, kind := range []route.Kind{route.KindAddress, route.KindAlias, route.KindService} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			suite(t, kind, startNamed(t))
		})
	}
}

func TestConformanceOfSeveralPrimaries(t *testing.T) {
	t.Parallel()
	suite(t, route.KindAddress, startNamed(t), startNamed(t), startNamed(t))
}

// suite runs the conformance suite with a name of its own for each test.
func suite(t *testing.T, kind route.Kind, servers ...*nameServer) {
	t.Helper()
	var addresses []string
	for _, n := range servers {
		addresses = append(addresses, n.address)
	}
	key, err := NewKey("suite", SHA256, goodSecret)
	if err != nil {
		t.Fatal(err)
	}
	tests := 0
	routetest.Run(t, func(*testing.T) routetest.Subject {
		tests++
		name := fmt.Sprintf("db%d.%s", tests, zone)
		if kind == route.KindService {
			name = "_postgresql._tcp." + name
		}
		return routetest.Subject{Open: func(*testing.T) route.Router {
			return servers[0].router(Options{Name: route.Name{Name: name, Kind: kind}, Key: key, Servers: addresses})
		}}
	})
}

// TestClientsSee asks with dig, and lets nsupdate try what a stale coordinator
// would send: the server itself refuses it.
func TestClientsSee(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	r := n.server(route.KindAddress, goodKey(t))
	point(t, r, pg1, 41)
	if got := n.dig(dbName, "A"); got != "192.0.2.1" {
		t.Errorf("A is %q", got)
	}
	if got := n.dig(dbName, "AAAA"); got != "2001:db8::1" {
		t.Errorf("AAAA is %q", got)
	}
	point(t, r, pg2, 42)
	if got := n.dig(dbName, "A"); got != "198.51.100.2" {
		t.Errorf("A is %q", got)
	}
	if got := n.dig(dbName, "AAAA"); got != "" {
		t.Errorf("AAAA is still %q", got)
	}
	if got := n.dig("_epoch."+dbName, "TXT"); got != `"epoch=42" "member=pg2"` {
		t.Errorf("TXT is %s", got)
	}

	host, port, _ := net.SplitHostPort(n.address)
	stale := exec.CommandContext(t.Context(), program(t, "nsupdate"), "-v", "-k", n.KeyFile("mahavishnu"))
	stale.Stdin = strings.NewReader("server " + host + " " + port + "\nzone " + zone + "\n" +
		"prereq yxrrset _epoch." + dbName + `. TXT "epoch=41" "member=pg1"` + "\n" +
		"update delete " + dbName + ". A\nupdate add " + dbName + ". 5 A 192.0.2.66\nsend\n")
	out, err := stale.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "NXRRSET") {
		t.Errorf("the stale update: %v\n%s", err, out)
	}
	if got := n.dig(dbName, "A"); got != "198.51.100.2" {
		t.Errorf("after a stale update A is %q", got)
	}
}

// TestRestartedServerRemembers ends BIND without mercy: what it acknowledged is
// in its journal.
func TestRestartedServerRemembers(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	r := n.server(route.KindAddress, goodKey(t))
	point(t, r, pg2, 42)
	n.Stop()
	if err := r.Point(t.Context(), pg1, 43); err == nil || errors.Is(err, route.ErrStale) || errors.Is(err, route.ErrUnknown) {
		t.Errorf("with the server down: %v", err)
	}
	n.start()
	if err := r.Point(t.Context(), pg1, 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("a stale epoch after a restart: %v", err)
	}
	point(t, r, pg1, 43)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	key := func(name, algorithm, secret string) Key {
		k, err := NewKey(name, algorithm, secret)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for what, c := range map[string]struct {
		key  Key
		says string
	}{
		"forged secret":   {key("mahavishnu", SHA256, forgedSecret), "another secret"},
		"unknown key":     {key("stranger", SHA256, goodSecret), "does not know the key"},
		"wrong algorithm": {key("mahavishnu", SHA512, goodSecret), "key"},
		"no rights":       {key("powerless", SHA256, goodSecret), "refuses the update"},
	} {
		r := n.server(route.KindAddress, c.key)
		err := r.Point(t.Context(), pg1, 50)
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, route.ErrUnknown) || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: %v, hints %q", what, err, fault.Hints(err))
		}
		if err != nil && strings.Contains(err.Error(), c.key.secret) {
			t.Errorf("%s: the error holds the secret", what)
		}
	}
	// Check finds missing rights once there is something to write.
	good := n.server(route.KindAddress, goodKey(t))
	point(t, good, pg1, 51)
	if err := n.server(route.KindAddress, key("powerless", SHA256, goodSecret)).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses the update") {
		t.Errorf("check without rights: %v", err)
	}
	point(t, n.server(route.KindAddress, key("mahavishnu-long.", SHA512, goodSecret)), pg2, 52)
	if got := n.dig(dbName, "A"); got != "198.51.100.2" {
		t.Errorf("A is %q", got)
	}
}

// shifted is a clock that is wrong.
type shifted struct {
	clock.Clock
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Clock.Now().Add(s.by) }

func TestWrongClockIsTold(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	for by, says := range map[time.Duration]string{time.Hour: "ahead of", -time.Hour: "behind"} {
		r := n.router(Options{Name: nameOf(route.KindAddress), Key: goodKey(t), Clock: shifted{clock.System(), by}, Timeout: 2 * time.Hour})
		err := r.Point(t.Context(), pg1, 1)
		// The server tells whole seconds.
		if !errors.Is(err, route.ErrClock) || !regexp.MustCompile(`this machine's is (59m59s|1h0m[01]s) `+says).MatchString(err.Error()) {
			t.Errorf("a clock off by %v: %v", by, err)
		}
	}
}

func TestObstacles(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	for what, c := range map[string]struct {
		name route.Name
		says string
	}{
		"an alias in the way": {route.Name{Name: "taken." + zone, Kind: route.KindAddress}, "acknowledged the update and leads"},
		"a TXT record of somebody else's": {
			route.Name{Name: "foreign." + zone, Kind: route.KindAddress}, "no mark",
		},
	} {
		r := n.router(Options{Name: c.name, Key: goodKey(t)})
		if err := r.Point(t.Context(), pg1, 1); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	elsewhere, err := New(Options{Servers: []string{n.address}, Zone: "example.org", Name: route.Name{Name: "db.example.org", Kind: route.KindAddress}, Key: goodKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Point(t.Context(), pg1, 1); err == nil {
		t.Error("a zone the server does not have was updated")
	}
}

// lossy is a TCP relay to a name server that does something to the nth message
// from the server that is an answer to an update.
type lossy struct {
	net.Listener
	to   string
	mu   sync.Mutex
	lose int  // so many answers to updates are still to be lost
	eat  bool // the update itself is lost, too
	lost int
}

func newLossy(t *testing.T, to string, lose int, eat bool) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := &lossy{Listener: l, to: to, lose: lose, eat: eat}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { relay.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return relay
}

// serve relays whole messages: two bytes of length, then the message, in which
// bits 3 to 6 of the third byte are the operation; 5 is an update.
func (l *lossy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		question, err := message(client)
		if err != nil {
			return
		}
		update := question[2+2]>>3&15 == 5
		l.mu.Lock()
		lose := update && l.lost < l.lose
		if lose {
			l.lost++
		}
		l.mu.Unlock()
		if lose && l.eat {
			return
		}
		if _, err := server.Write(question); err != nil {
			return
		}
		answer, err := message(server)
		if err != nil || lose {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func message(c net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	m := make([]byte, 2+(int(length[0])<<8|int(length[1])))
	copy(m, length[:])
	_, err := io.ReadFull(c, m[2:])
	return m, err
}

// TestUnknownOutcomeIsReadBack loses the update or only the answer to it.
func TestUnknownOutcomeIsReadBack(t *testing.T) {
	t.Parallel()
	for what, eat := range map[string]bool{"the answer is lost": false, "the update is lost": true} {
		n := startNamed(t)
		relay := newLossy(t, n.address, 1, eat)
		r := n.router(Options{Name: nameOf(route.KindAddress), Key: goodKey(t), Servers: []string{relay.Addr().String()}})
		point(t, r, pg1, 7)
		if relay.lost != 1 {
			t.Errorf("%s: nothing was lost", what)
		}
		if got := n.dig(dbName, "A"); got != "192.0.2.1" {
			t.Errorf("%s: A is %q", what, got)
		}

		relay = newLossy(t, n.address, 1000, eat)
		r = n.router(Options{Name: nameOf(route.KindAddress), Key: goodKey(t), Servers: []string{relay.Addr().String()}})
		err := r.Point(t.Context(), pg2, 8)
		if eat && !errors.Is(err, route.ErrUnknown) {
			t.Errorf("%s every time: %v", what, err)
		}
		if !eat && err != nil {
			t.Errorf("%s every time: %v", what, err)
		}
	}
}

// TestPrimaryCutOff has one of three primaries down: the others are enough, it is
// told of, and Keep brings it up to date when it is back.
func TestPrimaryCutOff(t *testing.T) {
	t.Parallel()
	servers := []*nameServer{startNamed(t), startNamed(t), startNamed(t)}
	var mu sync.Mutex
	lagged := map[string]bool{}
	r := servers[0].router(Options{
		Name: nameOf(route.KindAddress), Key: goodKey(t),
		Servers: []string{servers[0].address, servers[1].address, servers[2].address},
		OnLag:   func(server string, _ error) { mu.Lock(); lagged[server] = true; mu.Unlock() },
	})
	point(t, r, pg1, 41)
	servers[2].Stop()
	point(t, r, pg2, 42)
	mu.Lock()
	if len(lagged) != 1 || !lagged[servers[2].address] {
		t.Errorf("lagging are %v", lagged)
	}
	mu.Unlock()
	servers[2].start()
	if err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "epoch 41") {
		t.Errorf("a check with one server behind: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kept := make(chan error, 1)
	go func() {
		kept <- route.Keep(ctx, route.KeepOptions{
			Router: r, Every: 50 * time.Millisecond, Timeout: 5 * time.Second,
			Want: func() (route.Target, uint64, bool) { return pg2, 42, true },
		})
	}()
	for servers[2].dig(dbName, "A") != "198.51.100.2" {
		if ctx.Err() != nil {
			t.Fatal("the server that was down stays behind")
		}
	}
	cancel()
	<-kept
	// Two of three down is no majority.
	servers[0].Stop()
	servers[1].Stop()
	if err := r.Point(t.Context(), pg1, 43); err == nil || errors.Is(err, route.ErrStale) {
		t.Errorf("one of three primaries: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Servers: []string{"ns1.example.test"}, Zone: zone, Name: nameOf(route.KindAddress), Key: goodKey(t)}
	for what, change := range map[string]func(*Options){
		"no key":            func(o *Options) { o.Key = Key{} },
		"no zone":           func(o *Options) { o.Zone = "" },
		"another zone":      func(o *Options) { o.Zone = "example.org" },
		"no server":         func(o *Options) { o.Servers = nil },
		"alias at the apex": func(o *Options) { o.Name = route.Name{Name: zone, Kind: route.KindAlias} },
		"unknown kind":      func(o *Options) { o.Name.Kind = "mx" },
		"plain service":     func(o *Options) { o.Name = route.Name{Name: dbName, Kind: route.KindService} },
		"split second":      func(o *Options) { o.Name.TTL = 1500 * time.Millisecond },
		"too many needed":   func(o *Options) { o.Servers = append(o.Servers, "ns2"); o.Need = 3 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func point(t *testing.T, r route.Router, target route.Target, epoch uint64) {
	t.Helper()
	if err := r.Point(t.Context(), target, epoch); err != nil {
		t.Fatalf("%v (hints %q)", err, fault.Hints(err))
	}
}
