package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// PackInfo describes a pack in the storage.
type PackInfo struct {
	ID      PackID
	Size    int64
	ModTime time.Time // by the storage's clock, for people
	Indexed bool      // false: no index knows it
	Kind    Kind      // when indexed
	Blobs   int       // when indexed
}

// Packs lists the packs in the storage, in no particular order.
func (r *Repository) Packs(ctx context.Context, fn func(PackInfo) error) error {
	return r.be.List(ctx, packPrefix, func(o storage.Info) error {
		id, ok := parsePackObject(o.Name)
		if !ok {
			return nil
		}
		p, indexed := r.index.pack(id)
		return fn(PackInfo{ID: id, Size: o.Size, ModTime: o.ModTime, Indexed: indexed, Kind: p.Kind, Blobs: int(p.Blobs)})
	})
}

// CheckPack reads a whole pack, opens every blob and compares it with its
// content id and with the index. A nil problem means that every byte is right.
// A pack that the storage cannot read is a problem that wraps ErrUnreadable. The
// error is about the check itself: ctx ended, or many packs in a row could not
// be read (ErrUnreachable). It needs memory for two of the largest blobs, whatever
// the size of the pack.
func (r *Repository) CheckPack(ctx context.Context, id PackID) (*Problem, error) {
	known, indexed := r.index.pack(id)
	problem := &Problem{Object: id.Object(), Kind: ObjectPack, Harmless: !indexed && r.index.damaged() == 0}
	info, err := r.be.Stat(ctx, id.Object())
	if err == nil {
		problem.Blobs, err = r.checkPackData(ctx, packObject{id, info.Size}, known, indexed)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return nil, nil
	case errors.Is(err, storage.ErrNotFound):
		problem.Err, problem.Harmless = ErrMissing, !indexed
		if problem.Mendable = r.mendable(ctx, id); !problem.Mendable {
			problem.Blobs = r.blobsIn(id)
		}
		return problem, nil
	case isDamage(err), errors.Is(err, pack.ErrFormat), errors.Is(err, keyring.ErrNoVersion), errors.Is(err, ErrUnreadable):
	default:
		err = r.reach.heard(ctx, id, err)
	}
	if errors.Is(err, ErrUnreachable) {
		return nil, fault.New("check", id.Object(), err, "see that the storage can be read, then check again")
	}
	problem.Err = damage(err)
	if problem.Blobs == nil { // else the pack is as it was made
		problem.Mendable = r.mendable(ctx, id)
	}
	if problem.Blobs == nil && indexed && !problem.Mendable {
		problem.Blobs = r.unreadable(ctx, id, known)
	}
	return problem, nil
}

// checkPackData opens everything in a pack. It returns the blobs that do not
// open, when those are known.
func (r *Repository) checkPackData(ctx context.Context, o packObject, known index.Pack, indexed bool) ([]ID, error) {
	if o.size > pack.MaxSize {
		return nil, pack.ErrNotPack
	}
	t, entries, err := r.readFooter(ctx, o.id, o.size)
	if err != nil {
		if isDamage(err) || errors.Is(err, pack.ErrFormat) {
			// The checksum tells damage from a format that is not known.
			_, sumErr := streamPack(ctx, r.be, &r.scratch, o, nil, nil)
			err = cmp.Or(sumErr, err)
		}
		return nil, err
	}
	dec, err := r.decoder(t.KeyVersion, o.id, t.Kind)
	if err != nil {
		return nil, err
	}
	var bad []ID
	var blobErr error
	whole, err := streamPack(ctx, r.be, &r.scratch, o, entries, func(e pack.Entry, record []byte) {
		if err := r.checkBlob(dec, record, e); err != nil {
			bad, blobErr = append(bad, e.ID), err
		}
	})
	if err == nil && indexed {
		err = sameTable(known, indexPack(whole.Header, o.size, len(entries)))
	}
	if err != nil {
		return nil, err
	}
	return bad, blobErr
}

