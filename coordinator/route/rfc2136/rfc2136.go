package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

const (
	defaultTimeout = 2 * time.Second
	defaultPort    = "53"
)

// Options say which name, where and with which key. Clock, Timeout, Need and
// OnLag may be left out.
type Options struct {
	// Servers are the zone's primaries, as "host" or "host:port".
	Servers []string
	// Zone is the zone the name is in, as the servers have it.
	Zone string
	// Name is what clients use.
	Name route.Name
	Key  Key
	// Timeout bounds one exchange with a server; 0 is 2 seconds.
	Timeout time.Duration
	// Need is how many primaries must take a change; 0 is a majority.
	Need int
	// OnLag hears of a primary that did not take a change that succeeded.
	OnLag func(server string, err error)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// New returns a router by DNS updates. Nothing is sent yet; see Check.
func New(o Options) (route.Router, error) {
	var places []route.Place
	for _, address := range o.Servers {
		s, err := newServer(address, o)
		if err != nil {
			return nil, fault.New("route by DNS updates at", address, err, "see the service's route in the configuration")
		}
		places = append(places, route.Place{Name: address, Router: s})
	}
	if len(places) == 1 {
		return places[0].Router, nil
	}
	return route.NewGroup(places, route.GroupOptions{Need: o.Need, OnLag: o.OnLag, Clock: o.Clock})
}

// server is one primary of the zone.
type server struct {
	address string
	zone    string
	name    route.Name
	key     Key
	timeout time.Duration
	clock   clock.Clock
}

func newServer(address string, o Options) (*server, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), defaultPort)
	}
	s := &server{
		address: address, zone: dns.CanonicalName(o.Zone), name: o.Name, key: o.Key,
		timeout: o.Timeout, clock: clock.Or(o.Clock),
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if err := o.Name.Check(); err != nil {
		return nil, err
	}
	switch {
	case o.Zone == "":
		return nil, errors.New("the zone is missing")
	case !dns.IsSubDomain(s.zone, o.Name.FQDN()):
		return nil, fmt.Errorf("%s is not in the zone %s", o.Name.FQDN(), s.zone)
	case o.Name.Kind == route.KindAlias && o.Name.FQDN() == s.zone:
		return nil, fmt.Errorf("%s is the zone itself, where no alias may stand", s.zone)
	case o.Key.secret == "":
		return nil, errors.New("the key is missing: updates are never sent unsigned")
	}
	return s, nil
}

// Point implements route.Router.
func (s *server) Point(ctx context.Context, t route.Target, epoch uint64) error {
	if _, err := s.name.Records(t); err != nil {
		return fault.New("point clients at", t.Member, err, "see the members of the service in the configuration")
	}
	return route.Advance(ctx, s, s.name.Seen(t), epoch)
}

// Current implements route.Router.
func (s *server) Current(ctx context.Context) (route.Target, uint64, error) {
	var held route.Held
	err := s.talk(ctx, "ask where clients are led", func(c *conn) error {
		var err error
		held, err = s.read(ctx, c)
		return err
	})
	return held.Target, held.Epoch, err
}

// Check implements route.Router. It writes what is there once more, on the
// condition that it still is: that takes every right Point needs and changes
// nothing. While nothing was ever pointed at, it sends an update without changes.
func (s *server) Check(ctx context.Context) error {
	return s.talk(ctx, "check DNS updates at", func(c *conn) error {
		held, err := s.read(ctx, c)
		if err != nil {
			return err
		}
		m, err := s.update(held, held.State)
		if err != nil {
			return err
		}
		if held.Epoch > 0 {
			_, there, err := s.records(held.State)
			if err != nil {
				return err
			}
			m.Used(there)
		}
		answers, err := c.ask(m)
		if err != nil {
			return err
		}
		if err := s.updated(answers[0]); !errors.Is(err, route.ErrChanged) {
			return err
		}
		return nil // somebody points clients elsewhere this very moment
	})
}

// Read implements route.Register. It is one round trip: should the mark and the
// records belong to different epochs, the condition of Swap finds out.
func (s *server) Read(ctx context.Context) (route.Held, error) {
	var held route.Held
	err := s.talk(ctx, "ask where clients are led", func(c *conn) error {
		var err error
		held, err = s.glance(c)
		return err
	})
	return held, err
}

