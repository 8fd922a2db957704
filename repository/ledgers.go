package repository

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

const (
	ledgerPrefix = "ledger/"
	doubtPrefix  = ledgerPrefix + "bad-"

	// maxLedgers is how many ledgers there may be before a verify merges the
	// small ones. Each verify adds one.
	maxLedgers = 16
	// clockSkew is how far the clocks of verifiers may differ before what one
	// noted counts as never.
	clockSkew = 5 * time.Minute
	// forgottenFor is how long it is remembered that a snapshot was forgotten,
	// after all ledgers that saw it were merged: longer than any verify runs
	// that may note once more that it saw it.
	forgottenFor = 30 * 24 * time.Hour
)

// ledgerObject is a ledger as stored.
type ledgerObject struct {
	name string
	ledger.Ledger
}

// Ledger returns what all ledgers in the storage say together. What was noted
// in the future, seen from now, counts as never. A ledger that cannot be read
// makes packs look longer unverified than they are and is left to CheckObjects; when
// they cannot be listed, that is an error, ErrUnlisted.
func (r *Repository) Ledger(ctx context.Context, now time.Time) (ledger.Ledger, error) {
	objects, err := r.readLedgers(ctx)
	if err != nil {
		return ledger.Ledger{}, err
	}
	return joined(objects, now), nil
}

func joined(objects []ledgerObject, now time.Time) ledger.Ledger {
	var all ledger.Ledger
	for _, o := range objects {
		all = ledger.Join(all, o.Clamp(now.Add(clockSkew).Unix()))
	}
	return all
}

// ledgerCache holds the ledgers that were read whole: they never change.
type ledgerCache struct {
	mu  sync.Mutex
	all map[string]ledger.Ledger
}

// keep forgets all but the ledgers of objects, which are in the storage.
func (c *ledgerCache) keep(objects map[string]ledgerObject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.all, func(name string, _ ledger.Ledger) bool { _, there := objects[name]; return !there })
}

func (c *ledgerCache) get(name string) (ledger.Ledger, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.all[name]
	return l, ok
}

func (c *ledgerCache) put(name string, l ledger.Ledger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]ledger.Ledger{}
	}
	c.all[name] = l
}

// readLedgers returns every ledger, smallest first. One that cannot be read is
// empty: it makes packs look longer unverified than they are.
func (r *Repository) readLedgers(ctx context.Context) ([]ledgerObject, error) {
	read := map[string]ledgerObject{}
	for {
		names, err := r.listLedgers(ctx, false)
		if err != nil {
			return nil, err
		}
		merged := false // while they were read: another one says the same
		for _, name := range names {
			if _, done := read[name]; done {
				continue
			}
			o := ledgerObject{name: name}
			if l, ok := r.ledgerCache.get(name); ok {
				o.Ledger = l
				read[name] = o
				continue
			}
			text, served, err := r.readLedger(ctx, seal.TypeLedger, name)
			if err == nil {
				o.Ledger, err = ledger.Decode(text)
			}
			switch {
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case errors.Is(err, storage.ErrNotFound):
				merged = true
				continue
			case errors.Is(err, ErrUnreachable), errors.Is(err, keyring.ErrNoVersion):
				return nil, err // what it says is not lost, and must not be merged away
			}
			if cmpError(err, served) == nil {
				r.ledgerCache.put(name, o.Ledger)
			}
			read[name] = o
		}
		if !merged {
			r.ledgerCache.keep(read)
			objects := slices.SortedFunc(maps.Values(read), func(a, b ledgerObject) int {
				return len(a.Marks) + len(a.Fates) - len(b.Marks) - len(b.Fates)
			})
			return objects, nil
		}
	}
}

// cmpError returns the first error there is.
func cmpError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Record adds to the ledger, durably. It needs no right to delete. A ledger that cannot
// be listed gets nothing more: ErrUnlisted.
func (r *Repository) Record(ctx context.Context, l ledger.Ledger) error {
	if l.Empty() {
		return nil
	}
	if blind := r.sight.lacks(ledgerPrefix); len(blind) > 0 {
		return fault.New("record verification in", r.be.Location(), blind[0], "")
	}
	for _, part := range l.Split() {
		text, err := part.Encode()
		if err != nil {
			return fault.New("record verification in", r.be.Location(), err, "")
		}
		if err := r.putLedger(ctx, seal.TypeLedger, ledgerPrefix+randomHex(16), text); err != nil {
			return err
		}
	}
	return nil
}

// CompactLedger merges the ledgers into one, without packs that are gone, and
// drops doubts about those. Whoever may delete calls it now and then; without
// that right it does nothing. Verifiers may run at the same time.
func (r *Repository) CompactLedger(ctx context.Context, now time.Time) error {
	if err := r.mayChange(ctx, "merge ledgers of"); err != nil {
		return err
	}
	objects, err := r.readLedgers(ctx)
	if err != nil {
		return err
	}
	if err := r.mergeLedgers(ctx, objects, len(objects), now); err != nil {
		return err
	}
	gone, err := r.gonePacks(ctx)
	if err != nil {
		return err
	}
	return r.RecordDoubts(ctx, now, gone)
}

