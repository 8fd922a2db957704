package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// chooseStorage turns the directory off that an empty configuration means, when
// another storage is on and nobody asked for the directory.
func (l *loader) chooseStorage(c *Config) {
	const local = "backup.storage.local"
	if l.given("backup.directory") || l.given(local+".enabled") || l.given(local+".path") {
		return
	}
	if len(c.Backup.Storage.kinds("").names()) > 1 || c.listed() {
		c.Backup.Storage.Local.Enabled = false
	}
}

// listed reports whether backup.replication says where this node's region keeps its
// repository.
func (c *Config) listed() bool {
	region := c.Node.Region
	if region == "" && len(c.Regions) == 1 {
		region = c.Regions[0]
	}
	s, ok := c.Backup.Replication.Storages[region]
	return ok && !s.kinds("").empty()
}

func (l *loader) checkStorage(c *Config) {
	const at = "backup.storage"
	b := &c.Backup
	l.oneOf(at+".create", b.Storage.Create, "a choice", CreateAuto, CreateNever)
	k := b.Storage.kinds(at)
	names := k.names()
	switch {
	case len(names) == 0 && c.listed():
	case len(names) == 0:
		l.value(at+".local.enabled", "no storage is left: backups would have nowhere to go; write true")
	case !b.Storage.Local.Enabled:
	case len(names) == 1 && b.Storage.Local.Path != "" && b.Directory != b.Storage.Local.Path:
		l.valuef(at+".local.path", "contradicts backup.directory: %s is not %s; keep one of the two settings", b.Storage.Local.Path, b.Directory)
	}
	l.checkKinds(k)
	l.checkImmutable(b)
	l.checkLimits(b.Storage.Limits)
	l.checkRetries(b.Storage.Retries)
}

// checkImmutable refuses a time that prunes would not extend before it is over.
func (l *loader) checkImmutable(b *Backup) {
	const at = "backup.storage.immutable_days"
	n := b.Storage.ImmutableDays
	l.between(at, n, 0, 3650)
	if n <= 0 || n > 3650 {
		return
	}
	half := Duration(n) * Duration(day) / 2
	switch {
	case !b.Prune.Enabled:
		l.value(at, "a prune extends it for what is needed, and backup.prune.enabled is false: everything would lose its protection; write true")
	case b.Prune.Every >= half:
		l.valuef(at, "prunes extend it, and come every %s (backup.prune.every): half of it must be longer, or what is needed would be without protection for a while", b.Prune.Every)
	}
}

// checkKinds refuses a place that is two at once, and one that cannot be.
func (l *loader) checkKinds(k kinds) {
	if names := k.names(); len(names) > 1 {
		l.clash(k, names[0], names[1])
	}
	if *k.url != "" {
		l.checkURL(k)
	}
	if k.local.Enabled && k.local.Path == "" {
		l.value(k.key+".local.path", "is empty: name the directory for the repository")
	}
	l.checkS3(k.key+".s3", k.s3)
	l.checkAzure(k.key+".azure_blob", k.azure)
	l.checkGCS(k.key+".gcs", k.gcs)
	if k.disperse != nil && k.disperse.Enabled {
		l.checkDisperse(k.key+".disperse", k.disperse)
	}
}

// clash says which two storages are on.
func (l *loader) clash(k kinds, first, second string) {
	switch {
	case first == "local" && !l.given(k.key+".local.enabled"):
		asked := k.key + ".local.path"
		if !l.given(asked) {
			asked = "backup.directory"
		}
		l.valuef(asked, "names a directory for the repository, but %s.%s is on too: a repository lives in one storage; "+
			"write enabled: false under %s.local, or leave the other off", k.key, second, k.key)
	case first == "url":
		l.valuef(k.key+".url", "clashes with %s.%s, which is on too: a repository lives in one storage; keep one of the two", k.key, second)
	default:
		l.valuef(k.key+"."+second+".enabled", "clashes with %s.%s, which is on too: a repository lives in one storage; turn one of the two off", k.key, first)
	}
}

