package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

const (
	// defaultPatience spans the election of a new stream leader, which takes
	// 4 to 9 seconds after the old one died and cannot be tuned.
	defaultPatience = 20 * time.Second
	requestTimeout  = 5 * time.Second
	firstPause      = 50 * time.Millisecond
	longestPause    = time.Second

	// A cut cable is noticed after two pings without an answer.
	pingInterval = 5 * time.Second
	maxPingsOut  = 2

	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
)

// InProcess is an embedded server that can be reached without the network.
type InProcess interface{ InProcessConn() (net.Conn, error) }

// Options say how to connect. URL or InProcess is required.
type Options struct {
	// URL is one or more servers, separated by commas.
	URL string
	// Name names the connection for whoever looks at the server; give the node.
	Name string
	// User and Password, Token, CredsFile and NKeySeedFile are ways to say who
	// this is; at most one is set.
	User, Password string
	Token          string
	CredsFile      string
	NKeySeedFile   string
	// TLS, when set, is demanded of the server.
	TLS *tls.Config
	// InboxPrefix is what the subjects of answers begin with; "" is "_INBOX". A
	// user whose permissions name an inbox of its own needs it.
	InboxPrefix string
	// InProcess, when set, is the server, and URL is not looked at.
	InProcess InProcess
	// Patience bounds how long one call repeats itself while the server does
	// not answer; 0 is 20 seconds.
	Patience time.Duration
	// OnNotice hears what happens to the connection. It must not block.
	OnNotice func(Notice)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// NoticeKind is what happened to a connection.
type NoticeKind string

// What happens to a connection.
const (
	NoticeDisconnected NoticeKind = "disconnected"
	NoticeReconnected  NoticeKind = "reconnected"
	NoticeClosed       NoticeKind = "closed"
	// NoticeError is something the server or the library complains about that
	// belongs to no call: a permission, a subscriber that is too slow.
	NoticeError NoticeKind = "error"
)

// Notice is something that happened to a connection.
type Notice struct {
	Kind NoticeKind
	// Server is where the connection is, or was.
	Server string
	// Err is the reason, and may be nil.
	Err error
}

// Conn is a connection to the servers. It reconnects for ever, and is safe for
// concurrent use.
type Conn struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	clock    clock.Clock
	patience time.Duration
	notify   func(Notice)
	closed   chan struct{}
}

// Connect opens a connection. It tries each server once, in any order, and takes the
// first that answers, with the majority of its cluster or without (see [Reach]); a service
// that starts together with its server calls it again.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	c := &Conn{clock: clock.Or(o.Clock), patience: o.patience(), notify: o.OnNotice, closed: make(chan struct{})}
	if c.notify == nil {
		c.notify = func(Notice) {}
	}
	where := o.URL
	if o.InProcess != nil {
		where = "embedded server"
	}
	options, err := c.options(ctx, o)
	if err != nil {
		return nil, fault.New("connect to NATS at", redact(where), err, "see the nats section of the configuration")
	}
	if c.nc, err = nats.Connect(o.URL, options...); err != nil {
		return nil, connectError(redact(where), err)
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		c.nc.Close()
		return nil, fault.New("connect to NATS at", redact(where), err, "")
	}
	return c, nil
}

func (o Options) patience() time.Duration {
	if o.Patience <= 0 {
		return defaultPatience
	}
	return o.Patience
}

func (c *Conn) options(ctx context.Context, o Options) ([]nats.Option, error) {
	if o.URL == "" && o.InProcess == nil {
		return nil, errors.New("no server address is set")
	}
	timeout := requestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, max(deadline.Sub(c.clock.Now()), time.Millisecond))
	}
	options := []nats.Option{
		nats.Name(o.Name),
		nats.Timeout(timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.IgnoreAuthErrorAbort(), // credentials may be rotated on the server first
		nats.ReconnectBufSize(-1),   // a stale heartbeat sent after a reconnect is worse than an error now
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { c.tell(NoticeDisconnected, nc, err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.tell(NoticeReconnected, nc, nil) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) { c.tell(NoticeError, nc, err) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			c.tell(NoticeClosed, nc, nil)
			close(c.closed)
		}),
	}
	who, err := identity(o)
	if err != nil {
		return nil, err
	}
	options = append(options, who...)
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	if o.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	if o.InProcess != nil {
		options = append(options, nats.InProcessServer(o.InProcess))
	}
	return options, nil
}

