package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// reachPatience is how long one of several servers may take to be connected to, and again
// to answer, before the next is tried.
const reachPatience = 3 * time.Second

// Reach is [Connect] and [Bind] for whoever wants an answer, by any of the servers. One
// that cannot be reached, or answers without being with the majority of its cluster, is left
// for the next of the list, in order. While any of them answers that way it goes on, round
// after round, until o.Patience is over: the others may be electing a leader.
//
// When none can do more it returns, beside the error, a connection to a server that
// answered, if there is one: heartbeats are heard and coordinators asked on it all the same.
// Whoever calls closes it.
func Reach(ctx context.Context, o Options) (*Conn, *Bus, error) {
	now := clock.Or(o.Clock).Now
	o.Patience = o.patience()
	end := now().Add(o.Patience)
	for {
		c, b, err := reachAny(ctx, o)
		if b != nil || c == nil || ctx.Err() != nil || now().After(end) {
			return c, b, err
		}
		c.nc.Close()
	}
}

// reachAny tries each server once.
func reachAny(ctx context.Context, o Options) (answered *Conn, b *Bus, err error) {
	list := []string{o.URL}
	if o.InProcess == nil {
		list = strings.Split(strings.ReplaceAll(o.URL, " ", ""), ",")
	}
	one := o
	if len(list) > 1 {
		one.Patience = min(reachPatience, o.Patience)
	}
	var silent, without []error
	for _, one.URL = range list {
		c, err := connectWithin(ctx, one)
		if err != nil {
			silent = append(silent, err)
			continue
		}
		b, err := Bind(ctx, c)
		if err == nil {
			err = b.led()
		}
		if err == nil {
			if answered != nil {
				answered.nc.Close()
			}
			c.patience = o.Patience
			if err := c.known(o, list); err != nil {
				return nil, nil, err
			}
			return c, b, nil
		}
		without = append(without, err)
		if answered == nil {
			answered = c
		} else {
			c.nc.Close()
		}
		if !Unanswered(err) || ctx.Err() != nil {
			answered.nc.Close()
			return nil, nil, err
		}
	}
	switch {
	case answered == nil:
		return nil, nil, errors.Join(silent...)
	case len(list) == 1:
		return answered, nil, without[0]
	}
	return answered, nil, fault.New("find the majority of the cluster by", redact(o.URL),
		fmt.Errorf("%d of %d servers cannot be reached, and the others do not know it: %w", len(silent), len(list), without[0]), "")
}

// led fails when a stream that was just bound to has no leader: any server tells of it, also
// one that is alone.
func (b *Bus) led() error {
	for name, s := range map[string]jetstream.Stream{messages.StreamJobs: b.jobs, messages.StreamEvents: b.events, messages.StreamDead: b.dead} {
		if c := s.CachedInfo().Cluster; c != nil && c.Leader == "" {
			return b.c.failed("bind to stream", name, errLeaderless)
		}
	}
	return nil
}

// connectWithin is Connect, for no longer than the patience with one server.
func connectWithin(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, min(o.Patience, requestTimeout))
	defer cancel()
	return Connect(ctx, o)
}

// known has a connection to one of several servers go on with any of them.
func (c *Conn) known(o Options, list []string) error {
	if len(list) == 1 {
		return nil
	}
	if err := c.nc.SetServerPool(list); err != nil {
		c.nc.Close()
		return fault.New("connect to NATS at", redact(o.URL), err, "see nats.url in the configuration")
	}
	return nil
}
