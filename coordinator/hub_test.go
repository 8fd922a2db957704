package coordinator

import (
	"context"
	"errors"
	"sync"

	"mahavishnu/messages"
)

// hub joins coordinators without a network: what one says the others hear at once,
// unless their line is cut.
type hub struct {
	mu    sync.Mutex
	lines map[string]*line
	cut   map[[2]string]bool
}

func newHub() *hub { return &hub{lines: map[string]*line{}, cut: map[[2]string]bool{}} }

// sever cuts the way from one to another.
func (h *hub) sever(from, to string, cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut[[2]string{from, to}] = cut
}

// line is one coordinator's end.
type line struct {
	hub  *hub
	node string

	mu       sync.Mutex
	opinions func(messages.OpinionReport)
}

func (h *hub) line(node string) *line {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &line{hub: h, node: node}
	h.lines[node] = l
	return l
}

// reach calls fn for every end that a node reaches.
func (h *hub) reach(from string, fn func(*line)) {
	h.mu.Lock()
	var all []*line
	for to, l := range h.lines {
		if to != from && !h.cut[[2]string{from, to}] {
			all = append(all, l)
		}
	}
	h.mu.Unlock()
	for _, l := range all {
		fn(l)
	}
}

func (l *line) PublishOpinions(r messages.OpinionReport) error {
	l.hub.reach(l.node, func(to *line) {
		to.mu.Lock()
		defer to.mu.Unlock()
		if to.opinions != nil {
			to.opinions(r)
		}
	})
	return nil
}

func (l *line) WatchOpinions(ctx context.Context, fn func(messages.OpinionReport)) error {
	l.mu.Lock()
	l.opinions = fn
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.opinions = nil
	l.mu.Unlock()
	return context.Cause(ctx)
}

func (l *line) WatchHeartbeats(ctx context.Context, _ func(messages.Heartbeat)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (l *line) ServeCoordinator(string, func(messages.ControlRequest) messages.ControlReply) (func(), error) {
	return func() {}, nil
}

// throne is a lease that one holds at a time.
type throne struct {
	mu    sync.Mutex
	epoch uint64
	free  chan struct{}
	held  []string
	lose  context.CancelCauseFunc // takes the lease from its holder
}

var errLost = errors.New("lost")

func newThrone() *throne {
	t := &throne{free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t
}

// seat is one candidate's way to the throne.
type seat struct {
	*throne
	node string
}

func (s seat) Acquire(ctx context.Context) (Lease, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.free:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.held = append(s.held, s.node)
	r := &reignOf{throne: s.throne, epoch: s.epoch}
	r.ctx, s.lose = context.WithCancelCause(context.Background())
	return r, nil
}

func (t *throne) history() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string{}, t.held...)
}

type reignOf struct {
	*throne
	epoch uint64
	ctx   context.Context
}

func (r *reignOf) Epoch() uint64            { return r.epoch }
func (r *reignOf) Context() context.Context { return r.ctx }
func (r *reignOf) Release(context.Context) error {
	r.free <- struct{}{}
	return nil
}
