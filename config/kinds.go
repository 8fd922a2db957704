package config

import (
	"net/url"
	"slices"
	"strings"
)

// kinds is what every place in a configuration has: a section for each kind of
// storage, of which one is used.
type kinds struct {
	key   string // dotted path of the place
	url   *string
	local *LocalStorage
	s3    *S3Storage
	azure *AzureBlobStorage
	gcs   *GCSStorage
	// disperse is nil where nothing can be spread.
	disperse *DisperseStorage
}

func (s *Storage) kinds(key string) kinds {
	return kinds{key, &s.URL, &s.Local, &s.S3, &s.AzureBlob, &s.GCS, &s.Disperse}
}

func (s *RegionStorage) kinds(key string) kinds {
	return kinds{key, &s.URL, &s.Local, &s.S3, &s.AzureBlob, &s.GCS, &s.Disperse}
}

func (s *ReplicaStorage) kinds(key string) kinds {
	return kinds{key, &s.URL, &s.Local, &s.S3, &s.AzureBlob, &s.GCS, nil}
}

func (s *DisperseMember) kinds(key string) kinds {
	return kinds{key, &s.URL, &s.Local, &s.S3, &s.AzureBlob, &s.GCS, nil}
}

// names are the sections that are in use, or "url".
func (k kinds) names() []string {
	var on []string
	for _, each := range []struct {
		name string
		on   bool
	}{
		{"url", *k.url != ""},
		{"local", k.local.Enabled},
		{"s3", k.s3.Enabled},
		{"azure_blob", k.azure.Enabled},
		{"gcs", k.gcs.Enabled},
		{"disperse", k.disperse != nil && k.disperse.Enabled},
	} {
		if each.on {
			on = append(on, each.name)
		}
	}
	return on
}

// empty reports whether no kind is in use.
func (k kinds) empty() bool { return len(k.names()) == 0 }

// place returns what the sections describe.
func (k kinds) place() Place {
	var p Place
	switch names := k.names(); {
	case len(names) == 0:
	case names[0] == "url":
		p = Place{URL: *k.url, Secrets: k.secretsFor(*k.url)}
	case names[0] == "local":
		p = k.local.place()
	case names[0] == "s3":
		p = k.s3.place()
	case names[0] == "azure_blob":
		p = k.azure.place()
	case names[0] == "gcs":
		p = k.gcs.place()
	default:
		p = k.disperse.place(k.key + ".disperse")
	}
	p.Key, p.Parity = k.key, k.local.Parity
	return p
}

// secretsFor returns the secrets of the section of a URL's kind.
func (k kinds) secretsFor(location string) StorageSecrets {
	switch scheme, _, _ := strings.Cut(location, ":"); scheme {
	case "s3":
		return k.s3.secrets()
	case "azblob":
		return k.azure.secrets()
	case "gs":
		return k.gcs.secrets()
	}
	return StorageSecrets{}
}

func (s DisperseStorage) place(key string) Place {
	spread := Spread{Data: s.Data, Parity: s.Parity, Quorum: s.Quorum}
	for i := range s.Storages {
		spread.Members = append(spread.Members, s.Storages[i].kinds(element(key+".storages", i)).place())
	}
	return Place{URL: spread.url(), Spread: &spread}
}

// each calls fn for the kinds, and for those of the storages that they are spread
// over.
func (k kinds) each(fn func(kinds)) {
	fn(k)
	if k.disperse == nil {
		return
	}
	for i := range k.disperse.Storages {
		fn(k.disperse.Storages[i].kinds(element(k.key+".disperse.storages", i)))
	}
}

// eachPlace calls fn for every set of sections of the configuration; what it
// changes stays.
func (c *Config) eachPlace(fn func(kinds)) {
	c.Backup.Storage.kinds("backup.storage").each(fn)
	const at = "backup.replication.storages."
	for _, name := range sortedKeys(c.Backup.Replication.Storages) {
		s := c.Backup.Replication.Storages[name]
		s.kinds(at + name).each(fn)
		s.Replicas.kinds(at + name + ".replicas").each(fn)
		c.Backup.Replication.Storages[name] = s
	}
}

// Own is where this node's region keeps its repository.
func (c *Config) Own() Place {
	if p, ok := c.RegionPlace(c.Node.Region); ok {
		return p
	}
	return c.Backup.Storage.kinds("backup.storage").place()
}

// Place is the URL of the repository, as storage.Open takes it.
func (c *Config) Place() string { return c.Own().String() }

// RegionPlace is where a region keeps its repository; false when this machine
// does not know.
func (c *Config) RegionPlace(region string) (Place, bool) {
	if s, ok := c.Backup.Replication.Storages[region]; ok {
		if k := s.kinds("backup.replication.storages." + region); !k.empty() {
			return k.place(), true
		}
	}
	if region != c.Node.Region {
		return Place{}, false
	}
	return c.Backup.Storage.kinds("backup.storage").place(), true
}

// ReplicaPlace is where a region keeps its copy of another's repository; false
// when this machine does not know.
func (c *Config) ReplicaPlace(primary, secondary string) (Place, bool) {
	if s, ok := c.Backup.Replication.Storages[secondary]; ok {
		if k := s.Replicas.kinds("backup.replication.storages." + secondary + ".replicas"); !k.empty() {
			return k.place().in(primary), true
		}
	}
	own, ok := c.RegionPlace(secondary)
	if !ok {
		return Place{}, false
	}
	return own.in(ReplicasFolder + "/" + primary), true
}

// SecretsFor returns the secrets for a URL that somebody typed: those of the
// place of the configuration that it lies in or beside, else those of the section
// of its kind in backup.storage when that is off, which the environment may have
// filled. Secrets never go to a server or an account they do not belong to.
func (c *Config) SecretsFor(location string) StorageSecrets {
	var best StorageSecrets
	longest := -1
	consider := func(p Place) {
		if p.Secrets.IsZero() || serverOf(p.URL) != serverOf(location) {
			return
		}
		if n := shared(identity(p.URL), identity(location)); n > longest {
			best, longest = p.Secrets, n
		}
	}
	c.eachPlace(func(k kinds) { consider(k.place()) })
	if longest >= 0 {
		return best
	}
	own := c.Backup.Storage.kinds("backup.storage")
	if names := own.names(); len(names) > 0 && slices.Contains([]string{"s3", "azure_blob", "gcs"}, names[0]) && sectionOf(location) == names[0] {
		return StorageSecrets{} // they are another server's
	}
	return own.secretsFor(location)
}

// sectionOf names the section of a URL's kind.
func sectionOf(location string) string {
	scheme, _, _ := strings.Cut(location, ":")
	return map[string]string{"s3": "s3", "azblob": "azure_blob", "gs": "gcs", "file": "local"}[scheme]
}

// serverOf names the server and the account that a URL's secrets go to.
func serverOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	q := u.Query()
	server := u.Scheme + " " + strings.TrimRight(strings.ToLower(q.Get("endpoint")), "/")
	if u.Scheme == "azblob" {
		server += " " + q.Get("account")
	}
	return server
}

// shared is how many bytes two texts begin alike with.
func shared(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
