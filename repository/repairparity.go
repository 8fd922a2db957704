package repository

import (
	"context"
	"fmt"

	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// parity makes the parity objects of packs that are missing or not right.
func (x *repairer) parity(ctx context.Context) error {
	if x.r.cfg.Parity.Shards == 0 {
		return nil
	}
	there, err := x.r.paritySizes(ctx)
	if err != nil {
		return err
	}
	for _, id := range x.indexed() {
		size, ok := there[id]
		if !ok {
			size = -1
		}
		if err := x.parityOfPack(ctx, id, size); err != nil {
			return err
		}
	}
	return nil
}

// indexed returns the packs that the index knows and that are whole, in the order
// of their ids. Others may belong to a session that is at work.
func (x *repairer) indexed() []PackID {
	var ids []PackID
	for _, p := range x.r.indexedPacks() {
		if !x.broken[p.ID] {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func (x *repairer) parityOfPack(ctx context.Context, id PackID, size int64) error {
	found := x.examineParity(ctx, id, size)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if found == nil {
		return nil
	}
	a := Action{Object: parity.Name(id), Kind: ObjectParity, Found: found, By: ByPacks, Harmless: true}
	packed, err := x.readWhole(ctx, id)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.By, a.Left = "", err
		x.did(a)
		return nil
	}
	defer x.r.scratch.put(packed)
	space := x.r.scratch.get(x.r.cfg.Parity.EncodeSpace(int64(len(packed.b))))
	defer x.r.scratch.put(space)
	object, err := x.r.correct.codec.Encode(space.b, x.r.cfg.Parity, id, packed.b)
	if err != nil {
		return err
	}
	return x.mend(ctx, a, object)
}

// examineParity returns what is wrong with a pack's parity object of size bytes.
func (x *repairer) examineParity(ctx context.Context, id PackID, size int64) error {
	name := parity.Name(id)
	known, _ := x.r.index.pack(id)
	want := int64(x.r.cfg.Parity.ObjectSize(int64(known.Size)))
	switch {
	case size < 0:
		return ErrMissing
	case size != want:
		return fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, size, want)
	case !x.o.Parity && !x.named[name]:
		return nil
	}
	data := x.r.scratch.get(int(size))
	defer x.r.scratch.put(data)
	if err := storage.ReadRange(ctx, x.r.be, name, 0, data.b); err != nil {
		return readCause(ctx, err)
	}
	x.report.Bytes += size
	if err := checkParity(name, data.b); err != nil {
		return damage(err)
	}
	object, err := parity.Parse(id, data.b)
	if err != nil {
		return damage(err)
	}
	var end [8]byte
	err = storage.ReadRange(ctx, x.r.be, id.Object(), int64(known.Size)-int64(len(end)), end[:])
	if err == nil && parity.Sum(end[:]) != object.Sum {
		return fmt.Errorf("%w: it is not of the pack that is there", ErrDamaged)
	}
	return nil
}

// readWhole reads a whole pack and compares its checksum.
func (x *repairer) readWhole(ctx context.Context, id PackID) (*lent, error) {
	known, _ := x.r.index.pack(id)
	buf := x.r.scratch.get(int(known.Size))
	err := storage.ReadRange(ctx, x.r.be, id.Object(), 0, buf.b)
	if err == nil {
		_, err = pack.Scrub(buf.b, id)
	}
	if err != nil {
		x.r.scratch.put(buf)
		return nil, readCause(ctx, err)
	}
	return buf, nil
}
