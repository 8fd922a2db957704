package config

import (
	"os"
	"path/filepath"
	"strings"
)

// absolute makes a path absolute and clean.
func (l *loader) absolute(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.base, path)
	}
	return filepath.Clean(path)
}

// resolve fills in what depends on other settings and makes paths absolute.
func (l *loader) resolve(c *Config) {
	b, n := &c.Backup, &c.Node
	// directory and storage.local.path are two names of one thing; the one that
	// was given decides. Whether both were and differ is for check to say.
	switch {
	case l.given("backup.directory") && !l.given("backup.storage.local.path"):
		b.Storage.Local.Path = b.Directory
	case !l.given("backup.directory"):
		b.Directory = b.Storage.Local.Path
	}
	for _, path := range []*string{&b.Directory, &b.Encryption.KeyPath, &n.DataDir, &c.Failover.Plans} {
		if *path != "" {
			*path = l.absolute(*path)
		}
	}
	c.eachPlace(func(k kinds) {
		for _, path := range []*string{&k.local.Path, &k.s3.CAFile, &k.azure.CAFile, &k.gcs.CAFile, &k.gcs.CredentialsFile, &k.s3.CustomerKeyFile} {
			if *path != "" {
				*path = l.absolute(*path)
			}
		}
	})
	for name, s := range b.Replication.Storages {
		if !l.given("backup.replication.storages." + name + ".replicas.immutable_days") {
			s.Replicas.ImmutableDays = Inherit
			b.Replication.Storages[name] = s
		}
	}
	within := func(dir *string, name string) {
		if *dir == "" && n.DataDir != "" {
			*dir = filepath.Join(n.DataDir, name)
		} else if *dir != "" {
			*dir = l.absolute(*dir)
		}
	}
	within(&n.CacheDir, "cache")
	within(&n.StagingDir, "staging")
	if c.NATS.URL == "" {
		within(&c.NATS.StoreDir, "nats")
	} else if !l.given("nats.listen") {
		c.NATS.Listen = "" // the embedded server's default
	}
	for _, path := range []*string{&c.NATS.CredsFile, &c.NATS.TLS.CAFile, &c.NATS.TLS.CertFile, &c.NATS.TLS.KeyFile} {
		if *path != "" {
			*path = l.absolute(*path)
		}
	}
	l.resolveServices(&c.Failover)
	if n.Name == "" {
		n.Name = nodeName(os.Hostname())
	}
	if len(c.Regions) == 1 && n.Region == "" {
		n.Region = c.Regions[0]
	}
	if c.NATS.Replicas == 0 {
		c.NATS.Replicas = 3
		if c.NATS.URL == "" {
			c.NATS.Replicas = 1
		}
	}
	for name, s := range c.Sources {
		if s.Path != "" {
			s.Path = l.absolute(s.Path)
		}
		if s.Region == "" && len(c.Regions) == 1 {
			s.Region = c.Regions[0]
		}
		c.Sources[name] = s
	}
}

// nodeName turns a host's name into a node's.
func nodeName(host string, err error) string {
	if err != nil || host == "" {
		return "node"
	}
	name := strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return '-'
	}, host)
	return name[:min(len(name), maxName)]
}

// resolveServices makes the paths of services absolute.
func (l *loader) resolveServices(f *Failover) {
	for name, s := range f.Services {
		if s.Routes.DNS.KeyFile != "" {
			s.Routes.DNS.KeyFile = l.absolute(s.Routes.DNS.KeyFile)
			f.Services[name] = s
		}
		for member, m := range s.Members {
			for _, path := range []*string{&m.TokenFile, &m.Postgres.AdminPasswordFile, &m.Postgres.ReplicationPasswordFile} {
				if *path != "" {
					*path = l.absolute(*path)
				}
			}
			s.Members[member] = m
		}
	}
}
