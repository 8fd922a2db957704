package s3

import (
	"errors"
	"net/url"

	"mahavishnu/fault"
	"mahavishnu/storage/location"
)

// parameters are what a URL may say behind the question mark; docs/storage-s3.md
// tells what each means.
var parameters = []string{
	"endpoint", "region", "path_style", "class", "cold_class", "sse", "kms_key", "customer_key_file", "lock", "ca_file", "proxy", "profile", "role",
}

// whereSecretsGo tells how credentials are given, since a URL may not hold them.
const whereSecretsGo = "take it out; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from ~/.aws, from the configuration's files, or from the machine's own role"

// ParseURL returns what s3://bucket/prefix?endpoint=…&region=… says. It holds no
// secret: a URL with one is refused.
func ParseURL(u *url.URL) (Config, error) {
	const op = "open storage"
	p, err := location.Parse(u, parameters, whereSecretsGo)
	if err != nil {
		return Config{}, err
	}
	if u.Scheme != "s3" || u.Opaque != "" {
		return Config{}, fault.New(op, location.Shown(u), errors.New("not the URL of a bucket"), "write it as s3://bucket/prefix")
	}
	c := Config{
		Bucket: u.Host, Prefix: u.Path,
		Endpoint: p["endpoint"], Region: p["region"],
		Class: p["class"], ColdClass: p["cold_class"], SSE: p["sse"], KMSKey: p["kms_key"], CustomerKeyFile: p["customer_key_file"], Lock: p["lock"],
		CAFile: p["ca_file"], Proxy: p["proxy"], Profile: p["profile"], Role: p["role"],
	}
	if style, ok, err := p.Bool("path_style"); err != nil {
		return Config{}, err
	} else if ok {
		c.PathStyle = &style
	}
	for _, server := range []struct{ parameter, url string }{{"endpoint", c.Endpoint}, {"proxy", c.Proxy}} {
		if v, err := url.Parse(server.url); err == nil && v.User != nil {
			return Config{}, fault.New(op, location.Shown(u), errors.New("a user or password in "+server.parameter), whereSecretsGo)
		}
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// place returns where the objects are as a URL that ParseURL reads: bucket,
// prefix, endpoint and region, and no secret.
func (c Config) place() string {
	query := url.Values{}
	for name, value := range map[string]string{"endpoint": c.Endpoint, "region": c.Region} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u := url.URL{Scheme: "s3", Host: c.Bucket, RawQuery: query.Encode()}
	if c.Prefix != "" {
		u.Path = "/" + c.Prefix
	}
	return u.String()
}
