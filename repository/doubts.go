package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// doubts says which blobs are not to be trusted in which pack. It is immutable;
// nil doubts nothing, which is nearly always so.
type doubts struct {
	packs map[PackID]map[ID]ledger.Doubt // without the list of blobs
}

// of returns the doubt about a blob in a pack; its Why is 0 when there is none.
func (d *doubts) of(pack PackID, id ID) ledger.Doubt {
	if d == nil {
		return ledger.Doubt{}
	}
	return d.packs[pack][id]
}

// with returns the doubts and one more. Content outweighs Stored: what cannot be
// opened may be mended, what was sealed wrong may not.
func (d *doubts) with(more ledger.Doubt) *doubts {
	next := &doubts{packs: map[PackID]map[ID]ledger.Doubt{}}
	if d != nil {
		maps.Copy(next.packs, d.packs)
	}
	blobs := maps.Clone(next.packs[more.Pack])
	if blobs == nil {
		blobs = map[ID]ledger.Doubt{}
	}
	for _, id := range more.Blobs {
		if blobs[id].Why < more.Why {
			blobs[id] = ledger.Doubt{Pack: more.Pack, Why: more.Why, Found: more.Found}
		}
	}
	next.packs[more.Pack] = blobs
	return next
}

// list returns the doubts about packs that keep returns true for.
func (d *doubts) list(keep func(PackID) bool) []ledger.Doubt {
	var out []ledger.Doubt
	if d == nil {
		return nil
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.packs), PackID.Compare) {
		if !keep(id) {
			continue
		}
		for _, why := range []ledger.Why{ledger.Stored, ledger.Content} {
			one := ledger.Doubt{Pack: id, Why: why}
			for _, b := range slices.SortedFunc(maps.Keys(d.packs[id]), ID.Compare) {
				if x := d.packs[id][b]; x.Why == why {
					one.Found = max(one.Found, x.Found)
					one.Blobs = append(one.Blobs, b)
				}
			}
			if len(one.Blobs) > 0 {
				out = append(out, one)
			}
		}
	}
	return out
}

// gonePacks returns the doubted packs that are not there any more.
func (r *Repository) gonePacks(ctx context.Context) ([]PackID, error) {
	all := r.doubts.Load()
	if all == nil {
		return nil, nil
	}
	var gone []PackID
	for id := range all.packs {
		_, err := r.be.Stat(ctx, id.Object())
		switch {
		case errors.Is(err, storage.ErrNotFound):
			gone = append(gone, id)
		case err != nil:
			return nil, err
		}
	}
	return gone, nil
}

// errDoubted is why a blob is not read: it opens well, but is another one.
func errDoubted(d ledger.Doubt) error {
	found := "just now"
	if d.Found != 0 {
		found = "on " + time.Unix(d.Found, 0).UTC().Format("2 January 2006")
	}
	return fmt.Errorf("%w: what is sealed there is not what its id says (found by verify %s)", ErrDamaged, found)
}

// Doubted tells whether a verification found that a blob cannot be had from a
// pack. Sessions do not reuse such blobs, and a collector must not take them for
// safe there.
func (r *Repository) Doubted(pack PackID, id ID) bool { return r.doubts.Load().of(pack, id).Why != 0 }

// Doubts is how many packs hold blobs that are not trusted.
func (r *Repository) Doubts() int {
	if d := r.doubts.Load(); d != nil {
		return len(d.packs)
	}
	return 0
}

// distrust doubts blobs from now on in this process. RecordDoubts tells others.
func (r *Repository) distrust(more ledger.Doubt) {
	if len(more.Blobs) == 0 {
		return
	}
	r.doubtMu.Lock()
	defer r.doubtMu.Unlock()
	r.doubts.Store(r.doubts.Load().with(more))
	r.fresh = append(r.fresh, more)
}

