package repository

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"mahavishnu/fault"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// protector makes the parity of a session's packs: a parity object for each, and
// stripes across them. The stripe that is being made is a running exclusive or in
// one buffer the size of a pack.
type protector struct {
	r      *Repository
	scheme parity.Scheme

	turn   turn // held while a stripe is stored; guards what follows
	stripe *parity.Builder
	buf    []byte // the builder's, outside Go's heap
	limit  int    // the largest pack the builder takes

	syncMu   sync.Mutex
	unsynced []string // objects that are put and not known to be durable
}

func (p *protector) init(r *Repository, packSize int) {
	p.r, p.scheme, p.limit, p.turn = r, r.cfg.Parity, packSize, newTurn()
}

// add makes and stores the parity of a pack that is stored. It runs on the
// goroutine that stored it, while the pack is near the processor.
func (p *protector) add(ctx context.Context, id PackID, packed []byte) error {
	return p.addAs(ctx, id, packed, p.put)
}

func (p *protector) addAs(ctx context.Context, id PackID, packed []byte, put func(context.Context, string, []byte) error) error {
	if p.scheme.Shards > 0 {
		space := p.r.scratch.get(p.scheme.EncodeSpace(int64(len(packed))))
		defer p.r.scratch.put(space)
		object, err := p.r.correct.codec.Encode(space.b, p.scheme, id, packed)
		if err == nil {
			err = put(ctx, parity.Name(id), object)
		}
		if err != nil {
			return fault.New("store the parity of", id.Object(), err, "")
		}
	}
	if p.scheme.Stripe > 0 {
		return p.addToStripe(ctx, id, packed)
	}
	return nil
}

func (p *protector) put(ctx context.Context, name string, object []byte) error {
	if err := p.r.be.Put(ctx, name, object, storage.PutOptions{}); err != nil {
		return err
	}
	p.note(name)
	return nil
}

// putOther stores an object unless it is there with the same bytes. A loss of
// power may have left it in part.
func (p *protector) putOther(ctx context.Context, name string, object []byte) error {
	old, err := storage.ReadAll(ctx, p.r.be, name, int64(len(object)), nil)
	if err != nil || !bytes.Equal(old, object) {
		return p.put(ctx, name, object)
	}
	p.note(name)
	return nil
}

// note remembers an object for the next sync.
func (p *protector) note(name string) {
	p.syncMu.Lock()
	defer p.syncMu.Unlock()
	p.unsynced = append(p.unsynced, name)
}

func (p *protector) addToStripe(ctx context.Context, id PackID, packed []byte) error {
	if err := p.turn.take(ctx); err != nil {
		return err
	}
	defer p.turn.give()
	if len(packed) > p.limit { // adopted, and larger than this session's own
		if err := errors.Join(p.finishOne(ctx), p.free()); err != nil {
			return err
		}
		p.limit = len(packed)
	}
	if p.stripe == nil {
		buf, err := newBuffer(parity.BuilderSpace(p.scheme.Stripe, p.limit))
		if err != nil {
			return errors.Join(errors.New("no memory for a stripe of packs"), err)
		}
		p.buf, p.stripe = buf, parity.NewBuilder(buf, p.scheme.Stripe, p.limit)
	}
	p.stripe.Add(id, packed)
	if p.stripe.Len() < p.scheme.Stripe {
		return nil
	}
	return p.finishOne(ctx)
}

// finish stores the stripe that is being made, however few packs it has.
func (p *protector) finish(ctx context.Context) error {
	if err := p.turn.take(ctx); err != nil {
		return err
	}
	defer p.turn.give()
	return p.finishOne(ctx)
}

func (p *protector) finishOne(ctx context.Context) error {
	if p.stripe == nil || p.stripe.Len() == 0 {
		return nil
	}
	id, object := p.stripe.Finish()
	err := p.put(ctx, id.Object(), object)
	p.stripe.Reset()
	return err
}

// sync makes what was stored so far durable, together with the packs named.
func (p *protector) sync(ctx context.Context, packs []string) error {
	p.syncMu.Lock()
	names := p.unsynced
	p.unsynced = nil
	p.syncMu.Unlock()
	if len(names)+len(packs) == 0 {
		return nil
	}
	err := p.r.be.Sync(ctx, slices.Concat(packs, names))
	if err != nil {
		p.syncMu.Lock()
		defer p.syncMu.Unlock()
		p.unsynced = append(p.unsynced, names...)
	}
	return err
}

// adopt gives a pack that another session left what it lacks. It was found whole
// just now. That session's stripes are not relied on: a loss of power may have
// torn them.
func (p *protector) adopt(ctx context.Context, o packObject) error {
	if p.scheme.None() {
		return nil
	}
	buf := p.r.scratch.get(int(o.size))
	defer p.r.scratch.put(buf)
	if err := p.r.readPack(ctx, o.id, 0, buf.b); err != nil {
		return err
	}
	if _, err := pack.Scrub(buf.b, o.id); err != nil {
		return damage(err)
	}
	return p.addAs(ctx, o.id, buf.b, p.putOther)
}

func (p *protector) free() error {
	if p.buf == nil {
		return nil
	}
	buf := p.buf
	p.buf, p.stripe = nil, nil
	return freeBuffer(buf)
}

// close gives the memory back. Nobody may be adding.
func (p *protector) close() error { return p.free() }
