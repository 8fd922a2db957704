package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
)

// Correction is an object that is damaged, missing or unreadable in the storage
// and was read right all the same.
type Correction struct {
	// Object is its name in the storage.
	Object string
	// By is what it was read from instead: one of the By constants.
	By string
}

// What damaged objects are read from.
const (
	ByParity = "parity"    // the pack's own parity object
	ByStripe = "stripe"    // the other packs of its stripe
	ByName   = "misplaced" // another object, which holds its bytes
	ByCopy   = "copy"      // the second copy

	ByReplica = "replica" // of Repair: another place that holds the repository
	ByPacks   = "packs"   // of Repair: made anew of the packs
	ByNothing = "nothing" // of Repair: deleted, because nothing needs it
)

// keepRebuilt is how many packs that were made whole in memory are kept there.
const keepRebuilt = 2

// corrector makes damaged packs whole in memory, one at a time.
type corrector struct {
	codec parity.Codec

	turn turn // held while a pack is made whole

	mu      sync.Mutex // guards what follows
	told    func(Correction)
	seen    map[Correction]bool
	kept    []*rebuilt // the last one first
	beyond  map[PackID]error
	stripes *stripeSet // nil until it is read
	age     int        // counts how often what may have changed was forgotten
}

// rebuilt is a pack that was made whole in memory.
type rebuilt struct {
	id   PackID
	buf  *lent
	data []byte // the pack
	by   string // "" when nothing was wrong with it
	uses int    // guarded by corrector.mu; 0 and not kept: free
}

// Corrections tells how many objects were read right although they are not
// stored right, since the repository was opened. "mahavishnu verify --repair" writes
// them back.
func (r *Repository) Corrections() int {
	r.correct.mu.Lock()
	defer r.correct.mu.Unlock()
	return len(r.correct.seen)
}

// corrected counts and tells a correction, once for each object.
func (c *corrector) corrected(object, by string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := Correction{Object: object, By: by}
	if c.seen[x] {
		return
	}
	if c.seen == nil {
		c.seen = map[Correction]bool{}
	}
	c.seen[x] = true
	if c.told != nil {
		c.told(x)
	}
}

// forget drops what may have changed since: what is beyond mending, and which
// stripes there are.
func (c *corrector) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beyond, c.stripes = nil, nil
	c.age++
}

// known returns a pack that was made whole before, or why it cannot be.
func (c *corrector) known(id PackID) (k *rebuilt, age int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range c.kept {
		if k.id == id {
			copy(c.kept[1:i+1], c.kept[:i])
			c.kept[0] = k
			k.uses++
			return k, c.age, nil
		}
	}
	return nil, c.age, c.beyond[id]
}

// giveUp notes that a pack cannot be made whole of what was there at an age.
func (c *corrector) giveUp(id PackID, age int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age != age {
		return
	}
	if c.beyond == nil {
		c.beyond = map[PackID]error{}
	}
	c.beyond[id] = err
}

// wholePack returns a pack that reading failed on, made whole in memory. Give it
// back with release.
func (r *Repository) wholePack(ctx context.Context, id PackID) (*rebuilt, error) {
	c := &r.correct
	if err := c.turn.take(ctx); err != nil {
		return nil, err
	}
	defer c.turn.give()
	k, age, err := c.known(id)
	if k != nil || err != nil {
		return k, err
	}
	if k, err = r.rebuild(ctx, id); err != nil {
		if ctx.Err() == nil && !errors.Is(err, ErrUnreachable) {
			c.giveUp(id, age, err)
		}
		return nil, err
	}
	if k.by != "" {
		c.corrected(id.Object(), k.by)
	}
	r.keep(k)
	return k, nil
}

// keep keeps a pack that its caller uses, and lets go of those used least lately.
func (r *Repository) keep(k *rebuilt) {
	c := &r.correct
	c.mu.Lock()
	defer c.mu.Unlock()
	k.uses++
	c.kept = append([]*rebuilt{k}, c.kept...)
	for len(c.kept) > keepRebuilt {
		last := c.kept[len(c.kept)-1]
		c.kept = c.kept[:len(c.kept)-1]
		r.letGo(last)
	}
}

func (r *Repository) release(k *rebuilt) {
	r.correct.mu.Lock()
	defer r.correct.mu.Unlock()
	k.uses--
	for _, kept := range r.correct.kept {
		if kept == k {
			return
		}
	}
	r.letGo(k)
}

// letGo frees a pack that is no longer kept, when nobody uses it.
func (r *Repository) letGo(k *rebuilt) {
	if k.uses == 0 {
		r.scratch.put(k.buf)
	}
}

// loadCorrected reads a blob from a pack that is made whole in memory.
func (r *Repository) loadCorrected(ctx context.Context, p index.Pack, e index.Entry, buf []byte) ([]byte, error) {
	k, err := r.wholePack(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	defer r.release(k)
	if uint64(e.Offset)+uint64(e.Stored) > uint64(len(k.data)) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, pack.ErrNotPack)
	}
	record := r.scratch.get(int(e.Stored))
	defer r.scratch.put(record)
	copy(record.b, k.data[e.Offset:])
	return r.openRecord(p, e, record.b, buf)
}

// close gives the memory back.
func (r *Repository) closeCorrector() {
	for _, k := range r.correct.kept {
		r.scratch.put(k.buf)
	}
	r.correct.kept = nil
}

// mendable tells whether parity makes a pack whole.
func (r *Repository) mendable(ctx context.Context, id PackID) bool {
	k, err := r.wholePack(ctx, id)
	if err != nil {
		return false
	}
	r.release(k)
	return true
}
