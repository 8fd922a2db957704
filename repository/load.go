package repository

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/repository/index"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// Location is where a blob is.
type Location struct {
	Pack   PackID
	Kind   Kind
	Offset uint32 // of the blob's record in the pack
	Stored uint32 // size of the record in the pack
	Raw    uint32 // size of the blob
}

// Locate tells where a blob is, by the index alone. A blob stored more than
// once has any of its places, one that is not doubted if there is one. Places
// whose content is known to be wrong are none.
func (r *Repository) Locate(id ID) (loc Location, ok bool) {
	d := r.doubts.Load()
	r.index.locations(id, func(p index.Pack, e index.Entry) bool {
		switch d.of(p.ID, id).Why {
		case 0:
			loc, ok = location(p, e), true
			return false
		case ledger.Stored:
			if !ok {
				loc, ok = location(p, e), true
			}
		}
		return true
	})
	return loc, ok
}

func location(p index.Pack, e index.Entry) Location {
	return Location{Pack: p.ID, Kind: p.Kind, Offset: e.Offset, Stored: e.Stored, Raw: e.Raw}
}

// EachBlob calls fn for every blob in the index, those stored more than once as
// often, until fn returns false.
func (r *Repository) EachBlob(fn func(ID, Location) bool) {
	for _, f := range r.index.fragments() {
		for i := range f.Len() {
			e := f.Entry(i)
			if p, ok := f.Pack(e.Pack); ok && !fn(e.ID, location(p, e)) {
				return
			}
		}
	}
}

// Load returns the bytes of a blob, in buf's space when it is large enough. The
// error is a *BlobError. A blob that is damaged in one pack and whole in another
// is read from the other; else the pack is made whole in memory, by parity.
func (r *Repository) Load(ctx context.Context, id ID, kind Kind, buf []byte) ([]byte, error) {
	if kind == KindTree && r.trees != nil {
		return r.trees.Load(ctx, id, buf)
	}
	return r.loadElsewhere(ctx, id, kind, buf, nil)
}

// loadElsewhere tries every place of a blob that the failure it is given does
// not speak of. When all fail it looks into packs that no index knows, and at
// last returns the first failure.
func (r *Repository) loadElsewhere(ctx context.Context, id ID, kind Kind, buf []byte, failed *BlobError) ([]byte, error) {
	tried := map[PackID]bool{}
	var left error // why not all packs could be looked into
	if failed != nil {
		tried[failed.Pack] = true
	}
	for range 3 { // with this index, with a newer one, with what packs say of themselves
		var data []byte
		found := false
		r.index.locations(id, func(p index.Pack, e index.Entry) bool {
			if p.Kind != kind || tried[p.ID] {
				return true
			}
			tried[p.ID] = true
			var err error
			if d := r.doubts.Load().of(p.ID, id); d.Why == ledger.Content {
				err = errDoubted(d)
			} else if data, err = r.readBlob(ctx, p, e, buf); err == nil {
				found = true
				return false
			}
			if failed == nil {
				failed = &BlobError{ID: id, Pack: p.ID, Err: err}
			}
			return ctx.Err() == nil
		})
		if found {
			return data, nil
		}
		if ctx.Err() != nil {
			return nil, &BlobError{ID: id, Err: context.Cause(ctx)}
		}
		if r.renew(ctx, failed) {
			continue
		}
		if data, err := r.loadMended(ctx, id, kind, buf); err == nil {
			return data, nil
		} else if failed != nil {
			failed.Mend = err
		}
		more, reason, err := r.rescue(ctx)
		if err != nil {
			return nil, &BlobError{ID: id, Err: err}
		}
		if left = reason; !more {
			break
		}
	}
	return nil, r.notLoaded(id, failed, left)
}

// notLoaded says why a blob cannot be had: failed is what its first place said, left
// why not all packs could be looked into.
func (r *Repository) notLoaded(id ID, failed *BlobError, left error) *BlobError {
	switch older := r.index.lacks(); {
	case failed == nil && older != nil:
		return &BlobError{ID: id, Err: older}
	case failed == nil && left != nil:
		return &BlobError{ID: id, Err: left}
	case failed == nil:
		return &BlobError{ID: id, Err: fmt.Errorf("%w: no index and no pack knows it", ErrBlobMissing)}
	case errors.Is(left, ErrUnreachable) && errors.Is(failed.Err, ErrUnreadable):
		return &BlobError{ID: id, Pack: failed.Pack, Err: left} // it is not that pack
	case left != nil && (failed.Mend == nil || errors.Is(failed.Mend, errNoParity)):
		failed.Mend = left
	case left != nil:
		failed.Mend = fmt.Errorf("%w; %w", failed.Mend, left)
	}
	return failed
}

// loadMended reads a blob from the first of its packs that parity makes whole.
func (r *Repository) loadMended(ctx context.Context, id ID, kind Kind, buf []byte) ([]byte, error) {
	var data []byte
	err := errNoParity
	r.index.locations(id, func(p index.Pack, e index.Entry) bool {
		if p.Kind != kind || r.doubts.Load().of(p.ID, id).Why == ledger.Content {
			return true
		}
		data, err = r.loadCorrected(ctx, p, e, buf)
		return err != nil && ctx.Err() == nil
	})
	return data, err
}

// readBlob reads one blob from one place.
func (r *Repository) readBlob(ctx context.Context, p index.Pack, e index.Entry, buf []byte) ([]byte, error) {
	record := r.scratch.get(int(e.Stored))
	defer r.scratch.put(record)
	if err := r.readPack(ctx, p.ID, int64(e.Offset), record.b); err != nil {
		return nil, blobCause(err)
	}
	return r.openRecord(p, e, record.b, buf)
}

// openRecord opens the record of a blob. It may change record.
func (r *Repository) openRecord(p index.Pack, e index.Entry, record, buf []byte) ([]byte, error) {
	dec, err := r.decoder(p.KeyVersion, p.ID, p.Kind)
	if err != nil {
		return nil, err
	}
	data, inRecord, err := dec.Blob(buf, record, e.ID, e.Raw)
	if err != nil {
		return nil, blobCause(err)
	}
	if inRecord {
		data = append(buf[:0], data...)
	}
	return data, nil
}

// decoder returns the decoder of a pack's records.
func (r *Repository) decoder(keyVersion uint32, id PackID, kind Kind) (pack.Decoder, error) {
	key, err := r.keys.Pack(keyVersion, id)
	return pack.Decoder{Kind: kind, Key: key, Comp: r.comp}, err
}

// blobCause says whether a blob is missing, damaged, or just out of reach now.
func blobCause(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrBlobMissing, err)
	}
	return damage(err)
}
