package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// shortestSign is the shortest life of a sign: the server counts in seconds, and
// three renewals have to fit.
const shortestSign = 3 * time.Second

// Signs are signs of life of whoever has a name that nobody else has: keys of
// dr_leases that the server removes by itself when they are not renewed.
//
// A sign excludes nobody and needs no epoch. That it is gone does not prove that
// its holder is: it may be cut off from the queue. What follows from that must be
// decided elsewhere, by something that only one of two can win.
type Signs struct {
	store *Store
	clock clock.Clock
}

// Signs are the signs of life in dr_leases.
func (b *Bus) Signs() *Signs {
	return &Signs{store: b.stores[messages.BucketLeases], clock: clock.Or(b.c.clock)}
}

// Sign is a sign of life that is shown until Release.
type Sign struct {
	s     *Signs
	name  string
	stop  context.CancelFunc
	shown sync.WaitGroup
	err   error
	once  sync.Once
}

// Show shows a sign of life of a ttl, and renews it three times in that. One that
// ran out, because the queue was away, is shown again when it is back.
func (s *Signs) Show(ctx context.Context, name, holder string, ttl time.Duration) (*Sign, error) {
	if !messages.ValidLease(name) || !messages.ValidName(holder) {
		return nil, fault.New("show sign of life", name, errors.New("not a valid name, or not one of its holder "+holder), "")
	}
	ttl = max(ttl, shortestSign)
	if err := s.put(ctx, name, holder, ttl); err != nil {
		return nil, err
	}
	sign := &Sign{s: s, name: name}
	ctx, sign.stop = context.WithCancel(context.WithoutCancel(ctx))
	sign.shown.Go(func() {
		for s.clock.Sleep(ctx, ttl/3) == nil {
			once, cancel := context.WithTimeout(ctx, ttl/3)
			_ = s.put(once, name, holder, ttl) // the next one may get through
			cancel()
		}
	})
	return sign, nil
}

// Touch shows a sign of life once: it lasts for the ttl. That it was acknowledged
// proves that the queue takes writes, and so that this side has its majority.
func (s *Signs) Touch(ctx context.Context, name, holder string, ttl time.Duration) error {
	if !messages.ValidLease(name) || !messages.ValidName(holder) {
		return fault.New("show sign of life", name, errors.New("not a valid name, or not one of its holder "+holder), "")
	}
	return s.put(ctx, name, holder, max(ttl, shortestSign))
}

// put writes the key with its life.
func (s *Signs) put(ctx context.Context, name, holder string, ttl time.Duration) error {
	value, err := messages.LeaseValue{Holder: holder, DeadlineMillis: s.clock.Now().Add(ttl).UnixMilli()}.Encode()
	if err != nil {
		return fault.New("show sign of life", name, err, "")
	}
	c := s.store.c
	return c.persist(ctx, "show sign of life", s.store.object(name), func(ctx context.Context) error {
		m := &nats.Msg{Subject: "$KV." + s.store.kv.Bucket() + "." + name, Data: value}
		_, err := c.js.PublishMsg(ctx, m, jetstream.WithMsgTTL(ttl.Round(time.Second)))
		return err
	})
}

// Seen tells whether a sign of that name is shown.
func (s *Signs) Seen(ctx context.Context, name string) (bool, error) {
	_, err := s.store.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Release takes the sign away at once. Calling it again does nothing.
func (g *Sign) Release(ctx context.Context) error {
	g.once.Do(func() {
		g.stop()
		g.shown.Wait()
		g.err = g.s.store.Delete(ctx, g.name, 0)
	})
	return g.err
}