// mergeSome merges the small ledgers when there are many: a large one only when
// the small ones together are about as large, so that each mark is written a
// few times at most.
func (r *Repository) mergeSome(ctx context.Context, now time.Time) error {
	objects, err := r.readLedgers(ctx)
	if err != nil || len(objects) < maxLedgers {
		return err
	}
	n, size := 0, 0
	for ; n < len(objects); n++ {
		one := len(objects[n].Marks) + len(objects[n].Fates)
		if n >= maxLedgers/2 && one > 2*size {
			break
		}
		size += one
	}
	return r.mergeLedgers(ctx, objects, n, now)
}

// mergeLedgers merges the first n of all ledgers: the result is durable before
// what it replaces is deleted.
func (r *Repository) mergeLedgers(ctx context.Context, all []ledgerObject, n int, now time.Time) error {
	if n < 2 {
		return nil
	}
	some := all[:n]
	allowed, err := r.dropRepeated(ctx, some)
	if err != nil || !allowed {
		return err
	}
	merged := joined(some, now)
	whole := r.index.damaged() == 0
	merged = merged.Filter(
		func(m ledger.Mark) bool { _, known := r.index.pack(m.ID); return known || !whole },
		func(f ledger.Fate) bool {
			// Without the note that it was forgotten, a snapshot that an older ledger
			// has seen would look lost.
			return n < len(all) || f.Forgotten == 0 || now.Unix()-f.Forgotten < int64(forgottenFor/time.Second)
		},
	)
	if err := r.Record(ctx, merged); err != nil {
		return err
	}
	for _, o := range some {
		if err := deleteTwice(ctx, r.be, o.name); err != nil {
			return mayNotDelete(err)
		}
	}
	return nil
}

// dropRepeated deletes a ledger when another one says all of it: one that an
// earlier merge could not delete. It returns false when that is refused still;
// then merging would only add more.
func (r *Repository) dropRepeated(ctx context.Context, some []ledgerObject) (allowed bool, err error) {
	for i, o := range some {
		for j, other := range some {
			if i == j || !within(o.Ledger, other.Ledger) {
				continue
			}
			err := deleteTwice(ctx, r.be, o.name)
			return err == nil, mayNotDelete(err)
		}
	}
	return true, nil
}

// within tells whether one ledger says all that another does.
func within(l, other ledger.Ledger) bool {
	if len(l.Marks) > len(other.Marks) || len(l.Fates) > len(other.Fates) {
		return false
	}
	sum := ledger.Join(l, other)
	return slices.Equal(sum.Marks, other.Marks) && slices.Equal(sum.Fates, other.Fates)
}

// mayNotDelete takes a refusal for what it is: a role that may only write.
func mayNotDelete(err error) error {
	if errors.Is(err, storage.ErrReadOnly) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// listLedgers lists the ledgers, or the doubts, of which either object is there.
func (r *Repository) listLedgers(ctx context.Context, doubts bool) ([]string, error) {
	var names []string
	err := listTwice(ctx, r.be, ledgerPrefix, func(name string, _, _ bool) {
		if isLedgerObject(name) && strings.HasPrefix(name, doubtPrefix) == doubts {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names, err
}

// putLedger seals a text and stores it twice.
func (r *Repository) putLedger(ctx context.Context, typ seal.Type, name string, text []byte) error {
	sealed, err := r.keys.Seal(typ, name, text)
	if err != nil {
		return fault.New("seal", name, err, "")
	}
	if err := putTwice(ctx, r.be, name, sealed); err != nil && !errors.Is(err, storage.ErrExists) { // repeated by a retry below us
		return err
	}
	return nil
}

// readLedger reads the text of a ledger or doubt, or its copy's.
func (r *Repository) readLedger(ctx context.Context, typ seal.Type, name string) (text []byte, served, err error) {
	served, err = readTwice(ctx, r.be, name, 2*ledger.MaxSize, func(data []byte) (err error) {
		text, err = r.keys.Open(typ, name, data)
		return err
	})
	return text, served, err
}

// noteForgotten says that snapshots are about to be deleted, so that their absence
// is not taken for a loss, with the key or without.
func (r *Repository) noteForgotten(ctx context.Context, names []string) error {
	now := clock.System().Now()
	fates := make([]ledger.Fate, len(names))
	for i, name := range names {
		fates[i] = ledger.Fate{Name: name, Forgotten: now.Unix()}
	}
	if err := r.Record(ctx, ledger.New(nil, fates)); err != nil {
		return err
	}
	errs := make([]error, len(names))
	each(errs, func(i int) error { return NoteGone(ctx, r.be, names[i], now) })
	return errors.Join(errs...)
}