// loadDoubts learns what others doubt. Notes that cannot be read are left to
// CheckObjects, or to whoever has the key. Where they cannot be listed, what was known
// before counts on.
func (r *Repository) loadDoubts(ctx context.Context) error {
	if err := r.doubtTurn.take(ctx); err != nil {
		return err
	}
	defer r.doubtTurn.give()
	names, err := r.listLedgers(ctx, true)
	whole, err := r.sight.tolerate(err, ledgerPrefix, copyOf(ledgerPrefix))
	if err != nil {
		return err
	}
	var all *doubts
	if !whole {
		all = r.doubts.Load()
	}
	var read []string
	for _, name := range names {
		found, _, err := r.readDoubts(ctx, name)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrUnreachable):
			return err
		case err == nil:
			read = append(read, name)
		}
		for _, d := range found {
			all = all.with(d)
		}
	}
	r.doubtMu.Lock()
	defer r.doubtMu.Unlock()
	for _, d := range r.fresh {
		all = all.with(d)
	}
	r.doubts.Store(all)
	r.notes = read
	return nil
}

func (r *Repository) readDoubts(ctx context.Context, name string) (found []ledger.Doubt, served, err error) {
	text, served, err := r.readLedger(ctx, seal.TypeDoubt, name)
	if err != nil {
		return nil, served, err
	}
	found, err = ledger.DecodeDoubts(text)
	return found, served, err
}

// RecordDoubts stores what this process has come to doubt, and takes back the
// doubts about packs that are settled: found whole, or gone. Without the right to
// delete they stay, which costs nothing but that their blobs are stored twice. Notes
// that could not be read are left alone; when they cannot be listed, nothing is done:
// ErrUnlisted.
func (r *Repository) RecordDoubts(ctx context.Context, now time.Time, settled []PackID) error {
	if blind := r.sight.lacks(ledgerPrefix); len(blind) > 0 {
		return fault.New("note doubts in", r.be.Location(), blind[0], "")
	}
	if err := r.doubtTurn.take(ctx); err != nil {
		return err
	}
	defer r.doubtTurn.give()
	notes, fresh, settles := r.doubtsToNote(now, settled)
	if len(notes) == 0 && !settles {
		return nil
	}
	var added []string
	if len(notes) > 0 {
		name := doubtPrefix + randomHex(16)
		if err := r.putLedger(ctx, seal.TypeDoubt, name, ledger.EncodeDoubts(notes)); err != nil {
			return err
		}
		added = []string{name}
	}
	r.doubtMu.Lock()
	r.fresh = slices.Clone(r.fresh[fresh:])
	old := r.notes
	if settles {
		var next *doubts
		for _, d := range slices.Concat(notes, r.fresh) {
			next = next.with(d)
		}
		r.doubts.Store(next)
	}
	r.doubtMu.Unlock()
	if !settles {
		r.notes = append(r.notes, added...)
		return nil
	}
	for _, name := range old {
		if err := deleteTwice(ctx, r.be, name); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return mayNotDelete(err)
		}
	}
	r.notes = added
	return nil
}

// doubtsToNote returns the doubts to store: those that are not stored yet, of which
// there are fresh, or all that are left when some are settled.
func (r *Repository) doubtsToNote(now time.Time, settled []PackID) (notes []ledger.Doubt, fresh int, settles bool) {
	r.doubtMu.Lock()
	defer r.doubtMu.Unlock()
	all := r.doubts.Load()
	if all == nil {
		return nil, 0, false
	}
	settled = slices.DeleteFunc(slices.Clone(settled), func(id PackID) bool { return all.packs[id] == nil })
	notes = slices.Clone(r.fresh)
	if len(settled) > 0 {
		notes = all.list(func(id PackID) bool { return !slices.Contains(settled, id) })
	}
	for i := range notes {
		if notes[i].Found == 0 {
			notes[i].Found = now.Unix()
		}
	}
	return notes, len(r.fresh), len(settled) > 0
}