// checkURL refuses a URL of no known kind, and secrets in it.
func (l *loader) checkURL(k kinds) {
	key, kindsOf := k.key+".url", "file:///path, s3://bucket/prefix, azblob://container/prefix or gs://bucket/prefix"
	u, err := url.Parse(*k.url)
	switch {
	case strings.HasPrefix(*k.url, "disperse:"):
		l.value(key, "several storages are named one by one, in the section disperse of backup.storage or of a region's storage")
	case err != nil || u.Scheme == "" || !strings.Contains(*k.url, "://"):
		l.value(key, "is not the URL of a storage: write "+kindsOf)
	case u.User != nil:
		l.value(key, "must hold neither user nor password: they go into the section of its kind, by file or by environment")
	case u.Fragment != "" || strings.HasSuffix(*k.url, "#"):
		l.value(key, "has a part behind a #, which no storage knows: write # as %23 where a name holds one")
	case sectionOf(*k.url) == "":
		l.valuef(key, "%q is not a kind of storage: write %s", u.Scheme+"://", kindsOf)
	case u.Scheme != "file" && u.Host == "":
		l.valuef(key, "names no bucket: write %s://NAME/prefix", u.Scheme)
	case u.Scheme == "file" && (u.Host != "" && u.Host != "localhost" || u.Path == ""):
		l.value(key, "a file URL has no host and an absolute path: write file:///path")
	default:
		for name := range u.Query() {
			if soundsSecret(name) && name != "credentials_file" {
				l.valuef(key, "must not hold %s: secrets go into the section of its kind, by file or by environment", name)
				return
			}
		}
		l.checkEndpoint(key, u.Query().Get("endpoint"))
	}
}

func (l *loader) checkS3(key string, s *S3Storage) {
	if s.Enabled {
		l.bucket(key+".bucket", s.Bucket, "the bucket")
	}
	l.checkEndpoint(key+".endpoint", s.Endpoint)
	l.prefix(key+".prefix", s.Prefix)
	l.oneOfOrNone(key+".server_side_encryption", s.ServerSideEncryption, "a kind of encryption by the server", "s3", "kms", "kms-dsse", "customer")
	if s.KMSKey != "" && !strings.HasPrefix(s.ServerSideEncryption, "kms") {
		l.value(key+".kms_key", `needs server_side_encryption: "kms"`)
	}
	switch has := s.CustomerKeyFile != ""; {
	case has && s.ServerSideEncryption != "customer":
		l.value(key+".customer_key_file", `needs server_side_encryption: "customer"`)
	case !has && s.ServerSideEncryption == "customer":
		l.missing(key+".customer_key_file", `is missing, but server_side_encryption is "customer": name the file that holds the key`, key)
	case has:
		l.private(key+".customer_key_file", s.CustomerKeyFile)
	}
	l.oneOfOrNone(key+".object_lock", s.ObjectLock, "a kind of lock", "governance", "compliance")
	switch {
	case s.AccessKey.IsZero() && !s.SecretKey.IsZero():
		l.missing(key+".access_key", "is missing, but secret_key is given: a key has both parts", key)
	case !s.AccessKey.IsZero() && s.SecretKey.IsZero():
		l.missing(key+".secret_key", "is missing, but access_key is given: a key has both parts", key)
	case !s.SessionToken.IsZero() && s.AccessKey.IsZero():
		l.missing(key+".access_key", "is missing, but session_token is given: it goes with a key", key)
	case !s.AccessKey.IsZero() && s.Profile != "":
		l.value(key+".profile", "is given beside access_key: keep one way to log in")
	}
	l.reachedBy(key, s.Proxy, s.CAFile)
}

func (l *loader) checkAzure(key string, s *AzureBlobStorage) {
	if s.Enabled {
		l.bucket(key+".container", s.Container, "the container")
	}
	l.checkEndpoint(key+".endpoint", s.Endpoint)
	l.prefix(key+".prefix", s.Prefix)
	if !s.AccountKey.IsZero() && !s.SAS.IsZero() {
		l.value(key+".sas", "is given beside account_key: keep one way to log in")
	}
	l.oneOfOrNone(key+".immutability", s.Immutability, "a kind of lock", "unlocked", "locked")
	l.reachedBy(key, s.Proxy, s.CAFile)
}

