package bus

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// maxPlanRequests is how many requests about plans are answered at once.
const maxPlanRequests = 8

// AskPlans sends a request about failover plans to the leading coordinator and waits
// for the answer as long as ctx lasts. ErrNobody means that none leads.
func (b *Bus) AskPlans(ctx context.Context, request []byte) ([]byte, error) {
	m, err := b.c.nc.RequestWithContext(ctx, messages.SubjectPlanControl, request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fault.New("ask", messages.SubjectPlanControl, ErrNobody, "no coordinator leads; see: mahavishnu failover status")
	case err != nil:
		return nil, b.c.failed("ask", messages.SubjectPlanControl, err)
	}
	return m.Data, nil
}

// ServePlans answers requests about failover plans until stop is called, which waits
// for those under way. Only the leading coordinator does that. One of the past that
// does not know it yet may hear the same request; the epochs of what it writes to
// keep it from doing anything.
func (b *Bus) ServePlans(ctx context.Context, fn func(ctx context.Context, request []byte) []byte) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var mu sync.Mutex
	free, stopped := maxPlanRequests, false
	sub, err := b.c.nc.Subscribe(messages.SubjectPlanControl, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if stopped || free == 0 || m.Reply == "" {
			return // who asks hears nothing, and asks again
		}
		free--
		running.Go(func() {
			if err := b.c.nc.Publish(m.Reply, fn(ctx, m.Data)); err != nil {
				b.c.notify(Notice{Kind: NoticeError, Server: b.c.nc.ConnectedUrlRedacted(), Err: err})
			}
			mu.Lock()
			defer mu.Unlock()
			free++
		})
	})
	if err == nil {
		err = b.c.nc.FlushTimeout(requestTimeout)
		if err != nil {
			err = errors.Join(err, sub.Unsubscribe())
		}
	}
	if err != nil {
		cancel()
		return nil, b.c.failed("listen to", messages.SubjectPlanControl, err)
	}
	return func() {
		sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone, and then it is too
		mu.Lock()
		stopped = true
		mu.Unlock()
		cancel()
		running.Wait()
	}, nil
}
