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

	opening sync.Mutex // one puller is made, and the last one closed, at a time
	mu      sync.Mutex
	puller  *bus.Puller   // nil while no region's jobs are taken
	changed chan struct{} // closed and replaced when the puller is
}

func newSource(ctx context.Context, p *Pool) *source {
	s := &source{pool: p, changed: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// open begins to pull the jobs of the regions that the pool serves now. What it pulled
// before it pulls no more, once that works.
func (s *source) open() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.life.Err() != nil {
		return bus.ErrClosed
	}
	p := s.pool
	var puller *bus.Puller
	if regions := p.Serves(); len(regions) > 0 {
		var err error
		puller, err = p.Bus.Puller(s.life, bus.PullOptions{Kinds: p.Kinds, Region: regions[0], Also: regions[1:], Distance: p.Distance})
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	old := s.puller
	s.puller = puller
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	return old.Close()
}

func (s *source) now() (*bus.Puller, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puller, s.changed
}

// next waits for a message. It returns nil when ctx ended, when what is pulled has
// changed, or after a pause when pulling is broken.
func (s *source) next(ctx context.Context) *bus.Delivery {
	puller, changed := s.now()
	if puller == nil {
		select {
		case <-ctx.Done():
		case <-changed:
		}
		return nil
	}
	d, err := puller.Next(ctx)
	if err == nil {
		return d
	}
	if again, _ := s.now(); ctx.Err() == nil && again == puller {
		s.reopen(ctx, puller, err)
	}
	return nil
}

// reopen replaces a broken puller, unless another slot has done so.
func (s *source) reopen(ctx context.Context, broken *bus.Puller, why error) {
	s.pool.trouble("pull", "", why)
	if s.pool.Clock.Sleep(ctx, reopenAfter) != nil {
		return
	}
	if now, _ := s.now(); now != broken {
		return
	}
	if err := s.open(); err != nil {
		s.pool.trouble("pull", "", err)
	}
}

// close ends pulling. A message that arrives in the last moment is given back.
func (s *source) close() error {
	s.end()
	s.opening.Lock()
	defer s.opening.Unlock()
	puller, _ := s.now()
	if puller == nil {
		return nil
	}
	return puller.Close()
}
