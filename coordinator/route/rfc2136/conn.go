package rfc2136

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

// fudge is how many seconds clocks may differ, as RFC 8945 recommends.
const fudge = 300

// errRefused are answers that say that nothing was done.
var errRefused = errors.New("the signature is refused")

// conn is a connection to a server on which every question and every answer is
// signed.
type conn struct {
	s    *server
	tcp  *dns.Conn
	sent bool // something was written
}

// talk opens a connection for fn. It ends with ctx, or when an exchange takes
// too long.
func (s *server) talk(ctx context.Context, op string, fn func(*conn) error) error {
	if ctx.Err() != nil {
		return fault.New(op, s.address, context.Cause(ctx), "")
	}
	dialer := net.Dialer{Timeout: s.timeout}
	tcp, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fault.New(op, s.address, err, "see that the name server runs and that TCP port 53 is open to this machine")
	}
	defer tcp.Close()
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer stop()
	err = fn(&conn{s: s, tcp: &dns.Conn{Conn: tcp}})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return fault.New(op, s.address, err, "")
}

// ask sends questions in one go and returns the answers in their order.
func (c *conn) ask(questions ...*dns.Msg) ([]*dns.Msg, error) {
	if err := c.tcp.SetDeadline(c.s.clock.Now().Add(c.s.timeout)); err != nil {
		return nil, err
	}
	macs := make([]string, len(questions))
	for i, q := range questions {
		q.Id = questions[0].Id + uint16(i)
		q.SetTsig(c.s.key.name, dns.Fqdn(c.s.key.algorithm), fudge, c.s.clock.Now().Unix())
		packed, mac, err := dns.TsigGenerate(q, c.s.key.secret, "", false)
		if err != nil {
			return nil, errors.Join(errRefused, errors.New("the message cannot be signed"))
		}
		macs[i] = mac
		c.sent = true
		if _, err := c.tcp.Write(packed); err != nil {
			return nil, err
		}
	}
	answers := make([]*dns.Msg, len(questions))
	for range questions {
		packed, err := c.tcp.ReadMsgHeader(nil)
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		if err := m.Unpack(packed); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(questions, func(q *dns.Msg) bool { return q.Id == m.Id })
		if i < 0 || answers[i] != nil || !m.Response {
			return nil, errors.New("it answers what was not asked")
		}
		if err := c.verify(m, packed, macs[i]); err != nil {
			return nil, err
		}
		answers[i] = m
	}
	return answers, nil
}

// verify checks an answer's signature and what the server says about ours.
func (c *conn) verify(m *dns.Msg, packed []byte, mac string) error {
	t := m.IsTsig()
	if t == nil {
		return fmt.Errorf("its answer %s is not signed", dns.RcodeToString[m.Rcode])
	}
	switch t.Error {
	case dns.RcodeBadTime:
		return fmt.Errorf("%w: %w", errRefused, c.clockError(t))
	case dns.RcodeBadKey:
		return fmt.Errorf("%w: %w", errRefused, fault.WithHint(fmt.Errorf("the server does not know the key %s", c.s.key), "give the server this key, by the same name and with the same algorithm"))
	case dns.RcodeBadSig:
		return fmt.Errorf("%w: %w", errRefused, fault.WithHint(fmt.Errorf("the server has another secret for the key %s", c.s.key), "give both sides the same key"))
	}
	err := dns.TsigVerify(packed, c.s.key.secret, mac, false)
	switch {
	case errors.Is(err, dns.ErrTime):
		return fmt.Errorf("%w: the server's clock is not this machine's", route.ErrClock)
	case err != nil:
		return fmt.Errorf("its answer is not signed with the key %s: %w", c.s.key, err)
	}
	return nil
}

// clockError tells by how much the clocks differ: the server's is in the answer.
func (c *conn) clockError(t *dns.TSIG) error {
	hint := "set the clocks of this machine and of the name server by NTP"
	raw, err := hex.DecodeString(t.OtherData)
	if err != nil || len(raw) != 6 {
		return fault.WithHint(route.ErrClock, hint)
	}
	var seconds int64
	for _, b := range raw {
		seconds = seconds<<8 | int64(b)
	}
	ahead := c.s.clock.Now().Sub(time.Unix(seconds, 0)).Round(time.Second)
	side := "ahead of"
	if ahead < 0 {
		ahead, side = -ahead, "behind"
	}
	return fault.WithHint(fmt.Errorf("%w: this machine's is %v %s the name server's", route.ErrClock, ahead, side), hint)
}
