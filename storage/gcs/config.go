package gcs

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/location"
)

const opOpen = "open storage"

// longestName is how long the name of an object may be, in bytes.
const longestName = 1024

// public is where Google serves.
const public = "https://storage.googleapis.com"

// Config says which bucket, how it is reached, and how objects are stored. Only
// Bucket is required.
type Config struct {
	// Bucket is the bucket's name. It has to exist.
	Bucket string
	// Prefix is what every object's name begins with: parts of letters, digits and
	// "._%+@=-" with slashes between them; "" for the whole bucket. Nothing outside it
	// is ever listed or touched.
	Prefix string
	// Endpoint is the server's URL, without a path, for private endpoints and other
	// servers; "" for https://storage.googleapis.com. A server of this machine is asked
	// without credentials, unless Credentials or CredentialsFile gives some.
	Endpoint string

	// Class is the storage class of objects: STANDARD, NEARLINE, COLDLINE or ARCHIVE; ""
	// for the bucket's default. All of them are read at once; the colder ones cost
	// more for each read, and are billed for 30, 90 or 365 days at least.
	Class string
	// ColdClass is the class of objects put with PutOptions.Cold; "" for Class.
	ColdClass string
	// KMSKey is the key of Cloud KMS that the server encrypts with, as
	// projects/P/locations/L/keyRings/R/cryptoKeys/K; "" for the bucket's default.
	KMSKey string
	// CustomerKey is a key that the server encrypts with and does not keep: 32 bytes in
	// base64 or hexadecimal, by value or in the file CustomerKeyFile. It takes the
	// place of KMSKey.
	CustomerKey, CustomerKeyFile string
	// Retention is the mode for objects that are to be retained: "locked" (nobody can delete
	// them), "unlocked" (those with storage.objects.overrideUnlockedRetention can), or "":
	// retention is switched off.
	Retention string

	// Credentials are credentials in JSON by value, CredentialsFile names a file of them:
	// of a service account, of workload identity federation, of a user. "" for the
	// application default credentials: GOOGLE_APPLICATION_CREDENTIALS, the login of
	// gcloud, the machine's service account.
	Credentials, CredentialsFile string

	// CAFile, Proxy and Wrap are those of package remote.
	CAFile, Proxy string
	Wrap          func(http.RoundTripper) http.RoundTripper
	// Clock is asked when a server names a date to try again, and whether a retention has
	// ended; nil: the machine's.
	Clock clock.Clock
}

var (
	bucketName     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	kmsKey         = regexp.MustCompile(`^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$`)
	classes        = []string{"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}
	retentionModes = []string{"locked", "unlocked"}
)

// check brings the configuration into its one form, or says what is wrong with it.
func (c *Config) check() error {
	if !bucketName.MatchString(c.Bucket) {
		return fault.New(opOpen, fmt.Sprintf("gs://%.70s", c.Bucket), errors.New("not the name of a bucket"),
			"a bucket's name has 3 to 63 small letters, digits, dashes, underscores and dots; write gs://bucket/prefix")
	}
	where := "gs://" + c.Bucket
	c.Prefix = strings.Trim(c.Prefix, "/")
	if c.Prefix != "" && (!backend.ValidName(c.Prefix) || len(c.Prefix)+1+backend.MaxName > longestName) {
		return fault.New(opOpen, where, errors.New("the prefix cannot be used"),
			`a prefix has parts of letters, digits and "._%+@=-" with slashes between them, not beginning with a dot, and at most 500 bytes`)
	}
	c.Class, c.ColdClass = strings.ToUpper(c.Class), strings.ToUpper(c.ColdClass)
	if err := location.OneOf("class", c.Class, classes); err != nil {
		return err
	}
	if err := location.OneOf("cold_class", c.ColdClass, classes); err != nil {
		return err
	}
	if err := location.OneOf("retention", c.Retention, retentionModes); err != nil {
		return err
	}
	if c.KMSKey != "" && !kmsKey.MatchString(c.KMSKey) {
		return fault.New(opOpen, where, fmt.Errorf("kms_key: %.80q is not the name of a key", c.KMSKey),
			"write it as projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY")
	}
	if err := c.checkSecrets(where); err != nil {
		return err
	}
	_, err := c.service()
	return err
}

func (c *Config) checkSecrets(where string) error {
	customer := c.CustomerKey != "" || c.CustomerKeyFile != ""
	switch {
	case c.CustomerKey != "" && c.CustomerKeyFile != "":
		return fault.New(opOpen, where, errors.New("the customer key both by value and by file"), "keep one of them")
	case c.KMSKey != "" && customer:
		return fault.New(opOpen, where, errors.New("a key of Cloud KMS and a customer key at once"), "keep one of them")
	case c.Credentials != "" && c.CredentialsFile != "":
		return fault.New(opOpen, where, errors.New("credentials both by value and by file"), "keep one of them")
	}
	return nil
}

// service returns the URL of the server, without a path.
func (c *Config) service() (*url.URL, error) {
	if c.Endpoint == "" {
		return url.Parse(public)
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(opOpen, "the configured endpoint", errors.New("not the URL of a server"),
			"write it as https://storage.googleapis.com, without a path")
	}
	if u.User != nil {
		return nil, fault.New(opOpen, u.Redacted(), errors.New("a user or password in the endpoint"), whereSecretsGo)
	}
	u.Path, u.RawPath = "", ""
	return u, nil
}
