package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ReplicasFolder is where, in a region's own storage, copies of other regions'
// repositories lie.
const ReplicasFolder = "replicas"

// Place is one place for objects.
type Place struct {
	// Key is the dotted path of the settings that name it.
	Key string
	// URL is how storage.Open takes it. It holds no secret.
	URL string
	// Secrets are what opens it. Those of a place that is spread over others are with
	// them.
	Secrets StorageSecrets
	// Spread is over which others objects are spread; nil for one place.
	Spread *Spread
	// Parity is whether a repository that is made there keeps parity, should it be
	// a directory.
	Parity bool
}

// Spread is an erasure code over several places: Data of them are enough to read
// all, Quorum of them must have an object before it counts as stored.
type Spread struct {
	Members              []Place
	Data, Parity, Quorum int
}

// StorageSecrets are the credentials of one storage. What is not given is left to
// the usual chain of its kind.
type StorageSecrets struct {
	// AccessKey, SecretKey and SessionToken are S3's.
	AccessKey, SecretKey, SessionToken Secret
	// AccountKey and SAS are Azure's.
	AccountKey, SAS Secret
	// CredentialsFile is Google's.
	CredentialsFile string
}

// IsZero reports whether there are none.
func (s StorageSecrets) IsZero() bool { return s == StorageSecrets{} }

// String names the place for people.
func (p Place) String() string { return p.URL }

// url renders the spread as storage/dispersed reads it.
func (s Spread) url() string {
	var b strings.Builder
	fmt.Fprintf(&b, "disperse:%d+%d?", s.Data, s.Parity)
	if s.Quorum > 0 {
		fmt.Fprintf(&b, "quorum=%d&", s.Quorum)
	}
	for i, m := range s.Members {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString("at=" + url.QueryEscape(m.URL))
	}
	return b.String()
}

// in returns the folder of that name inside a place; of one that is spread over
// others, it is in each of them.
func (p Place) in(folder string) Place {
	if p.Spread != nil {
		inner := *p.Spread
		inner.Members = make([]Place, len(p.Spread.Members))
		for i, m := range p.Spread.Members {
			inner.Members[i] = m.in(folder)
		}
		p.Spread, p.URL = &inner, inner.url()
		return p
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return p // refused when it was checked
	}
	u.Path = path.Join("/", u.Path, folder)
	if u.Scheme != "file" {
		u.Path += "/"
	}
	p.URL = u.String()
	return p
}

// same reports whether two places are one: whatever else their URLs say, what is
// put into one is found in the other.
func (p Place) same(other Place) bool {
	if p.Spread == nil || other.Spread == nil {
		return p.Spread == other.Spread && identity(p.URL) == identity(other.URL)
	}
	return slices.EqualFunc(p.Spread.Members, other.Spread.Members, Place.same)
}

// identity is the part of a URL that says which place it is.
func identity(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	where := q.Get("endpoint")
	if u.Scheme == "azblob" && where == "" {
		where = q.Get("account")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + "/" + strings.Trim(path.Clean("/"+u.Path), "/") + " " + strings.TrimRight(where, "/")
}

// directory is the directory that a place is, if it is one of this machine.
func (p Place) directory() (string, bool) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "file" || p.URL == "" {
		return "", false
	}
	name := filepath.FromSlash(u.Path)
	if trimmed := strings.TrimPrefix(name, string(filepath.Separator)); filepath.VolumeName(trimmed) != "" {
		name = trimmed // C:\backups, on Windows
	}
	return name, true
}

// fileURL renders an absolute path as a file URL, on Windows too.
func fileURL(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String()
}

// bucketURL renders a place of an object store; settings that are empty are left
// out.
func bucketURL(scheme, bucket, prefix string, settings ...string) string {
	u := url.URL{Scheme: scheme, Host: bucket, Path: path.Join("/", prefix)}
	if u.Path != "/" {
		u.Path += "/"
	}
	q := url.Values{}
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i+1] != "" {
			q.Set(settings[i], settings[i+1])
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// yes renders a setting that is on; off is what it is without being said.
func yes(on bool) string {
	if on {
		return strconv.FormatBool(on)
	}
	return ""
}

func (s LocalStorage) place() Place { return Place{URL: fileURL(s.Path)} }

func (s S3Storage) place() Place {
	return Place{Secrets: s.secrets(), URL: bucketURL(
		"s3", s.Bucket, s.Prefix, "region", s.Region, "endpoint", s.Endpoint, "path_style", yes(s.PathStyle),
		"class", s.Class, "cold_class", s.ColdClass, "sse", s.ServerSideEncryption, "kms_key", s.KMSKey, "customer_key_file", s.CustomerKeyFile, "lock", s.ObjectLock,
		"profile", s.Profile, "role", s.Role, "proxy", s.Proxy, "ca_file", s.CAFile,
	)}
}

func (s S3Storage) secrets() StorageSecrets {
	return StorageSecrets{AccessKey: s.AccessKey, SecretKey: s.SecretKey, SessionToken: s.SessionToken}
}

func (s AzureBlobStorage) place() Place {
	return Place{Secrets: s.secrets(), URL: bucketURL(
		"azblob", s.Container, s.Prefix, "account", s.Account, "endpoint", s.Endpoint, "tier", s.Tier, "cold_tier", s.ColdTier,
		"encryption_scope", s.EncryptionScope, "immutability", s.Immutability, "proxy", s.Proxy, "ca_file", s.CAFile,
	)}
}

func (s AzureBlobStorage) secrets() StorageSecrets {
	return StorageSecrets{AccountKey: s.AccountKey, SAS: s.SAS}
}

func (s GCSStorage) place() Place {
	return Place{Secrets: s.secrets(), URL: bucketURL(
		"gs", s.Bucket, s.Prefix, "endpoint", s.Endpoint, "class", s.Class, "cold_class", s.ColdClass,
		"kms_key", s.KMSKey, "retention", s.Retention, "proxy", s.Proxy, "ca_file", s.CAFile,
	)}
}

func (s GCSStorage) secrets() StorageSecrets {
	return StorageSecrets{CredentialsFile: s.CredentialsFile}
}
