package rfc2136

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

// Swap implements route.Register.
func (s *server) Swap(ctx context.Context, old route.Held, next route.State) error {
	return s.talk(ctx, "update "+s.name.FQDN()+" at", func(c *conn) error {
		m, err := s.update(old, next)
		if err != nil {
			return err
		}
		answers, err := c.ask(m)
		if err != nil {
			if c.sent && !errors.Is(err, errRefused) {
				return fmt.Errorf("%w: %w", route.ErrUnknown, err)
			}
			return err
		}
		if err := s.updated(answers[0]); err != nil {
			return err
		}
		return s.verify(ctx, c, next)
	})
}

// update replaces old by next on the condition that old is there. An old state
// that is the next one too is replaced by itself; epoch 0 as the next one changes
// nothing.
func (s *server) update(old route.Held, next route.State) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetUpdate(s.zone)
	if old.Epoch == 0 {
		m.RRsetNotUsed([]dns.RR{s.txt(route.Mark{})})
	} else {
		m.Used([]dns.RR{s.txt(route.MarkOf(old.State))})
	}
	if next.Epoch == 0 {
		return m, nil
	}
	mark, records, err := s.records(next)
	if err != nil {
		return nil, err
	}
	for _, kind := range s.name.Types() {
		m.RemoveRRset([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: s.name.FQDN(), Rrtype: dns.StringToType[kind], Class: dns.ClassINET}}})
	}
	m.Insert(records)
	m.RemoveRRset([]dns.RR{s.txt(route.Mark{})})
	m.Insert([]dns.RR{mark})
	return m, nil
}

// updated judges the answer to an update.
func (s *server) updated(m *dns.Msg) error {
	switch m.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeNameError, dns.RcodeYXDomain:
		return route.ErrChanged
	case dns.RcodeRefused:
		return fault.WithHint(errors.New("the server refuses the update"),
			fmt.Sprintf("its update-policy must grant key %s the name %s with %v, and the name %s with TXT", s.key.name, s.name.FQDN(), s.name.Types(), s.name.Epoch()))
	case dns.RcodeNotAuth, dns.RcodeNotZone:
		return fault.WithHint(fmt.Errorf("the server is no primary of the zone %s", s.zone), "name the zone's primaries as servers, and the zone as they have it")
	case dns.RcodeNotImplemented:
		return fault.WithHint(errors.New("the server takes no updates"), "name the zone's primaries as servers")
	case dns.RcodeServerFailure:
		return fmt.Errorf("%w: the server failed", route.ErrUnknown)
	}
	return fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
}

// verify reads back what an update did. Another coordinator may have been faster
// than the reading; that is no fault of the update.
func (s *server) verify(ctx context.Context, c *conn, next route.State) error {
	differs := func(held route.Held, err error) bool {
		// The update was acknowledged; that nothing can be read is another matter.
		return err == nil && held.Epoch == next.Epoch && !held.Target.Equal(next.Target)
	}
	held, err := s.glance(c)
	if differs(held, err) {
		held, err = s.read(ctx, c) // it may have been half of this and half of that
	}
	if !differs(held, err) {
		return nil
	}
	return fault.New("read back", s.name.FQDN(), fmt.Errorf("the server acknowledged the update and leads to %v all the same", held.Target),
		"another record stands in its way, an alias beside other records mostly: remove what is at this name")
}