// checkBlob opens a record and makes the content id again: a blob that was
// damaged in memory before it was sealed is found here and nowhere else.
func (r *Repository) checkBlob(dec pack.Decoder, record []byte, e pack.Entry) error {
	out := r.scratch.get(int(e.Raw))
	defer r.scratch.put(out)
	data, _, err := dec.Blob(out.b, record, e.ID, e.Raw)
	if err != nil {
		return fmt.Errorf("blob %s: %w", e.ID, damage(err))
	}
	if got := r.ids.id(dec.Kind, data); got != e.ID {
		return fmt.Errorf("blob %s: %w: its content has the id %s", e.ID, ErrDamaged, got)
	}
	return nil
}

// blobsIn returns the blobs of a pack, by the index.
func (r *Repository) blobsIn(id PackID) []ID {
	var ids []ID
	r.eachEntry(id, func(e index.Entry) { ids = append(ids, e.ID) })
	return ids
}

// eachEntry calls fn for the entries of a pack in the first fragment that has
// it. It reads the whole fragment.
func (r *Repository) eachEntry(id PackID, fn func(index.Entry)) {
	for _, f := range r.index.fragments() {
		n, ok := f.FindPack(id)
		if !ok {
			continue
		}
		for i := range f.Len() {
			if e := f.Entry(i); e.Pack == n {
				fn(e)
			}
		}
		return
	}
}

// unreadable tries every blob that the index says is in a damaged pack, and
// returns those that do not open.
func (r *Repository) unreadable(ctx context.Context, id PackID, p index.Pack) []ID {
	var bad []ID
	r.eachEntry(id, func(e index.Entry) {
		if _, err := r.readBlob(ctx, p, e, nil); err != nil {
			bad = append(bad, e.ID)
		}
	})
	return bad
}

// Scrub reads a whole object and compares its stored checksum. It needs no key,
// so it can run beside the storage, and finds whatever happened to the bytes
// since they were put. A nil problem means that they are as written. The error
// is about the check itself.
func Scrub(ctx context.Context, be storage.Backend, object string) (*Problem, error) {
	problem := &Problem{Object: object}
	var err error
	switch id, isPack := parsePackObject(object); {
	case object == configName || object == configCopy:
		problem.Kind = ObjectConfig
		err = scrubWhole(ctx, be, object, maxConfigSize, func(data []byte) error { _, err := decodeConfig(data); return err })
	case isPack:
		problem.Kind = ObjectPack
		err = scrubPack(ctx, be, id)
	case isParityObject(object):
		problem.Kind = ObjectParity
		err = scrubParity(ctx, be, object)
	case isIndexObject(strings.TrimPrefix(object, copyPrefix)):
		problem.Kind = ObjectIndex
		err = scrubWhole(ctx, be, object, index.MaxSize, seal.Scrub)
	case strings.HasPrefix(object, snapshotPrefix), strings.HasPrefix(object, copyPrefix):
		problem.Kind = ObjectSnapshot
		err = scrubWhole(ctx, be, object, maxSnapshotSize, seal.Scrub)
	default:
		return &Problem{Object: object, Kind: ObjectUnknown, Harmless: true, Err: errors.New("not an object of a repository")}, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return nil, nil
	case errors.Is(err, storage.ErrNotFound):
		err = ErrMissing
	case !isDamage(err) && !errors.Is(err, ErrUnknownFeature):
		return nil, err
	}
	problem.Err = damage(err)
	return problem, nil
}

func scrubWhole(ctx context.Context, be storage.Backend, object string, limit int64, check func([]byte) error) error {
	data, err := storage.ReadAll(ctx, be, object, limit, nil)
	if err != nil {
		return err
	}
	return check(data)
}

func scrubPack(ctx context.Context, be storage.Backend, id PackID) error {
	info, err := be.Stat(ctx, id.Object())
	if err != nil {
		return err
	}
	if info.Size > pack.MaxSize {
		return pack.ErrNotPack
	}
	var buffers scratch
	_, err = streamPack(ctx, be, &buffers, packObject{id, info.Size}, nil, nil)
	return errors.Join(err, buffers.close())
}
