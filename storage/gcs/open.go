package gcs

import (
	"context"
	"errors"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/objects"
	"mahavishnu/storage/remote"
)

// Open returns the backend of a bucket. It makes no request: a bucket that is
// missing, or credentials that do not fit, are told by the first operation. ctx is
// only used while opening.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fault.New(opOpen, c.place(), context.Cause(ctx), "")
	}
	service, err := c.service()
	if err != nil {
		return nil, err
	}
	key, err := objects.CustomerKey(c.place(), c.CustomerKey, c.CustomerKeyFile)
	if err != nil {
		return nil, err
	}
	client, err := remote.Client(remote.Options{Endpoint: service.String(), CAFile: c.CAFile, Proxy: c.Proxy, Wrap: c.Wrap})
	if err != nil {
		return nil, err
	}
	anonymous := remote.Loopback(service.Hostname()) && c.Credentials == "" && c.CredentialsFile == ""
	if c.Credentials != "" || c.CredentialsFile != "" || !anonymous {
		// Tokens are asked for the same ways as objects.
		tokens, err := remote.Client(remote.Options{CAFile: c.CAFile, Proxy: c.Proxy})
		if err != nil {
			return nil, err
		}
		client.Transport = &identity{next: client.Transport, tokens: tokens, json: c.Credentials, file: c.CredentialsFile}
	}
	client.Transport = stopper{client.Transport}
	b := &Backend{config: c, http: client, key: key, clock: clock.Or(c.Clock)}
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	b.client, err = storage.NewClient(
		context.WithoutCancel(ctx), option.WithHTTPClient(client), option.WithoutAuthentication(),
		option.WithEndpoint(service.String()+"/storage/v1/"), storage.WithJSONReads(), storage.WithDisabledClientMetrics(),
	)
	if err != nil {
		return nil, fault.New(opOpen, c.place(), objects.Network(err), "look at the endpoint and the environment (GOOGLE_…, STORAGE_EMULATOR_HOST)")
	}
	b.client.SetRetry(storage.WithPolicy(storage.RetryNever)) // package retry is the one place that tries again
	b.bucket = b.client.Bucket(c.Bucket)
	return b, nil
}

// stopper keeps the SDK from going on by itself for as long as it likes: with a body
// that broke, and with a listing that does not move on.
type stopper struct{ next http.RoundTripper }

type listKey struct{}

// listing is where a listing is.
type listing struct{ token string }

// errCircles is a listing that would never end.
var errCircles = errors.New("the server's listing does not move on")

// RoundTrip looks at requests whose context asks for that.
func (s stopper) RoundTrip(r *http.Request) (*http.Response, error) {
	if l, ok := r.Context().Value(listKey{}).(*listing); ok {
		token := r.URL.Query().Get("pageToken")
		if token != "" && token == l.token {
			return nil, errCircles
		}
		l.token = token
	}
	resp, err := s.next.RoundTrip(r)
	if watch, ok := r.Context().Value(breakKey{}).(*breakage); ok && err == nil && resp.StatusCode/100 == 2 {
		resp.Body = &watched{ReadCloser: resp.Body, breakage: watch}
	}
	return resp, err
}

// CloseIdleConnections lets http.Client close what is pooled.
func (s stopper) CloseIdleConnections() {
	if next, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}
