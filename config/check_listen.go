package config

import (
	"net"
)

// listener is an address that this process listens on, with the setting that says so.
type listener struct{ key, address string }

// checkListeners refuses two listeners of one process on one port: the second could not
// start. Fronts of services listen in every coordinator.
func (l *loader) checkListeners(c *Config) {
	var all []listener
	if c.NATS.URL == "" {
		all = append(all, listener{"nats.listen", c.NATS.Listen})
	}
	if c.Node.Listen != "" {
		all = append(all, listener{"node.listen", c.Node.Listen})
	}
	for _, name := range sortedKeys(c.Failover.Services) {
		front := listener{"failover.services." + name + ".routes.front.listen", c.Failover.Services[name].Routes.Front.Listen}
		if front.address == "" {
			continue
		}
		l.checkFrontsMembers(c, front)
		all = append(all, front)
	}
	for i, this := range all {
		for _, other := range all[:i] {
			if clash(this.address, other.address) && !l.blamed(this.key) {
				l.valuef(this.key, "%s is where %s, %s, listens already: choose another port", this.address, other.key, other.address)
			}
		}
	}
}

// checkFrontsMembers refuses a front where a member beside this node listens.
func (l *loader) checkFrontsMembers(c *Config, front listener) {
	for _, name := range sortedKeys(c.Failover.Services) {
		s := c.Failover.Services[name]
		for _, member := range sortedKeys(s.Members) {
			m := s.Members[member]
			if m.Node != c.Node.Name || l.blamed(front.key) {
				continue
			}
			if at, ok := m.hostPort(); ok && clash(front.address, at) {
				l.valuef(front.key, "%s is where member %s of %s, %s, listens, which is beside this node: choose another port", front.address, member, name, at)
			}
		}
	}
}

// clash reports whether nobody can listen on both addresses at once.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return everywhere(hostA) || everywhere(hostB) || sameHost(hostA, hostB)
}

// everywhere reports whether a host is all addresses of the machine.
func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func sameHost(a, b string) bool {
	address := func(host string) string {
		if host == "localhost" {
			return "127.0.0.1"
		}
		if ip := net.ParseIP(host); ip != nil {
			return ip.String()
		}
		return host
	}
	return address(a) == address(b)
}
