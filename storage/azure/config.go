package azure

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/location"
)

const opOpen = "open storage"

// longestName is how long the name of a blob may be, in bytes.
const longestName = 1024

// Config says which container, how it is reached, and how blobs are stored. Only
// Container is required, and Account unless something else names it: the endpoint, the
// connection string or AZURE_STORAGE_ACCOUNT.
type Config struct {
	// Account is the storage account.
	Account string
	// Container is the container's name. It has to exist.
	Container string
	// Prefix is what every blob's name begins with: parts of letters, digits and
	// "._%+@=-" with slashes between them; "" for the whole container. Nothing outside
	// it is ever listed or touched.
	Prefix string
	// Endpoint is the URL of the account's blob service, for other clouds and private
	// endpoints; "" for https://ACCOUNT.blob.core.windows.net. Where its host is an
	// address or localhost, the account is the first part of its path, which may
	// be left out.
	Endpoint string

	// Tier is the access tier of blobs: "Hot", "Cool" or "Cold"; "" for the account's
	// default. It may not be "Archive", since indexes and snapshots are read all the time.
	Tier string
	// ColdTier is the tier of objects put with PutOptions.Cold: "Cool", "Cold" or
	// "Archive"; "" for Tier. See [smallestCold].
	ColdTier string
	// EncryptionScope is the scope of the server's own encryption that blobs are
	// written under; "" for the container's default. The scope names the key, a
	// customer-managed one too.
	EncryptionScope string
	// CustomerKey is a key that the server encrypts with and does not keep: 32 bytes in
	// base64 or hexadecimal, by value or in the file CustomerKeyFile. It takes the place
	// of an encryption scope, and blobs with it cannot be archived.
	CustomerKey, CustomerKeyFile string
	// Immutability is the mode of the policy for objects that are to be retained: "locked"
	// (nobody can delete them), "unlocked" (those who may change policies can),
	// or "": retention is switched off.
	Immutability string

	// AccountKey, SAS and ConnectionString are credentials by value, at most one of
	// them; all "" for the standard chain: AZURE_STORAGE_CONNECTION_STRING,
	// AZURE_STORAGE_KEY and AZURE_STORAGE_SAS_TOKEN, a service principal of the
	// environment, workload identity, managed identity, the login of the tools.
	AccountKey, SAS, ConnectionString string
	// AccountKeyFile and SASFile name files with such a secret.
	AccountKeyFile, SASFile string

	// CAFile, Proxy and Wrap are those of package remote.
	CAFile, Proxy string
	Wrap          func(http.RoundTripper) http.RoundTripper
	// Clock is asked when a server names a date to try again, and whether a retention has
	// ended; nil: the machine's.
	Clock clock.Clock
}

// smallestCold is the size from which an object goes to the cold tier. The colder
// tiers bill a smaller one as 128 KB, and for as long as larger ones.
const smallestCold = 128 << 10

var (
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])+$`)
	scopeName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{1,61}[A-Za-z0-9]$`)
	policyModes   = []string{"locked", "unlocked"}
	tiers         = []string{string(blob.AccessTierHot), string(blob.AccessTierCool), string(blob.AccessTierCold)}
	coldTiers     = append(tiers[:len(tiers):len(tiers)], string(blob.AccessTierArchive))
)

