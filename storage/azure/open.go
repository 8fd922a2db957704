package azure

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/objects"
	"mahavishnu/storage/remote"
)

// Open returns the backend of a container. It makes no request: a container that is
// missing, or credentials that do not fit, are told by the first operation. ctx is
// only used while opening.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(opOpen, c.place(), context.Cause(ctx), "")
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	service, err := c.service()
	if err != nil {
		return nil, err
	}
	client, err := remote.Client(remote.Options{Endpoint: service.String(), CAFile: c.CAFile, Proxy: c.Proxy, Wrap: c.Wrap})
	if err != nil {
		return nil, err
	}
	b := &Backend{config: c, http: client, clock: clock.Or(c.Clock)}
	if b.customer, err = c.customer(); err != nil {
		return nil, err
	}
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	if c.AccountKey == "" && c.SAS != "" {
		if b.signature, err = c.readSignature(); err != nil {
			return nil, err
		}
		if err := b.signature.expired(b.clock.Now()); err != nil {
			return nil, fault.New(opOpen, c.place(), err, c.renew())
		}
	}
	if b.client, err = c.connect(service.JoinPath(c.Container).String(), b.signature.token, client); err != nil {
		return nil, err
	}
	return b, nil
}

// complete adds what files and the environment say, and the account that the
// endpoint names.
func (c *Config) complete() error {
	for _, from := range []struct {
		file   string
		secret *string
	}{{c.AccountKeyFile, &c.AccountKey}, {c.SASFile, &c.SAS}} {
		if from.file == "" {
			continue
		}
		secret, err := objects.Secret(from.file)
		if err != nil {
			return err
		}
		*from.secret = secret
	}
	if c.AccountKey == "" && c.SAS == "" && c.ConnectionString == "" {
		c.environment()
	}
	if c.ConnectionString != "" {
		if err := c.connectionString(); err != nil {
			return err
		}
	}
	if c.Account == "" && c.Endpoint != "" {
		if service, err := c.service(); err == nil {
			c.Account = accountOf(service)
		}
	}
	if c.Account == "" {
		c.Account = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if c.Account == "" && (c.Endpoint == "" || c.AccountKey != "") {
		return fault.New(opOpen, c.place(), errors.New("no storage account is given"), "add account= to the URL, or set AZURE_STORAGE_ACCOUNT")
	}
	return nil
}

// environment takes the secrets that the tools of Azure take from the environment,
// unless they are those of another account.
func (c *Config) environment() {
	if account := os.Getenv("AZURE_STORAGE_ACCOUNT"); account != "" && c.Account != "" && account != c.Account {
		return
	}
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		if parts := connectionParts(text); c.Account == "" || parts["AccountName"] == "" || parts["AccountName"] == c.Account {
			c.ConnectionString = text
			return
		}
	}
	if c.AccountKey = os.Getenv("AZURE_STORAGE_KEY"); c.AccountKey == "" {
		c.SAS = os.Getenv("AZURE_STORAGE_SAS_TOKEN")
	}
}

// connectionString takes a connection string apart.
func (c *Config) connectionString() error {
	const hint = "copy it whole from the account's page in the portal; it has AccountName and AccountKey, or BlobEndpoint and SharedAccessSignature"
	parts := connectionParts(c.ConnectionString)
	account, endpoint := parts["AccountName"], parts["BlobEndpoint"]
	switch {
	case parts["AccountKey"] == "" && parts["SharedAccessSignature"] == "":
		return fault.New(opOpen, c.place(), errors.New("the connection string has no key and no signature"), hint)
	case account == "" && endpoint == "":
		return fault.New(opOpen, c.place(), errors.New("the connection string names no account"), hint)
	case c.Account != "" && account != "" && account != c.Account:
		return fault.New(opOpen, c.place(), errors.New("the connection string is another account's"), "give that of the account in the URL, or leave account= out")
	}
	if c.Account == "" {
		c.Account = account
	}
	c.AccountKey, c.SAS = parts["AccountKey"], parts["SharedAccessSignature"]
	if c.AccountKey != "" {
		c.SAS = ""
	}
	if suffix := parts["EndpointSuffix"]; endpoint == "" && suffix != "" {
		endpoint = "https://" + account + ".blob." + suffix
	}
	if c.Endpoint == "" {
		c.Endpoint = endpoint
		if _, err := c.service(); err != nil {
			c.Endpoint = "" // it may hold a signature
			return err
		}
	}
	if c.Account != "" && !accountName.MatchString(c.Account) {
		return fault.New(opOpen, c.place(), errors.New("the connection string names no account"), hint)
	}
	return nil
}

