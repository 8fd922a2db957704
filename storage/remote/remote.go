// Package remote is the HTTP under the backends that are reached over a network:
// one way to connect, to give up on a dead connection, and to tell a failure
// that may pass from one that will not.
//
// What [Client] promises of every connection:
//
//   - TLS 1.3 or newer, unless the endpoint is the machine itself. A server that
//     only speaks an older version is refused with an error that says so. Plain
//     HTTP is refused likewise; the one exception beside loopback are the fixed
//     link-local addresses at which a cloud tells its machines their credentials.
//   - Proxies are those of the environment (HTTPS_PROXY, NO_PROXY and so on) unless
//     one is named.
//   - Connections are pooled. Each carries one request at a time (HTTP/1.1): a slow
//     answer holds up no other, and many connections share the bandwidth better
//     than one.
//   - Nothing waits for ever: connecting, the TLS handshake, the answer's headers
//     and the progress of bodies in both directions have time-outs, the last as a
//     lowest rate. A link that trickles is as dead as one that stands still.
//
// Nothing here tries again: that is package retry's, which knows what an
// operation means. For it, failures of the network are told by [Temporary], and
// what a server asks to wait by [RetryAfter].
package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Options says how a server is reached. The zero value is the public endpoint of
// a service, through the environment's proxies.
type Options struct {
	// Endpoint is the server's URL, https://host or http://127.0.0.1:port; "" stands
	// for the service's own public one.
	Endpoint string
	// CAFile names a file of PEM certificates that are trusted beside the system's.
	CAFile string
	// Proxy is the URL of a proxy (http, https or socks5) that all requests go
	// through, "direct" for none, or "" for the environment's.
	Proxy string
	// Wrap, when set, is put around the transport. Tests count and break requests
	// there.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// patience is how long each step may take.
type patience struct {
	dial      time.Duration // until connected
	handshake time.Duration // until TLS is up
	header    time.Duration // from the request's last byte to the answer's first
	progress  time.Duration // until the next lowestProgress bytes have moved
	idle      time.Duration // an unused connection is kept; shorter than progress
}

// usual is patience enough for a busy service, and little enough that a dead one
// is found within a minute or so.
var usual = patience{
	dial:      10 * time.Second,
	handshake: 10 * time.Second,
	header:    60 * time.Second,
	progress:  60 * time.Second,
	idle:      30 * time.Second,
}

// Client returns the client for one server. It has no time-out over a whole
// request: how long that may take is the caller's context to say.
func Client(o Options) (*http.Client, error) { return client(o, usual) }

func client(o Options, wait patience) (*http.Client, error) {
	const op = "connect to storage"
	lowest := uint16(tls.VersionTLS13)
	if o.Endpoint != "" {
		u, err := checkEndpoint(op, o.Endpoint)
		if err != nil {
			return nil, err
		}
		if Loopback(u.Hostname()) {
			lowest = tls.VersionTLS12
		}
	}
	roots, err := trusted(op, o.CAFile)
	if err != nil {
		return nil, err
	}
	proxy, err := proxies(op, o)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dialer(wait),
		TLSClientConfig:        &tls.Config{MinVersion: lowest, RootCAs: roots},
		TLSHandshakeTimeout:    wait.handshake,
		ResponseHeaderTimeout:  wait.header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        wait.idle,
		MaxIdleConnsPerHost:    128,
		DisableCompression:     true, // objects are read in ranges, as they are
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
		Protocols:              protocols,
	}
	var rt http.RoundTripper = transport
	if o.Wrap != nil {
		rt = o.Wrap(rt)
	}
	return &http.Client{Transport: &guard{next: rt, idle: transport}, CheckRedirect: redirect}, nil
}

// checkEndpoint refuses what is no server's URL, or would be spoken to in the clear.
func checkEndpoint(op, endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fault.New(op, "the configured endpoint", errors.New("not the URL of a server"),
			"write it as https://host or https://host:port")
	}
	if u.User != nil {
		return nil, fault.New(op, u.Redacted(), errors.New("credentials in an endpoint's URL"),
			"take them out and give them by file or environment")
	}
	if u.Scheme == "http" && !Loopback(u.Hostname()) {
		return nil, plain(op, u.Host)
	}
	return u, nil
}

