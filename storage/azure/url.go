package azure

import (
	"errors"
	"net/url"

	"mahavishnu/fault"
	"mahavishnu/storage/location"
)

// parameters are what a URL may say behind the question mark; docs/storage-azure.md
// tells what each means.
var parameters = []string{
	"account", "endpoint", "tier", "cold_tier", "encryption_scope", "customer_key_file", "immutability", "account_key_file", "sas_file", "ca_file", "proxy",
}

// whereSecretsGo tells how credentials are given, since a URL may not hold them.
const whereSecretsGo = "take it out; credentials come from AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, from account_key_file= or sas_file=, from the configuration's files, or from the machine's own identity"

// ParseURL returns what azblob://container/prefix?account=…&endpoint=… says. It
// holds no secret: a URL with one is refused.
func ParseURL(u *url.URL) (Config, error) {
	p, err := location.Parse(u, parameters, whereSecretsGo)
	if err != nil {
		return Config{}, err
	}
	if u.Scheme != "azblob" || u.Opaque != "" {
		return Config{}, fault.New(opOpen, location.Shown(u), errors.New("not the URL of a container"), "write it as azblob://container/prefix?account=NAME")
	}
	c := Config{
		Container: u.Host, Prefix: u.Path, Account: p["account"], Endpoint: p["endpoint"],
		Tier: p["tier"], ColdTier: p["cold_tier"], EncryptionScope: p["encryption_scope"],
		CustomerKeyFile: p["customer_key_file"], Immutability: p["immutability"],
		AccountKeyFile: p["account_key_file"], SASFile: p["sas_file"], CAFile: p["ca_file"], Proxy: p["proxy"],
	}
	if v, err := url.Parse(c.Proxy); err == nil && v.User != nil {
		return Config{}, fault.New(opOpen, location.Shown(u), errors.New("a user or password in proxy"), whereSecretsGo)
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// place returns where the objects are as a URL that ParseURL reads: container,
// prefix, account and endpoint, and no secret.
func (c Config) place() string {
	query := url.Values{}
	for name, value := range map[string]string{"account": c.Account, "endpoint": c.Endpoint} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u := url.URL{Scheme: "azblob", Host: c.Container, RawQuery: query.Encode()}
	if c.Prefix != "" {
		u.Path = "/" + c.Prefix
	}
	return u.String()
}
