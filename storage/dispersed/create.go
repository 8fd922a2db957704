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
	e := &election{put: p}
	defer e.free()
	backoff := minBackoff
	for range maxTries {
		f, err := p.b.look(p.ctx, opPut, p.name, true)
		switch {
		case err != nil:
			return err
		case f.head != nil && (e.shards == nil || f.head.version != e.own):
			if err := e.complete(f); err != nil {
				return err
			}
			return e.lose()
		}
		if err := p.confirm(f); err != nil {
			return err
		}
		if err := e.begin(f); err != nil {
			return err
		}
		if err = e.run(); !errors.Is(err, errContended) {
			return err
		}
		if err := p.b.clock.Sleep(p.ctx, time.Duration(rand.Int64N(int64(backoff)))); err != nil {
			return fault.New(opPut, p.name, err, "")
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return fault.New(opPut, p.name, &backend.TemporaryError{Err: errContended}, "")
}

// begin makes the shards wait of which the others may elect this writer's version. They
// keep waiting from one ballot to the next: others may have elected it by then.
// Only when the object was created and deleted meanwhile there has to be a newer one.
func (e *election) begin(f *found) error {
	e.counter++
	if f.top != nil && f.top.gone() {
		e.below = f.top.seq
	}
	if e.shards != nil && e.own.seq > e.below {
		return nil
	}
	if e.shards != nil {
		e.withdraw()
		e.free()
	}
	e.own = version{e.b.after(f), random()}
	s, err := e.b.codec.encode(e.head(e.own, flagConditional), e.data)
	if err != nil {
		return fault.New(opPut, e.name, err, "")
	}
	e.shards = s
	return e.stage(s)
}

func (e *election) free() {
	if e.shards != nil {
		e.shards.drop()
		e.shards = nil
	}
}

// complete puts an object in its place of which some shards wait still, since the writer
// that won died: what is said to exist must be there for everybody.
func (p *put) complete(f *found) error {
	if f.view.settled(p.b.k) != nil {
		return nil
	}
	s, err := p.b.rebuild(p.ctx, p.name, f)
	if err != nil {
		return err
	}
	defer s.drop()
	return p.place(s)
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
	chosen, err := e.elect()
	if err != nil {
		return err
	}
	f, err := e.b.look(e.ctx, opPut, e.name, true)
	switch {
	case err != nil:
		return err
	case f.head != nil && f.head.version != chosen.version:
		// What an election left is removed only when its object is in place, so whoever
		// saw nothing of one that is over sees its object now.
		if err := e.complete(f); err != nil {
			return err
		}
		return e.lose()
	case f.top != nil && f.top.gone() && f.top.seq > chosen.seq:
		return errContended // it was deleted meanwhile: all begins anew
	}
	if chosen.version == e.own {
		if err := e.place(e.shards); err != nil {
			return err
		}
		e.tidy()
		e.b.committed()
		return e.done(e.shards)
	}
	if err := e.help(chosen); err != nil {
		return err
	}
	return e.lose()
}

// place puts the shards of the elected version where they belong.
func (p *put) place(s *shards) error {
	o := p.o
	o.IfAbsent = true
	r := p.spread(s, func(ctx context.Context, m *member, shard []byte) error {
		err := m.Put(ctx, p.name, shard, o)
		if errors.Is(err, backend.ErrExists) {
			err = p.overtake(ctx, m, s.head.version, shard)
		}
		return err
	}, func(context.Context, *member, []byte) error { return backend.ErrExists })
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
	s, err := e.b.cut(e.ctx, o)
	switch {
	case errors.Is(err, backend.ErrDamaged), ended(e.ctx, opPut, e.name) != nil:
		return err
	case err != nil:
		return errContended
	}
	defer s.drop()
	return e.place(s)
}

// lose says that another put won, after nothing of this one waits any more that
// somebody could take for a candidate.
func (e *election) lose() error {
	if e.shards == nil {
		return e.exists()
	}
	if gone := e.withdraw(); gone <= e.b.n-e.b.k {
		return fault.New(opPut, e.name, &backend.TemporaryError{Err: errors.New("another put won, and this one could not be taken back wholly")}, "try again")
	}
	return e.exists()
}
