package bus

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Bus is bound to the streams of one system. It is safe for concurrent use.
type Bus struct {
	c      *Conn
	jobs   jetstream.Stream
	events jetstream.Stream
	dead   jetstream.Stream
	stores map[string]*Store
}

// Bind finds what Provision made, and creates nothing. What is missing is
// ErrNotProvisioned.
func Bind(ctx context.Context, c *Conn) (*Bus, error) {
	b := &Bus{c: c, stores: map[string]*Store{}}
	for name, stream := range map[string]*jetstream.Stream{
		messages.StreamJobs: &b.jobs, messages.StreamEvents: &b.events, messages.StreamDead: &b.dead,
	} {
		err := c.persist(ctx, "bind to stream", name, func(ctx context.Context) error {
			var err error
			*stream, err = c.js.Stream(ctx, name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, name := range []string{messages.BucketJobs, messages.BucketLeases, messages.BucketCatalog, messages.BucketNodes} {
		s := &Store{c: c}
		err := c.persist(ctx, "bind to bucket", name, func(ctx context.Context) error {
			var err error
			s.kv, err = c.js.KeyValue(ctx, name)
			return err
		})
		if err != nil {
			return nil, err
		}
		b.stores[name] = s
	}
	return b, nil
}

// Conn is the connection the bus is bound to.
func (b *Bus) Conn() *Conn { return b.c }

// Store is one of the buckets of package messages.
func (b *Bus) Store(bucket string) (*Store, error) {
	s, ok := b.stores[bucket]
	if !ok {
		return nil, fault.New("open bucket", bucket, ErrNotFound, "")
	}
	return s, nil
}

// Records are the jobs' records.
func (b *Bus) Records() *Records { return &Records{store: b.stores[messages.BucketJobs]} }

// Leases are the roles that one node at a time may hold.
func (b *Bus) Leases() *Leases {
	return &Leases{store: followed{b.stores[messages.BucketLeases]}, clock: b.c.clock}
}

// Dead is the stream of messages nobody can run.
func (b *Bus) Dead() *Dead { return &Dead{b: b} }
