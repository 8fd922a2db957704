package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/remote"
)

// elsewhere is the region that requests to servers outside AWS are signed for
// when none is named: most take any, and it is the default of nearly all.
const elsewhere = "us-east-1"

// renewBefore is how long before they expire the credentials of a role are renewed,
// so that a long upload does not begin with ones that end on the way.
const renewBefore = 5 * time.Minute

// Open returns the backend of a bucket. It makes no request for objects: a bucket
// that is missing, or credentials that do not fit, are told by the first
// operation. ctx is only used while opening.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	shared, err := loadShared(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Endpoint == "" {
		// AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or what the profile says.
		c.Endpoint = aws.ToString(s3.NewFromConfig(shared).Options().BaseEndpoint)
	}
	if c.Region = shared.Region; c.Region == "" {
		if onAWS(c.Endpoint) {
			return nil, fault.New("open storage", c.place(), errors.New("no region is given"), "add region= to the URL, or set AWS_REGION")
		}
		c.Region = elsewhere
	}
	caFile := c.CAFile
	if caFile == "" {
		caFile = os.Getenv("AWS_CA_BUNDLE")
	}
	client, err := remote.Client(remote.Options{Endpoint: c.Endpoint, CAFile: caFile, Proxy: c.Proxy, Wrap: c.Wrap})
	if err != nil {
		return nil, err
	}
	customer, err := c.customer()
	if err != nil {
		return nil, err
	}
	b := &Backend{config: c, http: client, clock: clock.Or(c.Clock), customer: customer}
	b.creds = newIdentity(shared.Credentials, func(ctx context.Context) (aws.CredentialsProvider, error) {
		again, err := loadShared(ctx, c)
		return again.Credentials, err
	})
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	b.client = s3.NewFromConfig(shared, b.options)
	return b, nil
}

// options sets what differs from the SDK's own ways.
func (b *Backend) options(o *s3.Options) {
	o.Region = b.config.Region
	if b.config.Endpoint != "" {
		o.BaseEndpoint = aws.String(b.config.Endpoint)
	}
	o.UsePathStyle = !onAWS(b.config.Endpoint)
	if b.config.PathStyle != nil {
		o.UsePathStyle = *b.config.PathStyle
	}
	o.HTTPClient = b.http
	o.Credentials = b.creds
	o.Retryer = aws.NopRetryer{} // package retry is the one place that tries again
	o.Logger = logging.Nop{}
	// Puts bring their checksum along, and whole reads ask for it.
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	o.DisableLogOutputChecksumValidationSkipped = true
	o.AppID = "mahavishnu"
}

// loadShared reads the environment and the shared files, and sets the standard
// chain of credentials up.
func loadShared(ctx context.Context, c Config) (aws.Config, error) {
	const op = "open storage"
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(credentialsClient(c.Proxy)),
		awsconfig.WithLogger(logging.Nop{}),
	}
	if c.Region != "" {
		options = append(options, awsconfig.WithRegion(c.Region))
	}
	if c.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(c.Profile))
	}
	if c.AccessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)))
	}
	shared, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fault.New(op, c.place(), err, "mend what the environment (AWS_…) or the files in ~/.aws say")
	}
	if c.Role != "" {
		tokens := sts.NewFromConfig(shared, func(o *sts.Options) {
			if o.Region == "" {
				o.Region = elsewhere // any region's service will do
			}
		})
		assume := stscreds.NewAssumeRoleProvider(tokens, c.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "mahavishnu"
		})
		shared.Credentials = aws.NewCredentialsCache(assume, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore })
	}
	return shared, nil
}

// credentialsClient reaches the services that hand out credentials. It is the
// SDK's own client, since the chain configures it further (AWS_CA_BUNDLE), with
// the same rule about TLS. The addresses at which a cloud tells its machines who
// they are take plain HTTP and no proxy: they end in the host below the machine.
func credentialsClient(proxy string) *awshttp.BuildableClient {
	through := http.ProxyFromEnvironment
	if proxy == "direct" {
		through = func(*http.Request) (*url.URL, error) { return nil, nil }
	} else if proxy != "" {
		through = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		t.TLSClientConfig.MinVersion = tls.VersionTLS13
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			if addr, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (addr.IsLinkLocalUnicast() || addr.IsPrivate() || addr.IsLoopback()) {
				return nil, nil
			}
			return through(r)
		}
	})
}

// onAWS tells whether an endpoint is AWS itself, private endpoints within its
// networks included, where the bucket is part of the host's name.
func onAWS(endpoint string) bool {
	if endpoint == "" {
		return true
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}
