package repository

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
)

// Kinds of objects, as problems name them.
const (
	ObjectConfig   = "config"
	ObjectIndex    = "index"
	ObjectSnapshot = "snapshot"
	ObjectPack     = "pack"
	ObjectKeep     = "keep" // a pin or a hold
	ObjectLedger   = "ledger"
	ObjectParity   = "parity" // of a pack, or a stripe
	ObjectUnknown  = "unknown"

	ObjectCondemned = "condemned" // packs that are to be deleted
)

// ErrMissing means that an object which others refer to is not there.
var ErrMissing = errors.New("object is missing")

// Problem is something wrong with an object.
type Problem struct {
	// Object is its name in the storage.
	Object string
	// Kind of the object, one of the Object constants.
	Kind string
	// Err says what is wrong. It wraps ErrUnreadable when that is the storage's
	// failure to read the object.
	Err error
	// Blobs that cannot be had from a damaged or missing pack. They may be stored
	// elsewhere too: Load finds out.
	Blobs []ID
	// Mendable is true for a pack that parity makes whole: everything in it can
	// be read, and Repair stores it again.
	Mendable bool
	// Wrong are those of Blobs that open well, and whose content is not what their
	// id says.
	Wrong []ID
	// Harmless is true when no snapshot can need what is wrong: a pack that a
	// dying session left unfinished, a file somebody put there.
	Harmless bool
}

// String names the object and what is wrong.
func (p Problem) String() string {
	text := fmt.Sprintf("%s %s: %v", p.Kind, p.Object, p.Err)
	if p.Mendable {
		text += "; parity makes it whole"
	}
	if len(p.Blobs) > 0 {
		text += fmt.Sprintf(" (%d blobs affected)", len(p.Blobs))
	}
	return text
}

// CheckObjects checks the structure: both copies of the configuration, every
// index fragment, both copies of every snapshot, that every pack the index knows
// is there with its size and a whole table of blobs, and that every fragment a
// snapshot relies on is there. Of the data it reads only those tables; CheckPack
// does the rest. fn is called for each problem, never from two goroutines at
// once; its error ends the check. An object that the storage cannot read is a
// problem, and so is a place that it cannot list, which hides what is there; the check ends
// with ErrUnreachable when there are many in a row. The one thing it writes is a
// snapshot's missing copy.
func (r *Repository) CheckObjects(ctx context.Context, fn func(Problem) error) error {
	_, err := r.Check(ctx, clock.System().Now(), fn)
	return err
}

// Learned is what a check came to know on its way.
type Learned struct {
	// Ledger is what was verified when, before this check.
	Ledger ledger.Ledger
	// Snapshots are the names of all snapshots' objects.
	Snapshots []string
	// Packs in the storage, by id, and how many of them no index knows.
	Packs     []PackInfo
	Unindexed int
	// PacksUnlisted is true when there may be more packs, which could not be listed.
	PacksUnlisted bool
}

// Check is CheckObjects, and returns what it learned. now is compared with the
// times in the ledger.
func (r *Repository) Check(ctx context.Context, now time.Time, fn func(Problem) error) (Learned, error) {
	c := &checker{r: r, now: now, fn: fn, fragments: map[string]bool{}}
	if err := r.Refresh(ctx); err != nil {
		return Learned{}, err
	}
	if err := r.mayJudge(ctx, "check"); err != nil { // what it cannot open would pass for damage
		return Learned{}, err
	}
	for _, step := range []func(context.Context) error{
		c.configs, c.index, c.snapshots, c.keeps, c.ledgers, c.lostSnapshots, c.packs, c.parity, c.condemned, c.strangers,
	} {
		if err := c.listed(step(ctx)); err != nil {
			return c.learned, err
		}
	}
	return c.learned, nil
}

// checker is one run of Check.
type checker struct {
	r         *Repository
	now       time.Time
	learned   Learned
	mu        sync.Mutex // guards fn
	fn        func(Problem) error
	fragments map[string]bool // index objects that are there
	lost      bool            // a fragment is damaged or missing, or may be there unseen
	unlisted  map[string]bool // places that cannot be listed, told already
}

func (c *checker) report(p Problem) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fn(p)
}

// trouble tells a problem of the object from one of the check itself.
func (c *checker) trouble(ctx context.Context, object, kind string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, keyring.ErrNoVersion) {
		return fault.New("check", object, err, "") // no damage, and the rest cannot be judged either
	}
	if c.behind(object, err) {
		return nil
	}
	return c.report(Problem{Object: object, Kind: kind, Err: damage(gone(err))})
}

// behind tells whether an object cannot be read just as the place it is in cannot
// be listed, which is told.
func (c *checker) behind(object string, err error) bool {
	if !errors.Is(err, ErrUnreadable) {
		return false
	}
	for place := range c.unlisted {
		if strings.HasPrefix(object, place) {
			return true
		}
	}
	return false
}

