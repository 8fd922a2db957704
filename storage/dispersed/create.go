package dispersed

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Conditional puts that meet others back off by chance, longer each time.
const (
	maxTries   = 40
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// errContended means that somebody else is creating the same object right now.
var errContended = errors.New("others create the same object at this moment")

// create puts an object that must not be there. Which of several writers does is
// decided by an election among the storages: see [election] and DESIGN.md.
func (p *put) create() error {
	gen := random()
	counter := uint64(0)
	backoff := minBackoff
	for range maxTries {
		f, err := p.b.look(p.ctx, opPut, p.name, true)
		if err != nil {
			return err
		}
		if f.head != nil {
			return p.exists()
		}
		if err := p.confirm(f); err != nil {
			return err
		}
		e := &election{put: p, own: version{p.b.after(f), gen}, counter: counter + 1}
		if f.top != nil && f.top.gone() {
			e.below = f.top.seq
		}
		err = e.run()
		if !errors.Is(err, errContended) {
			return err
		}
		counter = e.counter
		if err := p.b.clock.Sleep(p.ctx, time.Duration(rand.Int64N(int64(backoff)))); err != nil {
			return fault.New(opPut, p.name, err, "")
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return fault.New(opPut, p.name, &backend.TemporaryError{Err: errContended}, "")
}

func (p *put) exists() error { return fault.New(opPut, p.name, backend.ErrExists, "") }

// confirm makes sure that a deletion that is seen on a few storages is on so many that
// nobody overlooks it: what follows counts on it.
func (p *put) confirm(f *found) error {
	if f.top == nil || !f.top.gone() || f.view.has(f.top.version) > p.b.n-p.b.k {
		return nil
	}
	return p.b.bury(p.ctx, opPut, p.name, f.top.version, f)
}

// run holds one ballot. It returns nil when this put won and is confirmed,
// backend.ErrExists when another one did, and errContended when it must be tried
// again.
func (e *election) run() error {
	s, err := e.b.codec.encode(e.head(e.own, flagConditional), e.data)
	if err != nil {
		return fault.New(opPut, e.name, err, "")
	}
	defer s.drop()
	if err := e.stage(s); err != nil {
		return err
	}
	chosen, err := e.elect()
	if err != nil {
		if errors.Is(err, errContended) {
			e.withdraw()
		}
		return err
	}
	switch finished, err := e.finished(chosen); {
	case err != nil:
		return err
	case finished != nil && finished.version != chosen.version:
		return e.lose()
	}
	if chosen.version == e.own {
		if err := e.place(s); err != nil {
			return err
		}
		e.tidy()
		return e.done(s)
	}
	if err := e.help(chosen); err != nil {
		return err
	}
	return e.lose()
}

// finished returns the object that is there already, for nobody may win behind it.
// The end of an election is removed only when its object is in place, so whoever
// saw nothing of an election that is over sees its object here.
func (e *election) finished(chosen candidate) (*head, error) {
	f, err := e.b.look(e.ctx, opPut, e.name, true)
	switch {
	case err != nil:
		return nil, err
	case f.head != nil:
		return f.head, nil
	case f.top != nil && f.top.gone() && f.top.seq > chosen.seq:
		e.withdraw()
		return nil, errContended // it was deleted meanwhile: all begins anew
	}
	return nil, nil
}

// place puts the shards of the elected version where they belong.
func (p *put) place(s *shards) error {
	o := p.o
	o.IfAbsent = true
	r := p.spread(s, func(ctx context.Context, m *member, shard []byte) error {
		err := m.Put(ctx, p.name, shard, o)
		if !errors.Is(err, backend.ErrExists) {
			return err
		}
		h, err := p.b.lookAt(ctx, m, p.name, p.name)
		switch {
		case err == nil && h.version == s.head.version:
			return nil
		case err == nil && h.compare(s.head.version) > 0:
			return errNewer
		case err == nil || unusable(err) || errors.Is(err, backend.ErrNotFound):
			return m.Put(ctx, p.name, shard, p.replacing())
		}
		return err
	}, nil)
	if r.good < p.b.quorum {
		return p.b.tooFew(p.ctx, opPut, p.name, p.b.quorum, r.errs...)
	}
	return nil
}

// help puts the winner's shards in their place, for a winner that may be dead: an
// object that is said to exist must be there.
func (e *election) help(chosen candidate) error {
	o := &object{b: e.b, name: e.name, fresh: true, paths: make([]string, e.b.n)}
	for i, m := range e.b.members {
		if chosen.waiting[i] {
			o.paths[i] = stagedPath(e.name, chosen.version)
			if h, err := e.b.lookAt(e.ctx, m, e.name, o.paths[i]); err == nil && h.version == chosen.version {
				o.head = *h
			}
		}
	}
	if o.head.version != chosen.version {
		return errContended // it is in place meanwhile
	}
	var data []byte
	if o.head.size > 0 {
		var err error
		if data, err = e.b.rows(e.ctx, o, 0, o.head.size); err != nil {
			if errors.Is(err, backend.ErrDamaged) || ended(e.ctx, opPut, e.name) != nil {
				return err
			}
			return errContended
		}
	}
	o.head.index = 0
	s, err := e.b.codec.encode(o.head, data)
	if err != nil {
		return fault.New(opPut, e.name, err, "")
	}
	defer s.drop()
	return e.place(s)
}

// lose says that another put won, after nothing of this one waits any more that
// somebody could take for a candidate.
func (e *election) lose() error {
	if gone := e.withdraw(); gone <= e.b.n-e.b.k {
		return fault.New(opPut, e.name, &backend.TemporaryError{Err: errors.New("another put won, and this one could not be taken back wholly")}, "try again")
	}
	return e.exists()
}
