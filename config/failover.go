package config

import (
	"slices"
	"time"
)

// Failover says who watches what, how fast a silence is noticed, and how long a
// service's primary may go on without being able to prove that it is the one.
type Failover struct {
	// How often each node says that it is alive.
	Heartbeat Duration `yaml:"heartbeat"`
	// How surprising a silence must be to count: 8 is a wrong suspicion once in a
	// hundred million heartbeats of a steady line. Less is quicker and wronger.
	Suspicion int `yaml:"suspicion"`
	// A silence of this length is no surprise at all. 0s: twice heartbeat.
	Pause Duration `yaml:"pause"`
	// How long a majority must say that something is down before it counts.
	// 0s: heartbeat.
	Confirm Duration `yaml:"confirm"`
	// How long what was down must be seen again before it counts as up.
	Recovery Duration `yaml:"recovery"`
	// How the lease of the leading coordinator and those of services are held: a
	// primary that cannot renew for renew_deadline is stopped at once.
	Lease Lease `yaml:"lease" see:"nats.lease"`
	// The coordinators that vote, one or more in each of at least three regions, or
	// one region's. Nothing given: each coordinator decides alone, which is right for
	// a single one.
	Coordinators []FailoverVoter `yaml:"coordinators"`
	// What is watched, and fails over from one member to another, by name.
	Services map[string]FailoverService `yaml:"services"`

	FailoverPlans `yaml:",inline"`
}

// FailoverVoter is a coordinator that votes.
type FailoverVoter struct {
	// The node's name, as node.name says on that machine.
	Node string `yaml:"node"`
	// The region it votes for; one of regions.
	Region string `yaml:"region"`
}

// What a service is.
const (
	ServicePostgres = "postgres"
	ServiceHTTP     = "http"
	ServiceCommand  = "command"
)

// FailoverService is something of which one member serves and others stand by.
type FailoverService struct {
	// What it is: "postgres", "http" or "command".
	Kind string `yaml:"kind"`
	// Its members, by name.
	Members map[string]FailoverMember `yaml:"members"`
	// How often each coordinator looks at each member. 0s: heartbeat.
	ProbeEvery Duration `yaml:"probe_every"`
	// How long it waits for an answer. 0s: twice heartbeat, at least a second.
	ProbeTimeout Duration `yaml:"probe_timeout"`
	// What leads its clients to the member that serves.
	Routes FailoverRoutes `yaml:"routes"`
	// What a write waits for, for kind postgres: "asynchronous", the primary's own disk
	// alone, so that a failover loses what no standby had received; "synchronous", one
	// standby, too, while there is one; "strict", one standby always, so that nothing is
	// written without one. Empty: asynchronous.
	Mode string `yaml:"mode"`
	// How long a primary may give no answer before it is stopped and its lease given
	// up. 0s: 2s.
	Patience Duration `yaml:"patience"`
	// How long a primary that was stopped leaves the service to others before it comes
	// back by itself. 0s: 10s.
	Retake Duration `yaml:"retake"`
	// What becomes of a member that was stopped, or that followed a primary which is gone:
	// "automatic", it is made a standby of the member that takes writes now, by the plan
	// rejoin_member; "by_hand", a person orders that. Empty: automatic.
	Rejoin string `yaml:"rejoin"`
}

// FailoverMember is one of a service's members.
type FailoverMember struct {
	// The node beside which it runs, whose keeper holds its lease and stops it;
	// empty for one that runs where no node is.
	Node string `yaml:"node"`
	// The region it is in; one of regions.
	Region string `yaml:"region"`
	// Where coordinators see it: "host:port", or for kind http a URL.
	Address string `yaml:"address"`
	// How clients reach it, where that does not follow from address.
	Clients FailoverClients `yaml:"clients"`
	// How the node beside it controls a server of kind postgres.
	Postgres FailoverPostgres `yaml:"postgres"`
	// How it controls a member of kind command: programs with their arguments, without a
	// shell.
	Commands FailoverCommands `yaml:"commands"`
	// For kinds http and command: a program with its arguments that ends the member's process
	// when that does not carry out the order to take no more writes within half of the
	// lease's stop_time, because it hangs. Exit code 0 has to mean that it takes no writes any
	// more; for example [systemctl, kill, --signal=KILL, web]. Its keeper runs it, or
	// its keeper's watchdog, or both. Empty: a person has to stop such a member.
	Stop []string `yaml:"stop"`
	// For kind http: a file with a token that orders carry ("Authorization: Bearer").
	TokenFile string `yaml:"token_file"`
}

// HotStandbyService is the name of the service that disaster_recovery.hot_standby
// stands for, and HotStandbyMember that of its one member.
const (
	HotStandbyService = "hot-standby"
	HotStandbyMember  = "standby"
)