func plain(op, host string) error {
	return fault.New(op, host, fmt.Errorf("%w: plain HTTP is only for this machine itself", ErrInsecure), "write https:// and give the server a certificate")
}

// Loopback tells whether a host, a name or an address without a port, is the machine itself.
func Loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// metadata tells the addresses at which a cloud tells its machines who they are.
// They end in the host below the machine, so that nothing of it is on a network.
func metadata(host string) bool {
	switch host {
	case "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "metadata.google.internal":
		return true
	}
	return false
}

// trusted returns the roots that servers' certificates may lead to; nil for the
// system's alone.
func trusted(op, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // crypto/tls takes the system's
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(op, file, err, "name a file of PEM certificates that can be read")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fault.New(op, file, errors.New("no certificate in it"), "it must hold certificates in PEM, -----BEGIN CERTIFICATE-----")
	}
	return roots, nil
}

// proxies returns which proxy a request goes through.
func proxies(op string, o Options) (func(*http.Request) (*url.URL, error), error) {
	switch o.Proxy {
	case "":
		return notMetadata(http.ProxyFromEnvironment), nil // which leaves loopback alone
	case "direct":
		return nil, nil // a transport without the function asks no proxy
	}
	u, err := url.Parse(o.Proxy)
	if err != nil || u.Hostname() == "" {
		return nil, fault.New(op, "the configured proxy", errors.New("not the URL of a proxy"), "write it as http://host:port")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fault.New(op, u.Redacted(), fmt.Errorf("unknown kind of proxy %q", u.Scheme), "use http, https or socks5")
	}
	if strings.HasPrefix(o.Endpoint, "http://") && !Loopback(u.Hostname()) {
		return nil, plain(op, u.Host) // it would cross the network to the proxy
	}
	return notMetadata(http.ProxyURL(u)), nil
}

// notMetadata keeps from a proxy what a cloud tells its machines: it would cross the
// network in the clear.
func notMetadata(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if metadata(r.URL.Hostname()) {
			return nil, nil
		}
		return proxy(r)
	}
}

// proxyAnswer keeps what a proxy said to a request for a connection.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	err := fmt.Errorf("the proxy answered %s", answer.Status)
	switch code := answer.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusProxyAuthRequired:
		return fault.New("connect through proxy", proxy.Host, errors.Join(err, backend.ErrDenied), "give the proxy's user and password in its URL")
	case TemporaryStatus(code):
		return fault.New("connect through proxy", proxy.Host, &backend.TemporaryError{Err: err}, "")
	}
	return fault.New("connect through proxy", proxy.Host, err, "ask who runs the proxy to allow the storage's host")
}

// guard refuses requests that would go in the clear, and says what TLS errors mean.
type guard struct {
	next http.RoundTripper
	idle *http.Transport
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if host := r.URL.Hostname(); r.URL.Scheme != "https" && !Loopback(host) && !metadata(host) {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, come what may
		}
		return nil, plain("connect to storage", r.URL.Host)
	}
	resp, err := g.next.RoundTrip(paced(r))
	if err != nil {
		return nil, explain(r.URL.Host, err)
	}
	return resp, nil
}

// CloseIdleConnections lets http.Client close what is pooled.
func (g *guard) CloseIdleConnections() { g.idle.CloseIdleConnections() }

// redirect follows a server that sends the same request elsewhere, not one that
// answers with a page to look at.
func redirect(r *http.Request, via []*http.Request) error {
	if code := r.Response.StatusCode; code != http.StatusTemporaryRedirect && code != http.StatusPermanentRedirect || len(via) >= 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// Patience returns an [Options.Wrap] that gives up after d where one would wait for a
// minute: for tests, and for links that are known to be fast.
func Patience(d time.Duration) func(http.RoundTripper) http.RoundTripper {
	return func(rt http.RoundTripper) http.RoundTripper {
		if t, ok := rt.(*http.Transport); ok {
			t.ResponseHeaderTimeout, t.IdleConnTimeout = d, d/2
			t.DialContext = dialer(patience{dial: d, progress: d})
		}
		return rt
	}
}

func dialer(wait patience) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: wait.dial, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newProgress(c, wait.progress), nil
	}
}
