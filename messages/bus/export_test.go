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

// Delay lets the next write of a store get no answer, and be on its way while it is refused so
// often: then it is done.
func Delay(s *Store, refusals int) { s.kv = &delayed{KeyValue: s.kv, refusals: refusals} }

type delayed struct {
	jetstream.KeyValue
	refusals, calls int
}

func (d *delayed) Create(ctx context.Context, key string, data []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	return d.write(ctx, func() (uint64, error) { return d.KeyValue.Create(ctx, key, data, o...) })
}

func (d *delayed) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	return d.write(ctx, func() (uint64, error) { return d.KeyValue.Update(ctx, key, data, revision) })
}

func (d *delayed) write(ctx context.Context, do func() (uint64, error)) (uint64, error) {
	d.calls++
	switch {
	case d.calls == 1:
		<-ctx.Done()
		return 0, context.Cause(ctx)
	case d.calls <= d.refusals+1:
		return 0, jetstream.ErrKeyExists
	case d.calls == d.refusals+2: // the first one, before this
		if _, err := do(); err != nil {
			return 0, err
		}
	}
	return do()
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

// Linger lets the watches of a store be stopped only once the channel is closed.
func Linger(s *Store, until <-chan struct{}) { s.kv = lingering{s.kv, until} }

type lingering struct {
	jetstream.KeyValue
	until <-chan struct{}
}

func (l lingering) Watch(ctx context.Context, keys string, options ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	w, err := l.KeyValue.Watch(ctx, keys, options...)
	return lingerer{w, l.until}, err
}

type lingerer struct {
	jetstream.KeyWatcher
	until <-chan struct{}
}

func (l lingerer) Stop() error {
	<-l.until
	return l.KeyWatcher.Stop()
}