// check brings the configuration into its one form, or says what is wrong with it.
func (c *Config) check() error {
	if len(c.Container) < 3 || len(c.Container) > 63 || !containerName.MatchString(c.Container) {
		return fault.New(opOpen, fmt.Sprintf("azblob://%.70s", c.Container), errors.New("not the name of a container"),
			"a container's name has 3 to 63 small letters, digits and single dashes; write azblob://container/prefix?account=NAME")
	}
	where := "azblob://" + c.Container
	c.Prefix = strings.Trim(c.Prefix, "/")
	if c.Prefix != "" && (!backend.ValidName(c.Prefix) || len(c.Prefix)+1+backend.MaxName > longestName) {
		return fault.New(opOpen, where, errors.New("the prefix cannot be used"),
			`a prefix has parts of letters, digits and "._%+@=-" with slashes between them, not beginning with a dot, and at most 500 bytes`)
	}
	if c.Account != "" && !accountName.MatchString(c.Account) {
		return fault.New(opOpen, where, fmt.Errorf("account: %.70q is not the name of a storage account", c.Account),
			"an account's name has 3 to 24 small letters and digits")
	}
	if c.EncryptionScope != "" && !scopeName.MatchString(c.EncryptionScope) {
		return fault.New(opOpen, where, fmt.Errorf("encryption_scope: %.70q is not the name of an encryption scope", c.EncryptionScope),
			"name a scope of the account: az storage account encryption-scope list")
	}
	if c.CustomerKey != "" && c.CustomerKeyFile != "" {
		return fault.New(opOpen, where, errors.New("the customer key both by value and by file"), "keep one of them")
	}
	if c.EncryptionScope != "" && c.customerKey() {
		return fault.New(opOpen, where, errors.New("an encryption scope and a customer key at once"), "keep one of them: the scope has a key already")
	}
	if err := c.checkTiers(where); err != nil {
		return err
	}
	if err := location.OneOf("immutability", c.Immutability, policyModes); err != nil {
		return err
	}
	if c.Endpoint != "" {
		if _, err := c.service(); err != nil {
			return err
		}
	}
	return c.checkCredentials(where)
}

func (c *Config) checkTiers(where string) error {
	c.Tier, c.ColdTier = spelled(c.Tier, coldTiers), spelled(c.ColdTier, coldTiers)
	if c.Tier == string(blob.AccessTierArchive) {
		return fault.New(opOpen, where, errors.New("tier: blobs in Archive cannot be read at once"),
			"name it as cold_tier: then packs go there, and what is read all the time does not")
	}
	if err := location.OneOf("tier", c.Tier, tiers); err != nil {
		return err
	}
	if c.ColdTier == string(blob.AccessTierArchive) && c.customerKey() {
		return fault.New(opOpen, where, errors.New("cold_tier: blobs with a customer key cannot be thawed"), "use Cold, or an encryption scope in place of the key")
	}
	return location.OneOf("cold_tier", c.ColdTier, coldTiers)
}

// customerKey tells whether the caller brings the key.
func (c *Config) customerKey() bool { return c.CustomerKey != "" || c.CustomerKeyFile != "" }

// spelled returns a word as it is spelled in a list, whatever its letters' case.
func spelled(word string, list []string) string {
	for _, known := range list {
		if strings.EqualFold(word, known) {
			return known
		}
	}
	return word
}

func (c *Config) checkCredentials(where string) error {
	given := 0
	for _, secret := range []string{c.AccountKey, c.SAS, c.ConnectionString, c.AccountKeyFile, c.SASFile} {
		if secret != "" {
			given++
		}
	}
	if given > 1 {
		return fault.New(opOpen, where, errors.New("several kinds of credentials at once"),
			"give the account's key, a shared access signature or a connection string, each by value or by file, but only one of them")
	}
	return nil
}

// service returns the URL of the account's blob service, without a slash at its end.
func (c *Config) service() (*url.URL, error) {
	if c.Endpoint == "" {
		return &url.URL{Scheme: "https", Host: c.Account + ".blob.core.windows.net"}, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(opOpen, "the configured endpoint", errors.New("not the URL of a blob service"),
			"write it as https://ACCOUNT.blob.core.windows.net, without a container and without a signature")
	}
	if u.User != nil {
		return nil, fault.New(opOpen, u.Redacted(), errors.New("a user or password in the endpoint"), whereSecretsGo)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	if u.Path == "" && c.Account != "" && pathStyle(u.Hostname()) {
		u.Path = "/" + c.Account
	}
	return u, nil
}

// pathStyle tells whether the account is in the path of a server's URLs and not in its
// host's name.
func pathStyle(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}

// accountOf returns the account that an endpoint names, or "".
func accountOf(service *url.URL) string {
	if pathStyle(service.Hostname()) {
		name, _, _ := strings.Cut(strings.TrimPrefix(service.Path, "/"), "/")
		return name
	}
	name, rest, _ := strings.Cut(service.Hostname(), ".")
	if strings.HasPrefix(rest, "blob.") || strings.HasPrefix(rest, "privatelink.blob.") {
		return name
	}
	return ""
}
