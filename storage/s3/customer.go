package s3

import (
	"crypto/md5" //nolint:gosec // how the protocol guards a key against changes on the way; nothing relies on it
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"mahavishnu/fault"
)

// customerBytes is the length of a key that the server encrypts with and does not keep.
const customerBytes = 32

// customerKey is such a key as it goes along with each put, get and stat. It is
// what AWS calls SSE-C.
type customerKey struct{ key, sum string }

// headers returns what requests say of the key; all nil without one.
func (k *customerKey) headers() (algorithm, key, sum *string) {
	if k == nil {
		return nil, nil, nil
	}
	return aws.String("AES256"), &k.key, &k.sum
}

// customer returns the key for sse=customer, by value or from its file.
func (c *Config) customer() (*customerKey, error) {
	const op = "open storage"
	const hint = "make one with `openssl rand -base64 32`, and keep it where it cannot be lost: without it nothing can be read"
	if c.SSE != "customer" {
		return nil, nil //nolint:nilnil // nil is the key of those who have none
	}
	text, where := c.CustomerKey, c.place()
	if c.CustomerKeyFile != "" {
		data, err := os.ReadFile(c.CustomerKeyFile)
		if err != nil {
			return nil, fault.New(op, c.CustomerKeyFile, err, "name a file that this user can read, with the key and nothing else in it")
		}
		text, where = string(data), c.CustomerKeyFile
	}
	text = strings.TrimSpace(text)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != customerBytes {
		if raw, err = hex.DecodeString(text); err != nil || len(raw) != customerBytes {
			return nil, fault.New(op, where, errors.New("the customer key is not 32 bytes in base64 or hexadecimal"), hint)
		}
	}
	sum := md5.Sum(raw) //nolint:gosec // see the import
	return &customerKey{base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:])}, nil
}
