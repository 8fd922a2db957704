package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/pack"
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
	// Stored is when it was put into the index, in Unix seconds; 0 when that is not
	// known.
	Stored int64
}

// Packs lists the packs in the storage, in no particular order. When some cannot be
// listed, the error is ErrUnlisted, and fn was called for the others.
func (r *Repository) Packs(ctx context.Context, fn func(PackInfo) error) error {
	return listBelow(ctx, r.be, packPrefix, func(o storage.Info) error {
		id, ok := parsePackObject(o.Name)
		if !ok {
			return nil
		}
		p, indexed := r.index.pack(id)
		return fn(PackInfo{
			ID: id, Size: o.Size, ModTime: o.ModTime, Indexed: indexed, Kind: p.Kind, Blobs: int(p.Blobs), Stored: p.Stored,
		})
	})
}

// errContent means that a blob was damaged before it was sealed.
var errContent = fmt.Errorf("%w: its content has another id", ErrDamaged)

// CheckPack checks one pack as CheckPacks does.
func (r *Repository) CheckPack(ctx context.Context, id PackID) (problem *Problem, err error) {
	err = r.CheckPacks(ctx, []PackID{id}, func(_ PackID, _ int64, p *Problem) { problem = p })
	return problem, err
}

// CheckPacks reads whole packs, opens every blob and compares it with its
// content id and with the index. For each pack it calls fn, one at a time, with the
// pack's size and what is wrong; a nil problem means that every byte is right. A pack
// that the storage cannot read is a problem that wraps ErrUnreadable. Blobs that
// cannot be had, or are wrong, are not trusted from then on: Load takes them from
// elsewhere. The error is about the check itself: ctx ended, or many packs in a row
// could not be read (ErrUnreachable). As many packs are read at once as there are
// cores, and as many pieces of them decoded: that takes memory for about three
// of the largest blobs for each core, whatever the size of the packs.
func (r *Repository) CheckPacks(ctx context.Context, ids []PackID, fn func(id PackID, size int64, p *Problem)) error {
	cores := runtime.GOMAXPROCS(0)
	work := make(chan func())
	var decoders sync.WaitGroup
	for range cores {
		decoders.Go(func() {
			for decode := range work {
				decode()
			}
		})
	}
	defer decoders.Wait()
	defer close(work)
	one := newTurn() // fn hears of one at a time
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(cores)
	for _, id := range ids {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			size, problem, err := r.checkPack(groupCtx, id, work)
			if err != nil {
				return err
			}
			if err := one.take(groupCtx); err != nil {
				return err
			}
			defer one.give()
			fn(id, size, problem)
			return nil
		})
	}
	return cmpError(group.Wait(), context.Cause(ctx))
}

func (r *Repository) checkPack(ctx context.Context, id PackID, work chan<- func()) (int64, *Problem, error) {
	known, indexed := r.index.pack(id)
	problem := &Problem{Object: id.Object(), Kind: ObjectPack, Harmless: !indexed && r.index.damaged() == 0}
	info, err := r.be.Stat(ctx, id.Object())
	var found verdicts
	if err == nil {
		err = r.checkPackData(ctx, packObject{id, info.Size}, known, indexed, &found, work)
	}
	switch {
	case ctx.Err() != nil:
		return 0, nil, context.Cause(ctx)
	case err == nil:
		return info.Size, nil, nil
	case errors.Is(err, storage.ErrNotFound):
		gone, err := r.collected(ctx, id, indexed)
		if err != nil {
			return 0, nil, err
		}
		problem.Err, problem.Harmless = ErrMissing, gone
		if problem.Mendable = r.mendable(ctx, id); !problem.Mendable {
			problem.Blobs = r.blobsIn(id)
		}
		return 0, problem, nil
	case errors.Is(err, keyring.ErrNoVersion):
		return 0, nil, fault.New("check", id.Object(), err, "") // no damage
	case isDamage(err), errors.Is(err, pack.ErrFormat), errors.Is(err, ErrUnreadable):
	default:
		err = r.reach.heard(ctx, id, err)
	}
	if errors.Is(err, ErrUnreachable) {
		return 0, nil, fault.New("check", id.Object(), err, "see that the storage can be read, then check again")
	}
	problem.Err, problem.Blobs, problem.Wrong = damage(err), found.bad, found.wrong
	if problem.Blobs == nil { // else the pack is as it was made
		problem.Mendable = r.mendable(ctx, id)
	}
	if problem.Blobs == nil && indexed && !problem.Mendable {
		problem.Blobs = r.salvage(ctx, id, known)
	}
	r.distrustStored(id, problem.Blobs)
	r.distrust(ledger.Doubt{Pack: id, Why: ledger.Content, Blobs: problem.Wrong})
	return info.Size, problem, nil
}

