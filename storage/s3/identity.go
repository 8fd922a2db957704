package s3

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// identity hands credentials to the SDK. It tells a failure to get them from a
// failure of what they are used for, and looks for new ones when a server calls
// those there are expired: the SDK reads files and the environment only once.
type identity struct {
	chain atomic.Pointer[aws.CredentialsCache]
	load  func(context.Context) (aws.CredentialsProvider, error)
	had   atomic.Bool // there were credentials before
}

func newIdentity(now aws.CredentialsProvider, load func(context.Context) (aws.CredentialsProvider, error)) *identity {
	i := &identity{load: load}
	i.chain.Store(cached(now))
	return i
}

func cached(p aws.CredentialsProvider) *aws.CredentialsCache {
	if c, ok := p.(*aws.CredentialsCache); ok {
		return c
	}
	return aws.NewCredentialsCache(p)
}

// credentialsError is a chain without credentials.
type credentialsError struct {
	err error
	had bool // there were some before, so what failed is their renewal
}

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// Retrieve returns credentials that are good now.
func (i *identity) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := i.chain.Load().Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err, i.had.Load()}
	}
	i.had.Store(true)
	return c, nil
}

// renew asks the whole chain again when a server refused the credentials of an
// access key as expired, and tells whether there are others now. Of many requests
// that were refused together the first one renews for all.
func (i *identity) renew(ctx context.Context, refused string) bool {
	if c, err := i.chain.Load().Retrieve(ctx); err == nil && c.AccessKeyID != refused {
		return true
	}
	provider, err := i.load(ctx)
	if err != nil {
		return false
	}
	chain := cached(provider)
	if c, err := chain.Retrieve(ctx); err != nil || c.AccessKeyID == refused {
		return false
	}
	i.chain.Store(chain)
	return true
}

// signedWith returns the access key's id that a request was signed with.
func signedWith(r *http.Request) string {
	if r == nil {
		return ""
	}
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}
