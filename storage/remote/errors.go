package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// ErrInsecure means that a connection would not be protected as it has to be.
var ErrInsecure = errors.New("connection is not secure enough")

// errClosed is a server, or somebody on the way, that hung up. It takes the place of
// io.EOF, which would be the end of what is read to whoever looks for that in an error.
var errClosed = errors.New("the connection was closed before the answer came")

// explain adds what an operator needs to know of a connection that failed.
func explain(host string, err error) error {
	const op = "connect to storage"
	if errors.Is(err, io.EOF) {
		return &backend.TemporaryError{Err: errClosed}
	}
	text := err.Error()
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.New(op, host, err, "no machine is known by that name: look for a misspelt endpoint, account or region, and whether names are resolved here: getent hosts "+hostOf(host))
	case errors.As(err, &record):
		hint := "the endpoint does not speak TLS on that port: name the port that does, or give the server a certificate"
		if Loopback(hostOf(host)) {
			hint += "; a server on this machine may be reached by http://"
		}
		return fault.New(op, host, errors.New("the server speaks no TLS where https:// says it does"), hint)
	case strings.Contains(text, "tls: protocol version not supported"), strings.Contains(text, "tls: server selected unsupported protocol version"):
		return fault.New(op, host, fmt.Errorf("%w: the server does not speak TLS 1.3: %w", ErrInsecure, err),
			"switch TLS 1.3 on at the server or at what stands before it; older versions are refused")
	case strings.Contains(text, "x509: certificate signed by unknown authority"):
		return fault.New(op, host, err, "when the server has a certificate of your own authority, name that authority's file as the CA file of this storage")
	}
	return err
}

// hostOf returns the host of host or host:port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// Temporary tells whether a failure of the network may be gone when the request
// is made again: a connection refused, reset, timed out or cut short, a name
// that could not be resolved for now. A wrong certificate, an unknown name or a
// connection refused for its TLS version stays as it is.
//
// An error that a server put into words is not the network's; and where the
// caller's own context has ended, that is the answer: look there first.
func Temporary(err error) bool {
	var temporary *backend.TemporaryError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, ErrInsecure), errors.Is(err, backend.ErrDenied), errors.As(err, &certificate):
		return false
	case errors.As(err, &temporary):
		return true
	case errors.As(err, &dns):
		return dns.IsTimeout || dns.IsTemporary || !dns.IsNotFound
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	case errors.As(err, &op):
		return op.Op != "remote error" && op.Op != "local error" // those are TLS alerts
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return true
	}
	return strings.Contains(err.Error(), "server closed idle connection") // net/http keeps that error to itself
}

// Unanswered tells whether a failure is of the way to the server, so that nothing
// was asked of it: no name, no connection, no answer in time.
func Unanswered(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	return errors.As(err, &dns) || errors.As(err, &op) || errors.Is(err, errClosed) || errors.Is(err, ErrInsecure) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// TemporaryStatus tells whether an answer of that code may be another when the
// request is made again.
func TemporaryStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusInsufficientStorage, http.StatusLoopDetected:
		return false
	}
	return code >= 500
}

// longestWait bounds what a server can ask for: whoever waits longer is better
// off failing, to be tried again as a whole.
const longestWait = time.Hour

// RetryAfter returns how long an answer asks to wait before the next request: 0
// when it does not say, at most an hour. It knows seconds, a date, and Azure's
// milliseconds.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, err := strconv.ParseInt(strings.TrimSpace(h.Get(name)), 10, 64); err == nil && n > 0 {
			return time.Duration(min(n, longestWait.Milliseconds())) * time.Millisecond
		}
	}
	value := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(longestWait/time.Second))) * time.Second
	}
	if when, err := http.ParseTime(value); err == nil {
		return min(max(when.Sub(now), 0), longestWait)
	}
	return 0
}