func (l *loader) checkGCS(key string, s *GCSStorage) {
	if s.Enabled {
		l.bucket(key+".bucket", s.Bucket, "the bucket")
	}
	l.checkEndpoint(key+".endpoint", s.Endpoint)
	l.prefix(key+".prefix", s.Prefix)
	l.oneOfOrNone(key+".retention", s.Retention, "a kind of lock", "unlocked", "locked")
	if s.CredentialsFile != "" {
		l.private(key+".credentials_file", s.CredentialsFile)
	}
	l.reachedBy(key, s.Proxy, s.CAFile)
}

func (l *loader) checkDisperse(key string, s *DisperseStorage) {
	const most = 32
	if s.Data < 2 || s.Data >= most {
		l.valuef(key+".data", "must be from 2 to %d, not %d; whole copies are made by backup.replication", most-1, s.Data)
	}
	l.between(key+".parity", s.Parity, 1, most-1)
	n := s.Data + s.Parity
	switch least := max(s.Data, s.Parity+1); {
	case n > most:
		l.valuef(key+".parity", "data + parity is %d: at most %d storages can be spread over", n, most)
	case len(s.Storages) != n:
		l.valuef(key+".storages", "are %d, but data + parity is %d: name exactly so many", len(s.Storages), n)
	case s.Quorum != 0 && (s.Quorum < least || s.Quorum > n):
		l.valuef(key+".quorum", "must be from %d to %d with %d + %d storages, or 0 for the default; not %d", least, n, s.Data, s.Parity, s.Quorum)
	}
	for i := range s.Storages {
		at := element(key+".storages", i)
		k := s.Storages[i].kinds(at)
		if k.empty() {
			l.value(at, "is no storage: write enabled: true under one of local, s3, azure_blob and gcs, or give a url")
			continue
		}
		l.checkKinds(k)
		for j := range i {
			if k.place().same(s.Storages[j].kinds("").place()) {
				l.valuef(at, "is the same place as %s: losing it would lose two at once", element(key+".storages", j))
			}
		}
	}
}

// oneOfOrNone refuses a word that is not one of a few, unless it is none.
func (l *loader) oneOfOrNone(key, value, what string, choices ...string) {
	if value != "" {
		l.oneOf(key, value, what, choices...)
	}
}

// bucket refuses what cannot name a bucket or a container.
func (l *loader) bucket(key, name, what string) {
	switch {
	case name == "":
		l.value(key, "is missing: name "+what)
	case strings.ContainsAny(name, "/:?#@ "):
		l.valuef(key, "%q cannot name %s: write the name alone, and what comes after it as prefix", name, what)
	}
}

func (l *loader) prefix(key, prefix string) {
	switch {
	case strings.HasPrefix(prefix, "/"):
		l.about(key, `names of objects do not begin with "/": write the prefix without it`, strings.TrimLeft(prefix, "/"))
	case slices.ContainsFunc(strings.Split(prefix, "/"), func(part string) bool { return part == "." || part == ".." }):
		l.value(key, `"." and ".." have no meaning in names of objects: write the prefix without them`)
	}
}

// checkEndpoint refuses a server that would be spoken to in the clear.
func (l *loader) checkEndpoint(key, endpoint string) {
	if endpoint == "" {
		return
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		l.value(key, "is not the URL of a server: write https://host or https://host:port")
	case u.User != nil:
		l.value(key, "must hold neither user nor password: give them by file or by environment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		l.valuef(key, `%s is another machine, and backups cross the network only under TLS 1.3: write "https://%s"`, u.Hostname(), u.Host)
	}
}

// reachedBy checks the way to a server.
func (l *loader) reachedBy(key, proxy, caFile string) {
	if caFile != "" {
		l.readable(key+".ca_file", caFile)
	}
	if proxy == "" || proxy == "direct" {
		return
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		l.value(key+".proxy", `is not the URL of a proxy: write "http://host:port", "socks5://host:port", or "direct" for none`)
		return
	}
	if u.User != nil {
		l.value(key+".proxy", "must hold neither user nor password: name it in the environment instead, as HTTPS_PROXY")
	}
}