func identity(o Options) ([]nats.Option, error) {
	var ways []nats.Option
	if o.User != "" {
		ways = append(ways, nats.UserInfo(o.User, o.Password))
	}
	if o.Token != "" {
		ways = append(ways, nats.Token(o.Token))
	}
	if o.CredsFile != "" {
		if _, err := os.Stat(o.CredsFile); err != nil {
			return nil, err
		}
		ways = append(ways, nats.UserCredentials(o.CredsFile))
	}
	if o.NKeySeedFile != "" {
		option, err := nats.NkeyOptionFromSeed(o.NKeySeedFile)
		if err != nil {
			return nil, err
		}
		ways = append(ways, option)
	}
	if len(ways) > 1 {
		return nil, errors.New("more than one of user, token, credentials file and nkey seed file is set")
	}
	return ways, nil
}

func (c *Conn) tell(kind NoticeKind, nc *nats.Conn, err error) {
	c.notify(Notice{Kind: kind, Server: nc.ConnectedUrlRedacted(), Err: err})
}

func connectError(where string, err error) error {
	hint := "see that the server runs and nats.url is right; `mahavishnu up` without nats.url runs its own"
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		hint = "see user and password, or the credentials file, in the nats section of the configuration"
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		hint = "the server and nats.tls disagree on whether TLS is used"
	}
	return fault.New("connect to NATS at", where, err, hint)
}

// redact removes credentials from addresses.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, u := range parts {
		at := strings.LastIndexByte(u, '@')
		if at < 0 {
			continue
		}
		parts[i] = u[at+1:]
		if scheme, _, ok := strings.Cut(u[:at], "://"); ok {
			parts[i] = scheme + "://" + parts[i]
		}
	}
	return strings.Join(parts, ",")
}

// Connected reports whether a server is reachable now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// RTT measures a round trip to the server.
func (c *Conn) RTT() (time.Duration, error) { return c.nc.RTT() }

// Server is the name of the server the connection is on, or "".
func (c *Conn) Server() string { return c.nc.ConnectedServerName() }

// Where is the address of the server the connection is on, without a password, or "".
func (c *Conn) Where() string { return c.nc.ConnectedUrlRedacted() }

// Close flushes what was published and closes the connection.
func (c *Conn) Close() error {
	var err error
	if c.nc.IsConnected() {
		err = c.nc.FlushTimeout(requestTimeout)
	}
	c.nc.Close()
	<-c.closed
	return err
}

// persist calls fn until it succeeds or fails for a reason that waiting does
// not change. fn must be safe to repeat.
func (c *Conn) persist(ctx context.Context, op, object string, fn func(context.Context) error) error {
	pause, deadline := firstPause, c.clock.Now().Add(c.patience)
	for {
		once, cancel := context.WithTimeout(ctx, min(requestTimeout, max(c.patience, time.Second)))
		err := fn(once)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return c.failed(op, object, errors.Join(context.Cause(ctx), unlessContext(err)))
		}
		if !temporary(err) || c.clock.Now().Add(pause).After(deadline) {
			return c.failed(op, object, err)
		}
		if err := c.clock.Sleep(ctx, pause); err != nil {
			return c.failed(op, object, err)
		}
		pause = min(2*pause, longestPause)
	}
}

func unlessContext(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// temporary reports whether the same call may succeed a moment later: no
// connection, no leader, no answer.
func temporary(err error) bool {
	for _, t := range []error{
		nats.ErrNoResponders, jetstream.ErrNoStreamResponse, nats.ErrTimeout, context.DeadlineExceeded,
		nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting, nats.ErrDisconnected, nats.ErrStaleConnection, errUnsettled,
	} {
		if errors.Is(err, t) {
			return true
		}
	}
	return noMajority(err)
}

// errLeaderless is a stream without a leader, as a server tells that is alone.
var errLeaderless = errors.New("no server leads it")

// errUnsettled is a compare-and-set that was refused although nobody has written, as far as
// can be read: an earlier one is on its way.
var errUnsettled = errors.New("an earlier write is not settled yet")

// noMajority reports that a server answers which can decide nothing now.
func noMajority(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, errLeaderless) || errors.As(err, &api) && api.Code == 503 && api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabled &&
		api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabledForAccount
}

func (c *Conn) failed(op, object string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		err = fmt.Errorf("%w: %w", ErrNotProvisioned, err)
		hint = "run `mahavishnu provision` once, as the user who may make streams; a scheduler that may does so, too, when it starts"
	case errors.Is(err, nats.ErrPermissionViolation):
		hint = "this connection's NATS user lacks a right that it needs"
	case noMajority(err) && c.nc.IsConnected():
		hint = "this NATS server answers, and is not with the majority of its cluster: start the others, or mend the network between them; see `mahavishnu doctor`"
	case temporary(err) || !c.nc.IsConnected():
		hint = "the NATS server does not answer; see `mahavishnu doctor`"
	}
	return fault.New(op, object, err, hint)
}
