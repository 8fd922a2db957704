package worker

import (
	"context"
	"sync"
	"time"

	"mahavishnu/messages/bus"
)

// reopenAfter is the pause before pulling is tried again.
const reopenAfter = time.Second

// source is where a pool's slots get their messages. When pulling breaks (a
// consumer was deleted and made anew, say) it starts over, for ever: the jobs
// that run meanwhile are not concerned.
type source struct {
	pool *Pool
	// life is the pullers' context. It ends with close, not with the slots'.
	life context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	puller *bus.Puller
}

func newSource(ctx context.Context, p *Pool) *source {
	s := &source{pool: p}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// open starts pulling.
func (s *source) open() error {
	p := s.pool
	puller, err := p.Bus.Puller(s.life, bus.PullOptions{Kinds: p.Kinds, Region: p.Region, Distance: p.Distance})
	if err != nil {
		return err
	}
	s.puller = puller
	return nil
}

// next waits for a message. It returns nil when ctx ended, or after a pause
// when pulling is broken.
func (s *source) next(ctx context.Context) *bus.Delivery {
	s.mu.Lock()
	puller := s.puller
	s.mu.Unlock()
	d, err := puller.Next(ctx)
	if err == nil {
		return d
	}
	if ctx.Err() == nil {
		s.pool.trouble("pull", "", err)
		s.reopen(ctx, puller)
	}
	return nil
}

// reopen replaces a broken puller, unless another slot has done so.
func (s *source) reopen(ctx context.Context, broken *bus.Puller) {
	if s.pool.Clock.Sleep(ctx, reopenAfter) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puller != broken || ctx.Err() != nil {
		return
	}
	if err := broken.Close(); err != nil {
		s.pool.trouble("pull", "", err)
	}
	if err := s.open(); err != nil {
		s.pool.trouble("pull", "", err)
	}
}

// close ends pulling. A message that arrives in the last moment is given back.
func (s *source) close() error {
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puller.Close()
}
