package bus

import (
	"context"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// Deafen lets the next update of a store get no answer: it is carried out, or lost as well.
func Deafen(s *Store, lost bool) { s.kv = &deaf{KeyValue: s.kv, lost: lost} }

type deaf struct {
	jetstream.KeyValue
	lost bool
	once atomic.Bool
}

func (d *deaf) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	if d.once.Swap(true) {
		return d.KeyValue.Update(ctx, key, data, revision)
	}
	if !d.lost {
		if _, err := d.KeyValue.Update(ctx, key, data, revision); err != nil {
			return 0, err
		}
	}
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

// Abandon stops renewing a sign, as the death of its process does.
func Abandon(g *Sign) {
	g.stop()
	g.shown.Wait()
}

// Pool are the servers that a connection goes on with when it loses its own.
func Pool(c *Conn) (urls []string) {
	for _, s := range c.nc.ServerPool() {
		urls = append(urls, s.URL.String())
	}
	return urls
}