func connectionParts(text string) map[string]string {
	parts := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
			parts[name] = value
		}
	}
	return parts
}

// customer returns the key that the caller brings, as it goes along with requests; nil
// when there is none.
func (c *Config) customer() (*blob.CPKInfo, error) {
	key, err := objects.CustomerKey(c.place(), c.CustomerKey, c.CustomerKeyFile)
	if err != nil || key == nil {
		return nil, err
	}
	sum := sha256.Sum256(key)
	return &blob.CPKInfo{
		EncryptionAlgorithm: to.Ptr(blob.EncryptionAlgorithmTypeAES256),
		EncryptionKey:       to.Ptr(base64.StdEncoding.EncodeToString(key)),
		EncryptionKeySHA256: to.Ptr(base64.StdEncoding.EncodeToString(sum[:])),
	}, nil
}

// connect makes the SDK's client with the credentials there are.
func (c *Config) connect(at, signature string, client *http.Client) (*container.Client, error) {
	o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: client,
		Retry:     policy.RetryOptions{MaxRetries: -1}, // package retry is the one place that tries again
		Telemetry: policy.TelemetryOptions{ApplicationID: "mahavishnu"},
	}}
	switch {
	case c.AccountKey != "":
		key, err := blob.NewSharedKeyCredential(c.Account, c.AccountKey)
		if err != nil {
			return nil, fault.New(opOpen, c.place(), errors.New("the account's key is not base64"), "copy it whole from the account's page in the portal; it ends in ==")
		}
		client, err := container.NewClientWithSharedKeyCredential(at, key, o)
		return client, c.notConnected(err)
	case signature != "":
		client, err := container.NewClientWithNoCredential(at+"?"+signature, o)
		return client, c.notConnected(err)
	}
	identity, err := c.identity()
	if err != nil {
		return nil, err
	}
	o.InsecureAllowCredentialWithHTTP = true // which package remote only lets pass to this machine
	service, err := container.NewClient(at, identity, o)
	return service, c.notConnected(err)
}

// notConnected tells that the SDK does not like what it was given. What it says may
// quote a URL with a signature.
func (c *Config) notConnected(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(opOpen, c.place(), objects.Network(err), "look at the account, the endpoint and the credentials")
}

// identity returns the standard chain of credentials: a service principal of the
// environment, workload identity, managed identity, the login of the tools. Its
// requests go the same ways as those for blobs.
func (c *Config) identity() (azcore.TokenCredential, error) {
	client, err := remote.Client(remote.Options{CAFile: c.CAFile, Proxy: c.Proxy})
	if err != nil {
		return nil, err
	}
	chain, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: client},
	})
	if err != nil {
		return nil, fault.New(opOpen, c.place(), errors.New("no credentials for Azure: "+line(err)), noCredentials)
	}
	return &credentials{chain}, nil
}

// credentials tells a failure to get a token from a failure of what it is for.
type credentials struct{ chain azcore.TokenCredential }

// GetToken returns a token that is good now.
func (c *credentials) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.chain.GetToken(ctx, o)
	if err != nil {
		return azcore.AccessToken{}, &credentialsError{err}
	}
	return token, nil
}

// credentialsError is a chain that gives no token.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// NonRetriable keeps the SDK from asking again.
func (e *credentialsError) NonRetriable() {}
