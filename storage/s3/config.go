package s3

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/location"
)

// longestKey is how long a key may be in every S3, in bytes.
const longestKey = 1024

// Config says which bucket, how it is reached, and how objects are stored. Only
// Bucket is required.
type Config struct {
	// Bucket is the bucket's name. It has to exist.
	Bucket string
	// Prefix is what every key begins with: parts of letters, digits and
	// "._%+@=-" with slashes between them; "" for the whole bucket. Nothing
	// outside it is ever listed or touched.
	Prefix string
	// Endpoint is the server's URL; "" for AWS in the region, or what
	// AWS_ENDPOINT_URL_S3 or the profile says.
	Endpoint string
	// Region is the region that requests are signed for; "" for what the
	// environment or the profile says, and with an endpoint outside AWS us-east-1.
	Region string
	// PathStyle says whether the bucket is in the path of a request and not in
	// the host's name; nil: only where the endpoint is not AWS.
	PathStyle *bool

	// Class is the storage class of objects; "" for the bucket's default. It may not
	// be an archive, since indexes and snapshots are read all the time.
	Class string
	// ColdClass is the class of objects put with PutOptions.Cold, such as
	// GLACIER_IR or DEEP_ARCHIVE; "" for Class. See [smallestCold].
	ColdClass string
	// SSE is how the server encrypts what is sealed already: "s3" (AES256), "kms",
	// "kms-dsse", or "customer" with a key that comes along with each request and
	// that the server does not keep; "" for the bucket's default.
	SSE string
	// KMSKey is the key's id, ARN or alias for SSE by KMS; "" for the account's own.
	KMSKey string
	// CustomerKey is the key for SSE "customer": 32 bytes in base64 or hexadecimal,
	// by value or in the file CustomerKeyFile.
	CustomerKey, CustomerKeyFile string
	// Lock is the mode of Object Lock for objects that are to be retained:
	// "compliance" (nobody can delete them), "governance" (those with
	// s3:BypassGovernanceRetention can), or "": retention is switched off.
	Lock string

	// CAFile, Proxy and Wrap are those of package remote.
	CAFile, Proxy string
	Wrap          func(http.RoundTripper) http.RoundTripper

	// AccessKey, SecretKey and SessionToken are credentials by value; "" for the
	// standard chain: environment, shared files, web identity, container, instance.
	AccessKey, SecretKey, SessionToken string
	// Profile is the profile of the shared files to take; "" for AWS_PROFILE or "default".
	Profile string
	// Role is the ARN of a role to assume with the credentials found.
	Role string

	// Clock is asked when a server names a date to try again; nil: the machine's.
	Clock clock.Clock
}

// smallestCold is the size from which an object goes to the cold class. Archives
// bill each object for at least 40 KB more than it has or as 128 KB, so a smaller
// one would cost more there.
const smallestCold = 128 << 10

var (
	bucketName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$`)
	className   = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	regionName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)
	roleName    = regexp.MustCompile(`^arn:[a-z-]+:iam::\d{12}:role/[\x21-\x7e]+$`)
	lockModes   = []string{"compliance", "governance"}
	encryptions = []string{"s3", "kms", "kms-dsse", "customer"}
	// classes are those of AWS; other servers have their own, so the list only
	// serves to tell what was meant.
	classes = []string{
		"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
		"EXPRESS_ONEZONE", "REDUCED_REDUNDANCY",
	}
)

// archives are the classes whose objects have to be thawed before they can be read.
var archives = map[string]bool{"GLACIER": true, "DEEP_ARCHIVE": true}

// check brings the configuration into its one form, or says what is wrong with it.
func (c *Config) check() error {
	const op = "open storage"
	if !bucketName.MatchString(c.Bucket) {
		return fault.New(op, fmt.Sprintf("s3://%.70s", c.Bucket), errors.New("not the name of a bucket"),
			"a bucket's name has 3 to 63 letters, digits, dots and dashes; write s3://bucket/prefix")
	}
	where := "s3://" + c.Bucket
	c.Prefix = strings.Trim(c.Prefix, "/")
	if c.Prefix != "" {
		if !backend.ValidName(c.Prefix) || len(c.Prefix)+1+backend.MaxName > longestKey {
			return fault.New(op, where, errors.New("the prefix cannot be used"),
				`a prefix has parts of letters, digits and "._%+@=-" with slashes between them, not beginning with a dot, and at most 500 bytes`)
		}
	}
	if c.Region != "" && !regionName.MatchString(c.Region) {
		return fault.New(op, where, fmt.Errorf("%.70q is not the name of a region", c.Region), "write it as eu-west-1")
	}
	c.Class, c.ColdClass = strings.ToUpper(c.Class), strings.ToUpper(c.ColdClass)
	for _, class := range []struct{ parameter, value string }{{"class", c.Class}, {"cold_class", c.ColdClass}} {
		if class.value != "" && !className.MatchString(class.value) {
			return fault.New(op, where, fmt.Errorf("%s: %.70q is not the name of a storage class", class.parameter, class.value), "known are "+strings.Join(classes, ", "))
		}
	}
	if archives[c.Class] {
		return fault.New(op, where, fmt.Errorf("class: objects in %s cannot be read at once", c.Class),
			"name it as cold_class: then packs go there, and what is read all the time does not")
	}
	if err := location.OneOf("sse", c.SSE, encryptions); err != nil {
		return err
	}
	if err := location.OneOf("lock", c.Lock, lockModes); err != nil {
		return err
	}
	if c.KMSKey != "" && c.SSE != "kms" && c.SSE != "kms-dsse" {
		return fault.New(op, where, errors.New("a KMS key without encryption by KMS"), "add sse=kms, or leave kms_key out")
	}
	switch has := c.CustomerKey != "" || c.CustomerKeyFile != ""; {
	case has && c.SSE != "customer":
		return fault.New(op, where, errors.New("a customer key without encryption by it"), "add sse=customer, or leave the key out")
	case !has && c.SSE == "customer":
		return fault.New(op, where, errors.New("encryption by a customer key without one"), "name the file that holds it with customer_key_file=")
	case c.CustomerKey != "" && c.CustomerKeyFile != "":
		return fault.New(op, where, errors.New("a customer key both by value and by file"), "keep one of them")
	}
	return c.checkCredentials(where)
}

func (c *Config) checkCredentials(where string) error {
	const op = "open storage"
	switch {
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return fault.New(op, where, errors.New("one half of the credentials is missing"), "give both the access key and the secret key, or neither for the standard chain")
	case c.SessionToken != "" && c.AccessKey == "":
		return fault.New(op, where, errors.New("a session token without an access key"), "give the access key and the secret key that belong to it")
	case c.AccessKey != "" && c.Profile != "":
		return fault.New(op, where, errors.New("credentials both by value and by profile"), "keep one of them")
	case c.Role != "" && !roleName.MatchString(c.Role):
		return fault.New(op, where, fmt.Errorf("role: %.80q is not the ARN of a role", c.Role), "write it as arn:aws:iam::123456789012:role/NAME")
	}
	return nil
}