func defaultFailover() Failover {
	return Failover{
		Heartbeat: Duration(250 * time.Millisecond), Suspicion: 8, Recovery: Duration(5 * time.Second),
		Lease: Lease{
			Duration: Duration(3 * time.Second), RenewInterval: Duration(400 * time.Millisecond),
			RenewDeadline: Duration(1800 * time.Millisecond), StopTime: Duration(800 * time.Millisecond),
			Margin: Duration(200 * time.Millisecond),
		},
	}
}

// EffectivePause is how long a silence is no surprise.
func (f Failover) EffectivePause() time.Duration {
	if f.Pause == 0 {
		return 2 * f.Heartbeat.Std()
	}
	return f.Pause.Std()
}

// EffectiveConfirm is how long a majority must say that something is down.
func (f Failover) EffectiveConfirm() time.Duration {
	if f.Confirm == 0 {
		return f.Heartbeat.Std()
	}
	return f.Confirm.Std()
}

// Watched are the services that coordinators watch: those of failover.services, and
// the one of disaster_recovery.hot_standby when it is enabled. Their intervals are
// filled in.
func (c *Config) Watched() map[string]FailoverService {
	all := map[string]FailoverService{}
	for name, s := range c.Failover.Services {
		if s.ProbeEvery == 0 {
			s.ProbeEvery = c.Failover.Heartbeat
		}
		if s.ProbeTimeout == 0 {
			s.ProbeTimeout = max(2*c.Failover.Heartbeat, Duration(time.Second))
		}
		all[name] = s
	}
	if h := c.DisasterRecovery.HotStandby; h.Enabled {
		every := Duration(time.Duration(h.HeartbeatIntervalSeconds) * time.Second)
		all[HotStandbyService] = FailoverService{
			Kind:       ServiceHTTP,
			Members:    map[string]FailoverMember{HotStandbyMember: {Address: h.Endpoint}},
			ProbeEvery: every, ProbeTimeout: min(every, Duration(10*time.Second)),
		}
	}
	return all
}

func (l *loader) checkFailover(c *Config) {
	const at = "failover."
	f := &c.Failover
	l.durationBetween(at+"heartbeat", f.Heartbeat, Duration(50*time.Millisecond), Duration(time.Minute))
	l.between(at+"suspicion", f.Suspicion, 1, 16)
	l.durationBetween(at+"pause", f.Pause, 0, Duration(time.Hour))
	l.durationBetween(at+"confirm", f.Confirm, 0, Duration(time.Minute))
	l.durationBetween(at+"recovery", f.Recovery, 0, Duration(time.Hour))
	l.checkLease("failover.lease.", f.Lease)
	l.checkFailoverPlans(f.FailoverPlans)
	l.checkVoters(c)
	for _, name := range sortedKeys(f.Services) {
		l.checkService(c, name, f.Services[name])
	}
	l.checkBeside(c)
	l.checkListeners(c)
	if l.machine {
		l.checkMachine(c)
	}
	if len(f.Services) > 0 && len(f.Coordinators) == 0 {
		l.missing(at+"coordinators", "is missing, but there are services: name the coordinators that decide when one fails over", "failover")
	}
}

func (l *loader) durationBetween(key string, d, least, most Duration) {
	if d < least || d > most {
		l.valuef(key, "must be from %s to %s, not %s", least, most, d)
	}
}

// checkVoters refuses coordinators that could never tell a dead region from a cut
// line.
func (l *loader) checkVoters(c *Config) {
	const at = "failover.coordinators"
	var names, regions []string
	for i, v := range c.Failover.Coordinators {
		key := element(at, i)
		switch {
		case !isName(v.Node):
			l.valuef(key+".node", "%q cannot name a node: %s", v.Node, nameRule)
		case slices.Contains(names, v.Node):
			l.valuef(key+".node", "%q is listed twice", v.Node)
		}
		if !slices.Contains(c.Regions, v.Region) {
			l.about(key+".region", noSuch("region", v.Region, "regions", c.Regions), nearest(v.Region, c.Regions))
		}
		if v.Node == c.Node.Name && v.Region != c.Node.Region {
			l.valuef(key+".region", "this is node %s, which is in region %s by node.region", v.Node, c.Node.Region)
		}
		names = append(names, v.Node)
		if !slices.Contains(regions, v.Region) {
			regions = append(regions, v.Region)
		}
	}
	switch {
	case len(regions) == 2:
		l.valuef(at, "%s and %s are two regions, and two cannot vote: each would need the other, so neither could tell a dead region from a cut line; "+
			"add a coordinator in a third region, where it only needs to witness", regions[0], regions[1])
	case len(regions) == 1 && len(names) == 2:
		l.valuef(at, "%s and %s are two, and two cannot vote: each would need the other; name one, or three", names[0], names[1])
	}
}