func (r *Repository) distrustStored(id PackID, blobs []ID) {
	r.distrust(ledger.Doubt{Pack: id, Why: ledger.Stored, Blobs: blobs})
}

// verdicts collects what is wrong with the blobs of a pack that is otherwise
// whole.
type verdicts struct {
	mu         sync.Mutex
	bad, wrong []ID
	err        error // of one of them
}

func (v *verdicts) note(id ID, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bad, v.err = append(v.bad, id), err
	if errors.Is(err, errContent) {
		v.wrong = append(v.wrong, id)
	}
}

// checkPackData opens everything in a pack, and notes the blobs that do not open.
// Here it reads, and sums up; decoding is left to those who take work.
func (r *Repository) checkPackData(ctx context.Context, o packObject, known index.Pack, indexed bool, found *verdicts, work chan<- func()) error {
	if o.size > pack.MaxSize {
		return pack.ErrNotPack
	}
	t, entries, err := r.readFooter(ctx, o.id, o.size)
	if err != nil {
		if isDamage(err) || errors.Is(err, pack.ErrFormat) {
			// The checksum tells damage from a format that is not known.
			_, sumErr := streamPack(ctx, r.be, &r.scratch, o)
			err = cmp.Or(sumErr, err)
		}
		return err
	}
	dec, err := r.decoder(t.KeyVersion, o.id, t.Kind)
	if err != nil {
		return err
	}
	var decoding sync.WaitGroup
	check := func(entries []pack.Entry, pos int64, piece *lent) {
		decoding.Add(1)
		work <- func() {
			defer decoding.Done()
			defer r.scratch.put(piece)
			r.checkBlobs(dec, entries, pos, piece.b, found)
		}
	}
	whole, err := streamPieces(ctx, r.be, &r.scratch, o, entries, check)
	decoding.Wait()
	if err == nil && indexed {
		err = sameTable(known, indexPack(whole.Header, o.size, len(entries)))
	}
	if err != nil {
		found.bad, found.wrong = nil, nil // means nothing when the pack is another one
		return err
	}
	return found.err
}

// checkBlobs opens the records in a piece of a pack that starts at pos, and makes
// the content ids again: a blob that was damaged in memory before it was sealed
// is found here and nowhere else.
func (r *Repository) checkBlobs(dec pack.Decoder, entries []pack.Entry, pos int64, piece []byte, found *verdicts) {
	var out *lent
	defer func() {
		if out != nil {
			r.scratch.put(out)
		}
	}()
	for _, e := range entries {
		if out == nil || cap(out.b) < int(e.Raw) {
			if out != nil {
				r.scratch.put(out)
			}
			out = r.scratch.get(int(e.Raw))
		}
		data, _, err := dec.Blob(out.b, piece[int64(e.Offset)-pos:][:e.Stored], e.ID, e.Raw)
		if err != nil {
			found.note(e.ID, fmt.Errorf("blob %s: %w", e.ID, damage(err)))
			continue
		}
		if got := r.ids.id(dec.Kind, data); got != e.ID {
			found.note(e.ID, fmt.Errorf("blob %s: %w: %s", e.ID, errContent, got))
		}
	}
}
