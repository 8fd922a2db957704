package dispersed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Put returns when a quorum of storages has its shard. The others get theirs behind
// it, as long as there is room to wait: see [Config.Behind].
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	if err := b.begin(ctx, "put", name, true); err != nil {
		return err
	}
	if err := b.mayStore(ctx, name, o.IfAbsent); err != nil {
		return err
	}
	l, unlock := b.lock(ctx, name)
	defer unlock()
	b.known.forget(name)
	p := &put{b: b, ctx: ctx, name: name, data: data, o: o, lock: l}
	if o.IfAbsent {
		return p.create()
	}
	return p.store()
}

const opPut = "put"

// put is one put under way.
type put struct {
	b    *Backend
	ctx  context.Context
	name string
	data []byte
	o    backend.PutOptions
	lock *nameLock
}

// head returns that of a version of the data.
func (p *put) head(v version, flags uint8) head {
	return head{
		version: v, data: uint8(p.b.k), parity: uint8(p.b.n - p.b.k), flags: flags, size: int64(len(p.data)),
		name: hashName(p.name), time: p.b.clock.Now().UnixNano(), sum: xxhash.Sum64(p.data),
	}
}

// after returns a seq that is more than all that was seen under the name.
func (b *Backend) after(f *found) uint64 {
	seq := uint64(max(b.clock.Now().UnixNano(), 1))
	if f != nil && f.top != nil {
		seq = max(seq, f.top.seq+1)
	}
	return seq
}

// content returns the generation of an unconditional put. It follows from what is put,
// so that a put that is tried again goes on with what the first try left.
func content(data []byte) generation {
	sum := sha256.Sum256(data)
	return generation(sum[:])
}

func random() generation {
	var g generation
	_, _ = rand.Read(g[:]) // never fails
	return g
}

// store puts whatever is there. Nearly always there is nothing, which the storages say
// when they refuse to replace: no look is needed before.
func (p *put) store() error {
	h := p.head(version{p.b.after(nil), content(p.data)}, 0)
	s, err := p.b.codec.encode(h, p.data)
	if err != nil {
		return fault.New(opPut, p.name, err, "")
	}
	defer s.drop()
	o := p.o
	o.IfAbsent = true
	r := p.spread(s, func(ctx context.Context, m *member, shard []byte) error {
		return m.Put(ctx, p.name, shard, o)
	}, func(ctx context.Context, m *member, shard []byte) error {
		return p.overtake(ctx, m, s.head.version, shard)
	})
	switch {
	case r.good >= p.b.quorum:
		return p.done(s)
	case !r.taken:
		return p.b.tooFew(p.ctx, opPut, p.name, p.b.quorum, r.errs...)
	}
	return p.replace(h.version)
}

func (p *put) done(s *shards) error {
	p.b.known.set(p.name, s.head, p.b.clock.Now())
	return nil
}

// overtake puts a shard in the place of what is older or wrong, for a version that is
// confirmed.
func (p *put) overtake(ctx context.Context, m *member, v version, shard []byte) error {
	h, err := p.b.lookAt(ctx, m, p.name, p.name)
	switch {
	case err == nil && h.compare(v) > 0:
		return errNewer
	case err == nil || unusable(err) || errors.Is(err, backend.ErrNotFound):
		return m.Put(ctx, p.name, shard, p.replacing())
	}
	return err
}

// replacing are the options of a put that replaces.
func (p *put) replacing() backend.PutOptions {
	o := p.o
	o.IfAbsent = false
	return o
}

var errNewer = errors.New("there is a newer shard already")

// replace puts the data in the place of what is there, or of what an earlier try left;
// first is the version of which some shards may have been put.
func (p *put) replace(first version) error {
	f, err := p.b.look(p.ctx, opPut, p.name, true)
	if err != nil && !errors.Is(err, backend.ErrDamaged) {
		return err
	}
	v := version{p.b.after(f), first.gen}
	flags := uint8(0)
	for _, r := range f.view {
		// The same bytes are here already, of an earlier try or of this one, and there
		// is nothing newer: the rest of that version is put.
		if h := r.value; r.err == nil && h.gen == v.gen && h.seq == f.top.seq && !h.gone() {
			v, flags = h.version, h.flags
		}
	}
	s, err := p.b.codec.encode(p.head(v, flags), p.data)
	if err != nil {
		return fault.New(opPut, p.name, err, "")
	}
	defer s.drop()
	staged := f.head != nil && f.head.version != v
	if staged {
		if err := p.stage(s); err != nil {
			return err
		}
	}
	r := p.spread(s, func(ctx context.Context, m *member, shard []byte) error {
		err := m.Put(ctx, p.name, shard, p.replacing())
		if at := f.view[m.index]; errors.Is(err, backend.ErrRetained) && at.err == nil && at.value.version == v {
			err = nil // it is there, and kept
		}
		return err
	}, nil)
	if r.good < p.b.quorum {
		return p.b.tooFew(p.ctx, opPut, p.name, p.b.quorum, r.errs...)
	}
	if staged {
		if err := p.settle(s); err != nil {
			return err
		}
		p.unstage(v)
	}
	return p.done(s)
}

// stage puts the shards where they wait: from then on the version can be read by
// whoever sees a part of it in its place.
func (p *put) stage(s *shards) error {
	path := stagedPath(p.name, s.head.version)
	replies := ask(p.ctx, p.b, p.b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		s.hold()
		defer s.drop()
		err := m.Put(ctx, path, s.all[m.index], backend.PutOptions{Sync: true})
		if err != nil {
			s.spoil()
		}
		return struct{}{}, m.counts(err)
	})
	if count(replies) < p.b.quorum {
		return p.b.tooFew(p.ctx, opPut, p.name, p.b.quorum, errsOf(replies)...)
	}
	return nil
}

// unstage removes shards that waited, wherever that succeeds: what is left is
// garbage that [Backend.Repair] removes. It returns of how many members it is known
// that nothing waits there.
func (p *put) unstage(v version) int {
	path := stagedPath(p.name, v)
	return count(ask(p.ctx, p.b, p.b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.Delete(ctx, path)
	}))
}

// settle looks whether somebody put another version at the same time, and makes the
// newest of them the one that all members have: both writers do, until they agree.
func (p *put) settle(s *shards) error {
	for range 10 {
		v := p.b.viewAll(p.ctx, p.name)
		if top := v.top(); top == nil || top.compare(s.head.version) > 0 || v.has(s.head.version) >= p.b.quorum {
			return nil // the other writer's is newer: that one sees to it
		}
		if err := ended(p.ctx, opPut, p.name); err != nil {
			return err
		}
		r := p.spread(s, func(ctx context.Context, m *member, shard []byte) error {
			err := p.overtake(ctx, m, s.head.version, shard)
			if errors.Is(err, errNewer) {
				err = nil
			}
			return err
		}, nil)
		if r.good < p.b.quorum {
			return p.b.tooFew(p.ctx, opPut, p.name, p.b.quorum, r.errs...)
		}
	}
	return fault.New(opPut, p.name, &backend.TemporaryError{Err: errors.New("others replace it all the time")}, "")
}
