package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (l *loader) checkService(c *Config, name string, s FailoverService) {
	at := "failover.services." + name
	if !isName(name) {
		l.valuef(at, "%q cannot name a service: %s", name, nameRule)
	}
	if name == HotStandbyService && c.DisasterRecovery.HotStandby.Enabled {
		l.valuef(at, "is the name of the service that disaster_recovery.hot_standby stands for: choose another, or disable that")
	}
	l.oneOf(at+".kind", s.Kind, "a kind of service", ServicePostgres, ServiceHTTP, ServiceCommand)
	l.durationBetween(at+".probe_every", s.ProbeEvery, 0, Duration(time.Hour))
	l.durationBetween(at+".probe_timeout", s.ProbeTimeout, 0, Duration(time.Minute))
	l.checkKeep(at, s)
	if len(s.Members) < 2 {
		l.missing(at+".members", "has fewer than two members: there is nothing to fail over to", at)
	}
	l.checkRoutes(at, s)
	seen := map[string]string{} // members by where they are
	for _, member := range sortedKeys(s.Members) {
		m, key := s.Members[member], at+".members."+member
		switch {
		case !isName(member):
			l.valuef(key, "%q cannot name a member: %s", member, nameRule)
		case member[0] == '-' || member[0] == '_':
			l.valuef(key, "%q cannot name a member: start with a letter or a digit", member)
		}
		if m.Node != "" && !isName(m.Node) {
			l.valuef(key+".node", "%q cannot name a node: %s", m.Node, nameRule)
		}
		l.checkControl(key, s.Kind, m)
		if m.Node == "" && s.Kind == ServicePostgres {
			l.missing(key+".node", "is missing: a database is stopped and promoted by the node beside it", key)
		}
		if !slices.Contains(c.Regions, m.Region) {
			l.about(key+".region", noSuch("region", m.Region, "regions", c.Regions), nearest(m.Region, c.Regions))
		}
		if err := checkAddress(s.Kind, m); err != nil {
			if m.Address == "" {
				l.missing(key+".address", err.Error(), key)
			} else {
				l.value(key+".address", err.Error())
			}
		}
		where := strings.ToLower(strings.TrimSuffix(m.Address, "/"))
		if other, twice := seen[where]; twice && where != "" {
			l.valuef(key+".address", "is that of member %s, too: what coordinators see there tells nothing of either", other)
		}
		seen[where] = member
		l.between(key+".clients.port", m.Clients.Port, 0, 65535)
	}
}

// checkAddress refuses what cannot be probed, and for kind http what orders cannot be sent to.
func checkAddress(kind string, m FailoverMember) error {
	if kind != ServiceHTTP {
		host, port, err := net.SplitHostPort(m.Address)
		if err != nil || host == "" || port == "" || strings.ContainsAny(m.Address, " \t") {
			return errors.New(`must be "host:port" as coordinators reach it`)
		}
		return checkPort(port)
	}
	u, err := url.Parse(m.Address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be a URL with a host, for example https://standby.example.com")
	case u.User != nil:
		return errors.New("must not hold a password or a user: put a token into a file, and name that in token_file")
	case m.Node != "" && (u.RawQuery != "" || u.ForceQuery):
		return errors.New("must not hold a query: orders go to paths below it; put a token into a file, and name that in token_file")
	case u.Port() != "":
		return checkPort(u.Port())
	}
	return nil
}

// checkPort refuses what nobody can be reached at.
func checkPort(port string) error {
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port: write a number from 1 to 65535", port)
	}
	return nil
}

// said is what a setting says of the region that a node is in.
type said struct{ region, key string }

// checkBeside holds what is said of the nodes of members together: one node is in one
// region, and keepers of one node remember their members in files by name.
func (l *loader) checkBeside(c *Config) {
	regions := map[string]said{}
	if c.Node.Region != "" {
		regions[c.Node.Name] = said{c.Node.Region, "node.region"}
	}
	for i, v := range c.Failover.Coordinators {
		if _, known := regions[v.Node]; !known {
			regions[v.Node] = said{v.Region, element("failover.coordinators", i)}
		}
	}
	files := map[string]string{}
	for _, name := range sortedKeys(c.Failover.Services) {
		members := c.Failover.Services[name].Members
		for _, member := range sortedKeys(members) {
			m, key := members[member], "failover.services."+name+".members."+member
			if m.Node == "" {
				continue
			}
			switch by, known := regions[m.Node]; {
			case !known:
				regions[m.Node] = said{m.Region, key}
			case by.region != m.Region && !l.blamed(key+".region"):
				l.valuef(key+".region", "%q contradicts %s, which says that node %s is in region %s", m.Region, by.key, m.Node, by.region)
			}
			file := m.Node + "/" + name + "-" + member
			if other, taken := files[file]; taken {
				l.valuef(key, "its keeper would remember it in the same file on node %s as that of %s: choose another name", m.Node, other)
			}
			files[file] = name + "/" + member
		}
	}
}
