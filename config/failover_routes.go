package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// FailoverClients are how clients reach a member. What is left out follows from its
// address: a number becomes an address, a name the host.
type FailoverClients struct {
	// Addresses, for records of kind "address" and for the front.
	Addresses []string `yaml:"addresses"`
	// Its own name in DNS, for records of kind "alias" and "service".
	Host string `yaml:"host"`
	// The port. 0: that of its address.
	Port int `yaml:"port"`
}

// FailoverRoutes are the ways that lead clients to the member that serves. All that
// are given are changed together; with none, clients find the primary by themselves.
type FailoverRoutes struct {
	// A record in a name server, changed by DNS updates (RFC 2136).
	DNS FailoverDNS `yaml:"dns"`
	// A record in Amazon Route 53.
	Route53 FailoverRoute53 `yaml:"route53"`
	// A TCP proxy in each process with the coordinator role.
	Front FailoverFront `yaml:"front"`
	// A command that leads clients where nothing else here can.
	Hook FailoverHook `yaml:"hook"`
}

// FailoverDNS is a record in a name server. Given when servers is.
type FailoverDNS struct {
	// The primaries of the zone, as "host" or "host:port"; give each region its own.
	Servers []string `yaml:"servers"`
	// How many of them must take a change. 0: a majority.
	Need int `yaml:"need"`
	// The zone, as the servers have it.
	Zone string `yaml:"zone"`
	// The name clients use.
	Name string `yaml:"name"`
	// What stands there: "address" (A, AAAA), "alias" (CNAME) or "service" (SRV).
	// Empty: "address".
	Kind string `yaml:"kind"`
	// How long resolvers keep an answer, whole seconds. 0s: 5s.
	TTL Duration `yaml:"ttl"`
	// The key as `tsig-keygen` writes it (HMAC-SHA256 or HMAC-SHA512), which others
	// must not be able to read.
	KeyFile string `yaml:"key_file"`
}

// FailoverRoute53 is a record in Amazon Route 53. Given when zone is. Credentials come
// from the environment or the profile.
type FailoverRoute53 struct {
	// The hosted zone's id.
	Zone string `yaml:"zone"`
	// The name clients use.
	Name string `yaml:"name"`
	// As kind of failover.services.NAME.routes.dns.
	Kind string `yaml:"kind"`
	// As ttl of failover.services.NAME.routes.dns.
	TTL Duration `yaml:"ttl"`
	// The profile of the shared files. Empty: AWS_PROFILE, or "default".
	Profile string `yaml:"profile"`
}

// FailoverFront is a TCP proxy. Given when listen is.
type FailoverFront struct {
	// Where clients connect, as "host:port".
	Listen string `yaml:"listen"`
	// How long a new connection waits for a primary. 0s: 15s.
	Hold Duration `yaml:"hold"`
	// How many clients are let in. 0: 4096.
	MaxConnections int `yaml:"max_connections"`
}

// FailoverHook is a command. Given when command is.
type FailoverHook struct {
	// The program and its arguments; docs/failover-routing.md tells its variables.
	Command []string `yaml:"command"`
	// What prints where clients are led now, as "epoch=42 member=NAME".
	Current []string `yaml:"current"`
	// What tries all that can be tried without changing anything.
	Rehearse []string `yaml:"rehearse"`
	// How long each may take. 0s: 30s.
	Timeout Duration `yaml:"timeout"`
}

// recordKinds are the kinds of records that lead to a member.
var recordKinds = []string{"address", "alias", "service"}

// EffectiveClients are how clients reach the member, with what follows from its
// address.
func (m FailoverMember) EffectiveClients() FailoverClients {
	c := m.Clients
	at, ok := m.hostPort()
	if !ok {
		return c
	}
	host, port, _ := net.SplitHostPort(at) // which hostPort has done
	if _, err := netip.ParseAddr(host); err == nil && len(c.Addresses) == 0 {
		c.Addresses = []string{host}
	} else if err != nil && c.Host == "" {
		c.Host = host
	}
	if n, err := strconv.Atoi(port); err == nil && c.Port == 0 {
		c.Port = n
	}
	return c
}

// hostPort is where the member listens, as "host:port".
func (m FailoverMember) hostPort() (at string, ok bool) {
	at = m.Address
	if scheme, rest, found := strings.Cut(at, "://"); found {
		at, _, _ = strings.Cut(rest, "/")
		if _, _, err := net.SplitHostPort(at); err != nil {
			at = net.JoinHostPort(strings.Trim(at, "[]"), map[string]string{"http": "80", "https": "443"}[scheme])
		}
	}
	_, _, err := net.SplitHostPort(at)
	return at, err == nil
}