// listed reports the places that a listing failed at, once each, and returns the
// error of one that ended for another reason.
func (c *checker) listed(err error) error {
	failed := unlisted(err)
	if err != nil && failed == nil {
		return err
	}
	for _, one := range failed {
		if c.unlisted[one.Place] {
			continue
		}
		if c.unlisted == nil {
			c.unlisted = map[string]bool{}
		}
		c.unlisted[one.Place] = true
		if err := c.report(one.Problem()); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) configs(ctx context.Context) error {
	var whole []Config
	for _, name := range []string{configName, configCopy} {
		cfg, err := readOneConfig(ctx, c.r.be, name)
		if err == nil && cfg.ID != c.r.cfg.ID {
			err = fmt.Errorf("%w: it is of repository %s", ErrDamaged, cfg.ID)
		}
		if err == nil && len(whole) > 0 && !reflect.DeepEqual(cfg, whole[0]) {
			err = fmt.Errorf("%w: it differs from %s", ErrDamaged, configName)
		}
		if err != nil {
			if err := c.trouble(ctx, name, ObjectConfig, err); err != nil {
				return err
			}
			continue
		}
		whole = append(whole, cfg)
	}
	return nil
}

func (c *checker) snapshots(ctx context.Context) error {
	refs, _, err := c.r.listSnapshots(ctx, "")
	if err := c.listed(err); err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, ref := range refs {
		c.learned.Snapshots = append(c.learned.Snapshots, ref.object)
		snap, err := c.snapshot(ctx, ref.object)
		if err != nil {
			return err
		}
		for _, name := range snap.Index {
			if c.fragments[name] || missing[name] || c.r.index.standsIn(name) {
				continue
			}
			there, err := c.fragmentCame(ctx, name)
			if err != nil {
				return err
			}
			if !there && c.hides(indexPrefix) {
				c.lost = true
			} else if !there {
				missing[name], c.lost = true, true
				if err := c.trouble(ctx, name, ObjectIndex, ErrMissing); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fragmentCame tells whether a fragment that was not listed, or one that stands in
// for it, has been stored since: a backup that ends during the check names it.
func (c *checker) fragmentCame(ctx context.Context, name string) (bool, error) {
	for _, object := range []string{name, copyOf(name)} {
		_, err := c.r.be.Stat(ctx, object)
		if err == nil {
			c.fragments[name] = true
			return true, nil
		}
		if !errors.Is(err, storage.ErrNotFound) && !c.hides(indexPrefix) {
			return false, err
		}
	}
	if err := c.r.Refresh(ctx); err != nil {
		return false, err
	}
	return c.r.index.standsIn(name), nil
}

// hides tells whether what is below a prefix, or the copies of it, cannot all be
// listed.
func (c *checker) hides(prefix string) bool {
	for place := range c.unlisted {
		if strings.HasPrefix(strings.TrimPrefix(place, copyPrefix), prefix) {
			return true
		}
	}
	return false
}

// strangers names objects that are no part of a repository. What of the storage
// cannot be listed is told by others, as far as it belongs to the repository.
func (c *checker) strangers(ctx context.Context) error {
	err := listBelow(ctx, c.r.be, "", func(info storage.Info) error {
		if knownObject(info.Name) || strings.HasPrefix(info.Name, rolesPrefix) {
			return nil
		}
		return c.report(Problem{
			Object: info.Name, Kind: ObjectUnknown, Harmless: true,
			Err: fault.New("recognise", info.Name, errors.New("not an object of a repository"), "move it elsewhere"),
		})
	})
	for _, place := range unlistedIn(err) {
		if !place.foreign() {
			continue
		}
		p := place.Problem()
		p.Harmless = true
		if err := c.report(p); err != nil {
			return err
		}
	}
	if errors.Is(err, ErrUnlisted) {
		return nil
	}
	return err
}

// reservedPrefixes are the places of parity, garbage collection and the ledger
// of verification.
var reservedPrefixes = []string{"parity/", "gc/", "ledger/"}

// rolesPrefix is where replication keeps what it knows of this storage. It is no part of
// the repository, and no stranger in it.
const rolesPrefix = "replication/"

func knownObject(name string) bool {
	if name == configName || name == configCopy {
		return true
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(strings.TrimPrefix(name, copyPrefix), prefix) {
			return true
		}
	}
	if isIndexObject(strings.TrimPrefix(name, copyPrefix)) {
		return true
	}
	if _, ok := parsePackObject(name); ok || isKeepObject(name) {
		return true
	}
	_, ok := parseSnapshotObject(strings.TrimPrefix(name, copyPrefix))
	return ok
}

func isIndexObject(name string) bool {
	rest, ok := strings.CutPrefix(name, indexPrefix)
	return ok && isHex(rest, 32)
}
