package gcs

import (
	"errors"
	"net/url"

	"mahavishnu/fault"
	"mahavishnu/storage/location"
)

// parameters are what a URL may say behind the question mark; docs/storage-gcs.md
// tells what each means.
var parameters = []string{
	"endpoint", "class", "cold_class", "kms_key", "customer_key_file", "retention", "credentials_file", "ca_file", "proxy",
}

// whereSecretsGo tells how credentials are given, since a URL may not hold them.
const whereSecretsGo = "take it out; credentials come from GOOGLE_APPLICATION_CREDENTIALS, from credentials_file=, from the configuration's files, from gcloud's login, or from the machine's own service account"

// ParseURL returns what gs://bucket/prefix?endpoint=…&class=… says. It holds no
// secret: a URL with one is refused.
func ParseURL(u *url.URL) (Config, error) {
	p, err := location.Parse(u, parameters, whereSecretsGo)
	if err != nil {
		return Config{}, err
	}
	if u.Scheme != "gs" || u.Opaque != "" {
		return Config{}, fault.New(opOpen, location.Shown(u), errors.New("not the URL of a bucket"), "write it as gs://bucket/prefix")
	}
	c := Config{
		Bucket: u.Host, Prefix: u.Path, Endpoint: p["endpoint"],
		Class: p["class"], ColdClass: p["cold_class"], KMSKey: p["kms_key"], CustomerKeyFile: p["customer_key_file"], Retention: p["retention"],
		CredentialsFile: p["credentials_file"], CAFile: p["ca_file"], Proxy: p["proxy"],
	}
	if v, err := url.Parse(c.Proxy); err == nil && v.User != nil {
		return Config{}, fault.New(opOpen, location.Shown(u), errors.New("a user or password in proxy"), whereSecretsGo)
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// place returns where the objects are as a URL that ParseURL reads: bucket, prefix
// and endpoint, and no secret.
func (c Config) place() string {
	query := url.Values{}
	if c.Endpoint != "" {
		query.Set("endpoint", c.Endpoint)
	}
	u := url.URL{Scheme: "gs", Host: c.Bucket, RawQuery: query.Encode()}
	if c.Prefix != "" {
		u.Path = "/" + c.Prefix
	}
	return u.String()
}
