package config

import (
	"path/filepath"
	"time"
)

// Island is the queue that this machine's region has for itself while it is cut off
// from the one that nats.url names: schedules of the region's sources go on, backups go
// to the region's storage, and what was done is handed over when the line is back.
type Island struct {
	// For how long nats.url must have acknowledged nothing until the region goes on
	// with a queue of its own. 0s: never; backups of the region then wait until the
	// line is back. At least 1s, and best longer than its servers need to elect a
	// leader, which is 4 to 9 seconds.
	After Duration `yaml:"after"`
	// The region's own server, as nats.url takes it and with the same user, password
	// and certificates; it must need no other region. All of the region's machines
	// then share it. Empty: a server inside this process, in "island" inside
	// node.data_dir, for as long as it is needed; the process must be a scheduler and a
	// worker (`mahavishnu up`).
	URL string `yaml:"url"`
}

// IslandStore is where the island's queue is kept when it runs inside the process.
func (c *Config) IslandStore() string { return filepath.Join(c.Node.DataDir, "island") }

func (l *loader) checkIsland(n *NATS) {
	const at = "nats.island."
	i := n.Island
	switch {
	case i == (Island{}):
		return
	case n.URL == "":
		l.value(at+"after", "concerns a queue elsewhere, from which a region can be cut off, but nats.url is not set: remove it, or set nats.url")
	case i.After == 0:
		l.missing(at+"url", "is given, but nats.island.after, which says when it is used, is not: set that, as 30s", "nats.island")
	case i.After < Duration(time.Second) || i.After > Duration(day):
		l.valuef(at+"after", "must be from 1s to 24h, not %s", i.After)
	}
	if i.URL != "" {
		l.checkServerURLs(at+"url", i.URL)
	}
	if i.URL == "" && n.CredsFile != "" {
		l.value(at+"after", "the server inside the process knows no credentials file: set nats.island.url to a server of the region, or use nats.user")
	}
}
