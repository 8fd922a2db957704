package config

import "fmt"

// failoverNotices says what makes failover weaker than it looks.
func (c *Config) failoverNotices() []Notice {
	f := c.Failover
	var all []Notice
	if len(f.Services) > 0 && c.NATS.URL == "" {
		all = append(all, Notice{"failover.services", "The leases live in the queue that is embedded in this process: " +
			"when this machine dies, nobody can fail over; set nats.url to a cluster over at least three machines."})
	}
	perRegion := map[string]int{}
	for _, v := range f.Coordinators {
		perRegion[v.Region]++
	}
	for _, region := range sortedKeys(perRegion) {
		if n := perRegion[region]; n == 2 {
			all = append(all, Notice{"failover.coordinators", fmt.Sprintf("Region %s has two coordinators and speaks only while both agree; one or three are better.", region)})
		}
	}
	for _, name := range sortedKeys(f.Services) {
		on := map[string]string{}
		for _, member := range sortedKeys(f.Services[name].Members) {
			node := f.Services[name].Members[member].Node
			if other, ok := on[node]; ok && node != "" {
				all = append(all, Notice{"failover.services." + name, fmt.Sprintf("The members %s and %s run beside the same node and die together.", other, member)})
			}
			on[node] = member
		}
	}
	return append(all, c.memberNotices()...)
}

// memberNotices says which members are out of reach, and what orders to those beside this
// node need that is not on this machine.
func (c *Config) memberNotices() []Notice {
	var all []Notice
	add := func(key, format string, args ...any) { all = append(all, Notice{key, fmt.Sprintf(format, args...)}) }
	for _, name := range sortedKeys(c.Failover.Services) {
		s := c.Failover.Services[name]
		for _, member := range sortedKeys(s.Members) {
			m, key := s.Members[member], "failover.services."+name+".members."+member
			switch m.Node {
			case "":
				add(key+".node", "No node is beside this member, so it is only watched: nobody can stop it, promote it or make it follow.")
				continue
			case c.Node.Name:
			default:
				continue
			}
			if s.Kind == ServiceHTTP && m.TokenFile != "" {
				if _, err := readSecret(m.TokenFile); err != nil {
					add(key+".token_file", "The token of orders to this member cannot be counted on: %s.", err)
				}
			}
			runs := func(key string, argv []string) {
				if len(argv) == 0 || argv[0] == "" {
					return
				}
				if err := program(argv[0]); err != nil {
					add(key, "This machine cannot run it: %s.", err)
				}
			}
			for verb, argv := range m.Commands.verbs() {
				runs(key+".commands."+verb, argv)
			}
			runs(key+".stop", m.Stop)
		}
	}
	return all
}
