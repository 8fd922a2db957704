// Package probe looks at a service from outside, over a path of its own: one that
// shares neither connection nor process with the heartbeats, so that one cut cable
// is not a dead server.
//
// A probe answers whether the service spoke, not whether it is right: that is the
// keeper's to say, who stands beside it. It changes nothing, needs no password, and
// opens a connection each time, so that a line that died is noticed. Which is why a
// process that was stopped and whose kernel still accepts connections must not pass:
// every kind but TCP waits for an answer of the service itself.
package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Prober looks once. An error says what was wrong in a few words; it names no
// address, for whoever asks knows that. It returns when ctx ends.
type Prober interface {
	Probe(ctx context.Context) error
}

// TCP is a prober of anything that listens: it passes when a connection is accepted.
func TCP(address string) Prober { return tcp(address) }

type tcp string

func (a tcp) Probe(ctx context.Context) error {
	conn, err := dial(ctx, string(a))
	if err != nil {
		return err
	}
	return conn.Close()
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, plain(ctx, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	if err != nil {
		conn.Close()
		return nil, plain(ctx, err)
	}
	return conn, nil
}

// plain takes the address and the operation off an error.
func plain(ctx context.Context, err error) error {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return errNoAnswer
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

var errNoAnswer = errors.New("no answer in time")

// HTTP is a prober of a URL: it passes with any status below 500, for a server that
// refuses strangers is alive, and 404 is the answer of one that has no such page.
// Redirects are not followed.
func HTTP(url string, client *http.Client) Prober { return &web{url, client} }

// NewClient returns a client for HTTP that opens a connection each time.
func NewClient(transport *http.Transport) *http.Client {
	if transport == nil {
		transport = &http.Transport{Proxy: nil}
	}
	transport.DisableKeepAlives = true
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type web struct {
	url    string
	client *http.Client
}

func (w *web) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return plain(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("answered %s", res.Status)
	}
	// One that sends a header and then nothing hangs.
	if _, err := io.CopyN(io.Discard, res.Body, maxBody); err != nil && !errors.Is(err, io.EOF) {
		return plain(ctx, err)
	}
	return nil
}

const maxBody = 64 << 10

// Postgres is a prober of a PostgreSQL server. It begins a session as a user that
// need not exist and passes on any answer a server process of its own gives, the way
// pg_isready does: a demand for a password, a refusal, or a welcome. A server that
// is starting up, shutting down or recovering without taking sessions does not pass.
func Postgres(address string) Prober { return postgres(address) }

type postgres string

// The beginning of PostgreSQL's protocol 3.0, and the two codes of errors that tell
// of a server that cannot take sessions now: 57P03 is cannot_connect_now, 53300
// too_many_connections, which a living server answers.
const (
	protocolVersion  = 3 << 16
	cannotConnectNow = "57P03"
	longestMessage   = 16 << 10
)

func (a postgres) Probe(ctx context.Context) error {
	conn, err := dial(ctx, string(a))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(past) }) //nolint:errcheck // the reads below fail then, or the connection is gone
	defer stop()
	if _, err := conn.Write(startup()); err != nil {
		return plain(ctx, err)
	}
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("hung up without an answer")
		}
		return plain(ctx, err)
	}
	switch head[0] {
	case 'R':
		return nil
	case 'E':
	default:
		return errors.New("does not speak PostgreSQL's protocol")
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > longestMessage {
		return errors.New("does not speak PostgreSQL's protocol")
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		return plain(ctx, err)
	}
	if code, message := errorFields(body); code == cannotConnectNow {
		return errors.New(message)
	}
	return nil
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// startup is the first message of a session.
func startup() []byte {
	const parameters = "user\x00mahavishnu_probe\x00database\x00postgres\x00application_name\x00mahavishnu probe\x00\x00"
	m := make([]byte, 8, 8+len(parameters))
	binary.BigEndian.PutUint32(m, uint32(8+len(parameters)))
	binary.BigEndian.PutUint32(m[4:], protocolVersion)
	return append(m, parameters...)
}

// errorFields reads the code and the text of an ErrorResponse.
func errorFields(body []byte) (code, message string) {
	for len(body) > 0 && body[0] != 0 {
		kind := body[0]
		end := 1
		for end < len(body) && body[end] != 0 {
			end++
		}
		switch kind {
		case 'C':
			code = string(body[1:end])
		case 'M':
			message = string(body[1:end])
		}
		body = body[min(end+1, len(body)):]
	}
	if message == "" {
		message = "cannot take sessions now"
	}
	return code, message
}