// glance asks for the mark and the records at once.
func (s *server) glance(c *conn) (route.Held, error) {
	questions := []*dns.Msg{s.query(s.name.Epoch(), dns.TypeTXT)}
	for _, kind := range s.name.Types() {
		questions = append(questions, s.query(s.name.FQDN(), dns.StringToType[kind]))
	}
	answers, err := c.ask(questions...)
	if err != nil {
		return route.Held{}, err
	}
	mark, err := s.mark(answers[0])
	if err != nil {
		return route.Held{}, err
	}
	return s.held(mark, answers[1:])
}

// read asks for the mark before and after the records: marks only grow, so when
// both are the same, the records are of that epoch.
func (s *server) read(ctx context.Context, c *conn) (route.Held, error) {
	before, err := s.readMark(c)
	for try := range 20 {
		if err == nil && try > 0 { // coordinators race: let them
			err = s.clock.Sleep(ctx, time.Duration(try)*5*time.Millisecond)
		}
		if err != nil {
			return route.Held{}, err
		}
		var held route.Held
		if held, err = s.glance(c); err != nil {
			return route.Held{}, err
		}
		var after route.Mark
		if after, err = s.readMark(c); err == nil && before == after && route.MarkOf(held.State) == after {
			return held, nil
		}
		before = after
	}
	return route.Held{}, errors.New("it changes faster than it can be read")
}

func (s *server) readMark(c *conn) (route.Mark, error) {
	answers, err := c.ask(s.query(s.name.Epoch(), dns.TypeTXT))
	if err != nil {
		return route.Mark{}, err
	}
	return s.mark(answers[0])
}

func (s *server) held(mark route.Mark, answers []*dns.Msg) (route.Held, error) {
	var records []route.Record
	for _, a := range answers {
		if err := s.trusted(a); err != nil {
			return route.Held{}, err
		}
		for _, rr := range a.Answer {
			h := rr.Header()
			if dns.CanonicalName(h.Name) != s.name.FQDN() {
				continue // where an alias leads to
			}
			value := strings.TrimSpace(strings.TrimPrefix(rr.String(), h.String()))
			records = append(records, route.Record{Name: s.name.FQDN(), Type: dns.TypeToString[h.Rrtype], Value: value})
		}
	}
	if mark.Epoch == 0 {
		return route.Held{}, nil // what is there was never ours to tell of
	}
	t, err := s.name.Target(mark.Member, records)
	return route.Held{State: route.State{Epoch: mark.Epoch, Target: t}}, err
}

// mark reads the answer to the question for the TXT record; epoch 0 when there
// is none.
func (s *server) mark(answer *dns.Msg) (route.Mark, error) {
	if err := s.trusted(answer); err != nil {
		return route.Mark{}, err
	}
	var found []*dns.TXT
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			found = append(found, txt)
		}
	}
	switch len(found) {
	case 0:
		return route.Mark{}, nil
	case 1:
		m, err := route.ParseMark(found[0].Txt)
		if err == nil {
			return m, nil
		}
		return m, fault.New("read", s.name.Epoch(), err, "somebody else wrote this TXT record; remove it if nothing else uses it")
	}
	return route.Mark{}, fault.New("read", s.name.Epoch(), fmt.Errorf("it holds %d TXT records instead of one", len(found)), "remove those that are no mark")
}

func (s *server) query(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.RecursionDesired = false
	return m
}

// trusted refuses answers of servers that do not speak for the zone.
func (s *server) trusted(m *dns.Msg) error {
	switch {
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
	case !m.Authoritative:
		return fmt.Errorf("it does not answer for the zone %s", s.zone)
	}
	return nil
}

// records are those of a state as update messages carry them.
func (s *server) records(state route.State) (mark dns.RR, rest []dns.RR, err error) {
	all, err := s.name.Records(state.Target)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", r.Name, s.name.Seconds(), r.Type, r.Value))
		if err != nil {
			return nil, nil, err
		}
		rest = append(rest, rr)
	}
	return s.txt(route.MarkOf(state)), rest, nil
}

func (s *server) txt(m route.Mark) dns.RR {
	return &dns.TXT{
		Hdr: dns.RR_Header{Name: s.name.Epoch(), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: s.name.Seconds()},
		Txt: slices.Clone(m.Strings()),
	}
}
