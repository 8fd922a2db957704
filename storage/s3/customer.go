package s3

import (
	"crypto/md5" //nolint:gosec // how the protocol guards a key against changes on the way; nothing relies on it
	"encoding/base64"

	"github.com/aws/aws-sdk-go-v2/aws"

	"mahavishnu/storage/objects"
)

// customerKey is a key that the server encrypts with and does not keep, as it goes along
// with each put, get and stat. It is what AWS calls SSE-C.
type customerKey struct{ key, sum string }

// headers returns what requests say of the key; all nil without one.
func (k *customerKey) headers() (algorithm, key, sum *string) {
	if k == nil {
		return nil, nil, nil
	}
	return aws.String("AES256"), &k.key, &k.sum
}

// customer returns the key that the configuration names, which it does for sse=customer
// alone; nil when it names none.
func (c *Config) customer() (*customerKey, error) {
	raw, err := objects.CustomerKey(c.place(), c.CustomerKey, c.CustomerKeyFile)
	if err != nil || raw == nil {
		return nil, err
	}
	sum := md5.Sum(raw) //nolint:gosec // see the import
	return &customerKey{base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:])}, nil
}
