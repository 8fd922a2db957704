package repository

import (
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/fault"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// errNoParity means that nothing is kept that could make the pack whole.
var errNoParity = errors.New("no parity is kept for it")

// rebuild makes a pack whole in memory: from its own shards, else from the other
// packs of a stripe, else from what is left of both. What comes out has the
// checksum the pack had; seals and content ids are checked by who reads it.
func (r *Repository) rebuild(ctx context.Context, id PackID) (*rebuilt, error) {
	if r.cfg.Parity.None() {
		return nil, errNoParity
	}
	k, err := r.rebuildFrom(ctx, id)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fault.New("make whole", id.Object(), err, "")
	}
	return k, nil
}

func (r *Repository) rebuildFrom(ctx context.Context, id PackID) (*rebuilt, error) {
	object, objectErr := r.readParity(ctx, id)
	var own *lent // the pack as far as its own parity takes it
	if object != nil {
		k, buf, err := r.rebuildAlone(ctx, object)
		if k != nil {
			return k, nil
		}
		own, objectErr = buf, err
		defer r.scratch.put(own)
	}
	set, err := r.stripeSet(ctx)
	if err != nil {
		return nil, errors.Join(objectErr, err)
	}
	errs := []error{objectErr}
	for _, s := range set.of(id) {
		m, _ := s.head.Find(id)
		k, err := r.rebuildFromStripe(ctx, s, m, object, own)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	if len(errs) == 1 {
		errs = append(errs, errors.New("it is in no stripe"))
	}
	return nil, errors.Join(errs...)
}

// readParity reads a pack's parity object, as far as it can be read.
func (r *Repository) readParity(ctx context.Context, id PackID) (*parity.Object, error) {
	name := parity.Name(id)
	info, err := r.be.Stat(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoParity
	}
	if err != nil {
		return nil, err
	}
	// Parity objects are small, and one that is used is used at once and dropped.
	data := make([]byte, min(info.Size, maxParitySize))
	if err := r.readAround(ctx, name, data, parityPiece); err != nil {
		return nil, err
	}
	object, err := parity.Parse(id, data)
	if err != nil {
		return nil, fault.New("read", name, damage(err), "")
	}
	return object, nil
}

const (
	// maxParitySize bounds parity objects of packs in bytes: no more than the
	// largest pack, and two heads.
	maxParitySize = pack.MaxSize + 64<<10
	// parityPiece is how much of an object is given up for one unreadable
	// sector, in bytes.
	parityPiece = 64 << 10
)

// readAround reads an object from its start into buf, leaving zeros where it cannot
// be read and behind its end. It fails only if there is nothing to be had.
func (r *Repository) readAround(ctx context.Context, name string, buf []byte, piece int) error {
	clear(buf)
	info, err := r.be.Stat(ctx, name)
	if err != nil {
		return err
	}
	buf = buf[:min(int64(len(buf)), info.Size)]
	if err = storage.ReadRange(ctx, r.be, name, 0, buf); err == nil || ctx.Err() != nil || errors.Is(err, storage.ErrNotFound) {
		return err
	}
	clear(buf)
	got := false
	for at := 0; at < len(buf); at += piece {
		part := buf[at:min(at+piece, len(buf))]
		if partErr := storage.ReadRange(ctx, r.be, name, int64(at), part); partErr != nil {
			clear(part)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		got = true
	}
	if !got {
		return err
	}
	return nil
}

// rebuildAlone tries to make a pack whole by its own parity. Otherwise it returns
// what it has of it, filled up with zeros, and why that is not enough.
func (r *Repository) rebuildAlone(ctx context.Context, object *parity.Object) (*rebuilt, *lent, error) {
	p := object.Shape
	buf := r.scratch.get(p.Padded())
	clear(buf.b)
	name := object.Pack.Object()
	readErr := r.readAround(ctx, name, buf.b[:p.Size], p.Shard)
	shards, err := r.correct.codec.Mend(object, buf.b)
	data := buf.b[:p.Size]
	if err == nil {
		_, err = pack.Scrub(data, object.Pack)
	}
	if err == nil {
		k := &rebuilt{id: object.Pack, buf: buf, data: data, by: ByParity}
		if shards == 0 && readErr == nil {
			k.by = r.sizeTold(ctx, name, p.Size)
		}
		return k, nil, nil
	}
	if k := r.misplaced(ctx, object.Pack, p.Size); k != nil {
		r.scratch.put(buf)
		return k, nil, nil
	}
	return nil, buf, errors.Join(readErr, err)
}

// sizeTold tells how a pack whose bytes are all right was corrected: not at all,
// unless more bytes than its own lie in its object.
func (r *Repository) sizeTold(ctx context.Context, name string, size int64) string {
	if info, err := r.be.Stat(ctx, name); err == nil && info.Size != size {
		return ByParity
	}
	return ""
}

// misplaced finds a pack whose object was exchanged with another pack's: what
// lies under its name says of itself which.
func (r *Repository) misplaced(ctx context.Context, id PackID, size int64) *rebuilt {
	var head [pack.HeaderSize]byte
	if storage.ReadRange(ctx, r.be, id.Object(), 0, head[:]) != nil {
		return nil
	}
	h, err := pack.ParseHeader(head[:])
	if err != nil || h.ID == id {
		return nil
	}
	buf := r.scratch.get(int(size))
	if err := storage.ReadRange(ctx, r.be, h.ID.Object(), 0, buf.b); err == nil {
		if _, err := pack.Scrub(buf.b, id); err == nil {
			return &rebuilt{id: id, buf: buf, data: buf.b, by: ByName}
		}
	}
	r.scratch.put(buf)
	return nil
}

// rebuildFromStripe makes a member of a stripe from the others. What object, the
// pack's own parity, says is right in own is taken from there, and what is still
// missing then is mended by it.
func (r *Repository) rebuildFromStripe(ctx context.Context, s *stripe, m parity.Member, object *parity.Object, own *lent) (*rebuilt, error) {
	if object != nil && object.Sum != m.Sum {
		object = nil // of which one is wrong only the checksum of the pack can tell
	}
	size := max(s.head.Length, int(m.Size))
	if object != nil {
		size = max(size, object.Shape.Padded())
	}
	buf := r.scratch.get(size)
	err := r.withoutOthers(ctx, s, m.ID, buf.b)
	if err == nil {
		data := buf.b[:m.Size]
		clear(buf.b[m.Size:])
		if object != nil {
			takeGood(object, buf.b, own.b)
			_, err = r.correct.codec.Mend(object, buf.b[:object.Shape.Padded()])
		}
		if _, sumErr := pack.Scrub(data, m.ID); sumErr == nil {
			return &rebuilt{id: m.ID, buf: buf, data: data, by: ByStripe}, nil
		} else if err == nil {
			err = sumErr
		}
	}
	r.scratch.put(buf)
	return nil, fmt.Errorf("%s: %w", s.object, err)
}

// takeGood copies the shards of a pack that are whole in own over those in data.
func takeGood(object *parity.Object, data, own []byte) {
	p := object.Shape
	for i := range p.Data {
		if shard := own[i*p.Shard:][:p.Shard]; object.Whole(i, shard) {
			copy(data[i*p.Shard:], shard)
		}
	}
}

// withoutOthers fills buf with the exclusive or of a stripe and all its members
// but one, as far as they can be read: that one, where they are right.
func (r *Repository) withoutOthers(ctx context.Context, s *stripe, id PackID, buf []byte) error {
	clear(buf)
	if _, err := r.readStripeBody(ctx, s, buf); err != nil {
		return err
	}
	other := r.scratch.get(s.head.Length)
	defer r.scratch.put(other)
	for _, m := range s.head.Members {
		if m.ID == id {
			continue
		}
		if _, err := r.readMember(ctx, m, other.b[:m.Size]); err != nil {
			return err
		}
		parity.XOR(buf, other.b[:m.Size])
	}
	return nil
}

// readStripeBody reads what is left of a stripe's body into buf, and tells
// whether that is all of it.
func (r *Repository) readStripeBody(ctx context.Context, s *stripe, buf []byte) (whole bool, err error) {
	data := r.scratch.get(s.head.Size())
	defer r.scratch.put(data)
	if err := r.readAround(ctx, s.object, data.b, parityPiece); err != nil {
		return false, err
	}
	body, whole := s.head.Body(data.b)
	copy(buf, body)
	return whole, nil
}

// readMember reads a pack of a stripe into buf, made whole by its own parity if
// need be, and tells whether it is whole then. One that is not gives what there is
// of it: what is computed from it is wrong in the same places.
func (r *Repository) readMember(ctx context.Context, m parity.Member, buf []byte) (whole bool, err error) {
	err = storage.ReadRange(ctx, r.be, m.ID.Object(), 0, buf)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err == nil && isMember(m, buf) {
		return true, nil
	}
	object, err := r.readParity(ctx, m.ID)
	if err == nil && object.Sum == m.Sum {
		k, own, _ := r.rebuildAlone(ctx, object)
		if k == nil {
			copy(buf, own.b)
			r.scratch.put(own)
		} else {
			copy(buf, k.data)
			r.scratch.put(k.buf)
		}
		return k != nil && isMember(m, buf), ctx.Err()
	}
	if k := r.misplaced(ctx, m.ID, int64(m.Size)); k != nil {
		copy(buf, k.data)
		r.scratch.put(k.buf)
		return isMember(m, buf), nil
	}
	if err := r.readAround(ctx, m.ID.Object(), buf, parityPiece); err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return false, nil
}

// isMember tells whether packed is the pack that a stripe was made of.
func isMember(m parity.Member, packed []byte) bool {
	return parity.Sum(packed) == m.Sum && xxhash.Sum64(packed[:len(packed)-8]) == m.Sum
}