func (l *loader) checkRoutes(at string, s FailoverService) {
	r := s.Routes
	if d := r.DNS; len(d.Servers) > 0 {
		key := at + ".routes.dns"
		l.checkRecord(key, d.Name, d.Kind, d.TTL)
		switch bare := func(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }; {
		case d.Zone == "":
			l.missing(key+".zone", "is missing: name the zone as its servers have it", key)
		case d.Name != "" && bare(d.Zone) != "" && !strings.HasSuffix("."+bare(d.Name), "."+bare(d.Zone)):
			l.valuef(key+".name", "%s is not in the zone %s", d.Name, d.Zone)
		case d.Kind == "alias" && bare(d.Name) == bare(d.Zone):
			l.valuef(key+".name", "%s is the zone itself, where no alias may stand", d.Name)
		}
		if d.KeyFile == "" {
			l.missing(key+".key_file", "is missing: updates are never sent unsigned; make a key with tsig-keygen", key)
		} else {
			l.private(key+".key_file", d.KeyFile)
		}
		if d.Need < 0 || d.Need > len(d.Servers) {
			l.valuef(key+".need", "%d of %d servers can never agree", d.Need, len(d.Servers))
		}
		l.checkReach(at, key, d.Kind, s)
	} else if d.Zone != "" || d.Name != "" || d.KeyFile != "" || d.Kind != "" || d.TTL != 0 || d.Need != 0 {
		l.unrouted(at+".routes.dns", "servers")
	}
	if d := r.Route53; d.Zone != "" {
		key := at + ".routes.route53"
		l.checkRecord(key, d.Name, d.Kind, d.TTL)
		l.checkReach(at, key, d.Kind, s)
	} else if d != (FailoverRoute53{}) {
		l.unrouted(at+".routes.route53", "zone")
	}
	if f := r.Front; f.Listen == "" && f != (FailoverFront{}) {
		l.unrouted(at+".routes.front", "listen")
	} else if f.Listen != "" {
		key := at + ".routes.front"
		l.checkListen(key+".listen", f.Listen)
		l.durationBetween(key+".hold", f.Hold, 0, Duration(time.Hour))
		l.between(key+".max_connections", f.MaxConnections, 0, 1_000_000)
	}
	if h := r.Hook; len(h.Command) > 0 {
		l.durationBetween(at+".routes.hook.timeout", h.Timeout, 0, Duration(time.Hour))
	} else if len(h.Current) > 0 || len(h.Rehearse) > 0 || h.Timeout != 0 {
		l.unrouted(at+".routes.hook", "command")
	}
}

// unrouted refuses a route that looks as if there were one, and is none.
func (l *loader) unrouted(key, lacks string) {
	l.missing(key+"."+lacks, "is missing, and without it there is no such route: add it, or remove the rest of "+key, key)
}

func (l *loader) checkRecord(key, name, kind string, ttl Duration) {
	switch labels := strings.Split(strings.TrimSuffix(name, "."), "."); {
	case name == "":
		l.missing(key+".name", "is missing: name what clients look up", key)
	case !isDomain(name):
		l.valuef(key+".name", "%q is no DNS name: write labels of letters, digits, dashes and underscores with dots between them", name)
	case kind == "service" && (len(labels) < 3 || labels[0][0] != '_' || labels[1][0] != '_'):
		l.valuef(key+".name", `%q cannot hold service records: write "_SERVICE._tcp.%s"`, name, name)
	}
	if kind != "" {
		l.oneOf(key+".kind", kind, "a kind of record", recordKinds...)
	}
	l.durationBetween(key+".ttl", ttl, 0, Duration(24*time.Hour))
	if ttl%Duration(time.Second) != 0 {
		l.valuef(key+".ttl", "must be whole seconds, not %s", ttl)
	}
}

// isDomain reports whether a name can stand in DNS, with a mark of the epoch below it.
func isDomain(name string) bool {
	bare := strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(bare, ".") {
		if label == "" || len(label) > 63 || strings.IndexFunc(label, func(r rune) bool { return !isNameRune(r) }) >= 0 {
			return false
		}
	}
	return len(bare) <= 240
}

// checkReach refuses records that some member could not be written into.
func (l *loader) checkReach(at, key, kind string, s FailoverService) {
	for _, member := range sortedKeys(s.Members) {
		c := s.Members[member].EffectiveClients()
		where := at + ".members." + member
		for _, a := range c.Addresses {
			if parsed, err := netip.ParseAddr(a); err != nil || parsed.IsUnspecified() || parsed.Zone() != "" {
				l.valuef(where+".clients.addresses", "%q is no address that clients can reach", a)
			}
		}
		switch {
		case kind == "alias" && c.Host == "":
			l.missing(where+".clients.host", "is missing: "+key+" needs the member's own name in DNS", where)
		case kind == "service" && (c.Host == "" || c.Port == 0):
			l.missing(where+".clients.host", "or the port is missing: "+key+" needs both", where)
		case (kind == "" || kind == "address") && len(c.Addresses) == 0:
			l.missing(where+".clients.addresses", "is missing: "+key+" needs the member's addresses", where)
		}
	}
}
