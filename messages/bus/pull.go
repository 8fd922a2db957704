package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

const (
	// A pull is renewed after pullExpiry; the server says every pullHeartbeat
	// that it still knows of it. Two missing ones mean that the pull died with
	// a server, and it is sent again.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 2 * time.Second
	// handBackIn bounds giving back a message that arrived when nobody wanted it.
	handBackIn = 5 * time.Second
)

// PullOptions say what a worker takes.
type PullOptions struct {
	// Kinds to take; nil is every kind.
	Kinds []messages.Kind
	// Region is the worker's; "" takes jobs for any region only. Those are
	// always taken.
	Region string
	// Also are other regions whose jobs are taken, too.
	Also []string
	// Distance of this worker's region from the home of jobs for any region,
	// 0 to 9: a worker further away gets one only while no nearer worker waits.
	Distance int
}

// Puller takes jobs from several consumers, one for each caller of Next.
//
// While somebody waits in Next, every consumer has exactly one outstanding
// pull for one message, so a job is picked up in one round trip, whatever its
// kind. Nothing is fetched ahead: a message that arrives when nobody waits any
// more goes back to the server at once, for another worker. So a message is
// never held without a slot that works on it.
type Puller struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	waiting []chan *Delivery // callers of Next, oldest first
	demand  chan struct{}    // closed and replaced when the first caller comes
	failed  error            // why no message can come any more
}

// Puller starts pulling. The context is that of the whole life of the puller.
func (b *Bus) Puller(ctx context.Context, o PullOptions) (*Puller, error) {
	if len(o.Kinds) == 0 {
		o.Kinds = messages.Kinds()
	}
	if o.Distance < 0 || o.Distance > 9 {
		return nil, fault.New("pull jobs", "", fmt.Errorf("distance %d is not between 0 and 9", o.Distance), "")
	}
	var sources []jetstream.MessagesContext
	var waits []time.Duration
	stop := func() {
		for _, s := range sources {
			s.Stop()
		}
	}
	regions := []string{messages.AnyRegion}
	for _, region := range append([]string{o.Region}, o.Also...) {
		if region != "" && !slices.Contains(regions, region) {
			regions = append(regions, region)
		}
	}
	for _, k := range o.Kinds {
		for _, region := range regions {
			source, wait, err := b.source(ctx, k, region, o.Distance)
			if err != nil {
				stop()
				return nil, err
			}
			sources, waits = append(sources, source), append(waits, wait)
		}
	}
	p := &Puller{demand: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(ctx)
	for i, s := range sources {
		p.done.Go(func() { p.pull(b, s, waits[i]) })
	}
	return p, nil
}

func (b *Bus) source(ctx context.Context, k messages.Kind, region string, distance int) (jetstream.MessagesContext, time.Duration, error) {
	name := messages.ConsumerName(k, region)
	var consumer jetstream.Consumer
	err := b.c.persist(ctx, "bind to consumer", name, func(ctx context.Context) error {
		var err error
		consumer, err = b.jobs.Consumer(ctx, name)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	options := []jetstream.PullMessagesOpt{
		jetstream.PullMaxMessages(1),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(false), // it pulls again by itself
	}
	if region == messages.AnyRegion {
		options = append(options, jetstream.PullPriorityGroup(nearestGroup), jetstream.PullPrioritized(distance))
	}
	source, err := consumer.Messages(options...)
	if err != nil {
		return nil, 0, b.c.failed("pull from consumer", name, err)
	}
	return source, consumer.CachedInfo().Config.AckWait, nil
}

// Next waits for one message. Call it only while there is a free slot for the
// job; as many goroutines may call it at once as there are slots. After Close
// it returns ErrClosed.
func (p *Puller) Next(ctx context.Context) (*Delivery, error) {
	mine := make(chan *Delivery, 1)
	p.mu.Lock()
	if p.failed != nil {
		p.mu.Unlock()
		return nil, p.failed
	}
	p.waiting = append(p.waiting, mine)
	if len(p.waiting) == 1 {
		close(p.demand)
		p.demand = make(chan struct{})
	}
	p.mu.Unlock()

	var reason error
	select {
	case d := <-mine:
		return d, nil
	case <-ctx.Done():
		reason = context.Cause(ctx)
	case <-p.ctx.Done():
		reason = ErrClosed
	}
	p.mu.Lock()
	if i := slices.Index(p.waiting, mine); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		if p.failed != nil {
			reason = p.failed
		}
		p.mu.Unlock()
		return nil, reason
	}
	p.mu.Unlock()
	giveBack(<-mine) // it came in the very moment
	return nil, reason
}

// pull moves messages of one consumer to callers of Next.
func (p *Puller) pull(b *Bus, source jetstream.MessagesContext, ackWait time.Duration) {
	for p.wanted() {
		m, err := source.Next(jetstream.NextContext(p.ctx))
		switch {
		case err == nil:
			p.offer(newDelivery(b, m, ackWait))
		case p.ctx.Err() != nil:
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrBadRequest):
			p.fail(b.c.failed("pull jobs", "", err))
		default:
			// What passes by itself: a leader change, a lost connection.
			b.c.clock.Sleep(p.ctx, firstPause) //nolint:errcheck // wanted sees the end of the context
		}
	}
	if !b.c.Connected() {
		source.Stop() // nothing can arrive, and nobody could be told
		return
	}
	source.Drain()
	for { // a message may be on its way: it must not wait for AckWait
		m, err := source.Next()
		if err != nil {
			return
		}
		giveBack(newDelivery(b, m, ackWait))
	}
}

// wanted waits until somebody waits in Next; false when the puller ends.
func (p *Puller) wanted() bool {
	for {
		p.mu.Lock()
		some, demand := len(p.waiting) > 0, p.demand
		p.mu.Unlock()
		if p.ctx.Err() != nil {
			return false
		}
		if some {
			return true
		}
		select {
		case <-demand:
		case <-p.ctx.Done():
		}
	}
}

// offer gives a message to who waits longest, or back to the server.
func (p *Puller) offer(d *Delivery) {
	p.mu.Lock()
	if len(p.waiting) == 0 {
		p.mu.Unlock()
		giveBack(d)
		return
	}
	first := p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	p.mu.Unlock()
	first <- d
}

// giveBack returns a message that nobody will work on here. Should the server
// not answer, the message comes back by itself after AckWait.
func giveBack(d *Delivery) {
	ctx, cancel := context.WithTimeout(context.Background(), handBackIn)
	defer cancel()
	d.HandBack(ctx, 0) //nolint:errcheck // see above
}

func (p *Puller) fail(err error) {
	p.mu.Lock()
	if p.failed == nil {
		p.failed = err
	}
	p.mu.Unlock()
	p.cancel()
}

// Close stops pulling, gives back what arrives late, and returns when all that
// is done. Deliveries that were taken stay with those who took them.
func (p *Puller) Close() error {
	p.mu.Lock()
	if p.failed == nil {
		p.failed = ErrClosed
	}
	p.mu.Unlock()
	p.cancel()
	p.done.Wait()
	return nil
}
