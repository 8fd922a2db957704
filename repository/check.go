package repository

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
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
	// Blobs that cannot be read from a damaged pack. They may be stored
	// elsewhere too: Load finds out.
	Blobs []ID
	// Mendable is true for a pack that parity makes whole: everything in it can
	// be read, and Repair stores it again.
	Mendable bool
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

// checkers is how many packs CheckObjects reads at once.
const checkers = 8

// CheckObjects checks the structure: both copies of the configuration, every
// index fragment, both copies of every snapshot, that every pack the index knows
// is there with its size and a whole table of blobs, and that every fragment a
// snapshot relies on is there. Of the data it reads only those tables; CheckPack
// does the rest. fn is called for each problem, never from two goroutines at
// once; its error ends the check. An object that the storage cannot read is a
// problem; the check ends with ErrUnreachable when there are many in a row. The one
// thing it writes is a snapshot's missing copy.
func (r *Repository) CheckObjects(ctx context.Context, fn func(Problem) error) error {
	c := &checker{r: r, fn: fn, fragments: map[string]bool{}}
	if err := r.Refresh(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		c.configs, c.index, c.snapshots, c.keeps, c.packs, c.strangers,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checker is one run of CheckObjects.
type checker struct {
	r         *Repository
	mu        sync.Mutex // guards fn
	fn        func(Problem) error
	fragments map[string]bool // index objects that are there
	lost      bool            // a fragment is damaged or missing
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
	if errors.Is(err, storage.ErrNotFound) {
		err = ErrMissing
	}
	return c.report(Problem{Object: object, Kind: kind, Err: damage(err)})
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
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, ref := range refs {
		snap, err := c.snapshot(ctx, ref.object)
		if err != nil {
			return err
		}
		for _, name := range snap.Index {
			if !c.fragments[name] && !missing[name] {
				missing[name], c.lost = true, true
				if err := c.trouble(ctx, name, ObjectIndex, ErrMissing); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// packs compares the packs that are there with the index.
func (c *checker) packs(ctx context.Context) error {
	var listed []packObject
	err := c.r.eachPackObject(ctx, func(id PackID, size int64) error {
		listed = append(listed, packObject{id, size})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(listed, func(a, b packObject) int { return a.id.Compare(b.id) })
	for _, f := range c.r.index.fragments() {
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			_, there := slices.BinarySearchFunc(listed, p.ID, func(o packObject, id PackID) int { return o.id.Compare(id) })
			if there {
				continue
			}
			if first, _ := c.r.index.pack(p.ID); !first.Same(p) {
				continue // told for another fragment
			}
			problem := Problem{Object: p.ID.Object(), Kind: ObjectPack, Err: ErrMissing}
			if problem.Mendable = c.r.mendable(ctx, p.ID); !problem.Mendable {
				problem.Blobs = c.r.blobsIn(p.ID)
			}
			if err := c.report(problem); err != nil {
				return err
			}
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(checkers)
	for _, o := range listed {
		group.Go(func() error { return c.pack(groupCtx, o) })
	}
	return group.Wait()
}

// pack compares one pack's size and table of blobs with the index.
func (c *checker) pack(ctx context.Context, o packObject) error {
	known, indexed := c.r.index.pack(o.id)
	t, entries, err := c.r.readFooter(ctx, o.id, o.size)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrUnreachable):
		return err
	case errors.Is(err, storage.ErrNotFound) && !indexed:
		return nil // collected since it was listed
	case err == nil && indexed:
		err = sameTable(known, indexPack(t.Header, o.size, len(entries)))
	}
	if err == nil {
		return nil
	}
	p := Problem{Object: o.id.Object(), Kind: ObjectPack, Err: damage(err), Harmless: !indexed && !c.lost}
	if p.Mendable = c.r.mendable(ctx, o.id); indexed && !p.Mendable {
		p.Blobs = c.r.unreadable(ctx, o.id, known)
	}
	return c.report(p)
}

func sameTable(want, got index.Pack) error {
	if !want.Same(got) {
		return fmt.Errorf("%w: %d bytes with %d blobs, the index says %d bytes with %d blobs",
			ErrDamaged, got.Size, got.Blobs, want.Size, want.Blobs)
	}
	return nil
}

// strangers names objects that are no part of a repository.
func (c *checker) strangers(ctx context.Context) error {
	return c.r.be.List(ctx, "", func(info storage.Info) error {
		if knownObject(info.Name) {
			return nil
		}
		return c.report(Problem{
			Object: info.Name, Kind: ObjectUnknown, Harmless: true,
			Err: fault.New("recognise", info.Name, errors.New("not an object of a repository"), "move it elsewhere"),
		})
	})
}

// reservedPrefixes are the places of parity, garbage collection and the ledger
// of verification.
var reservedPrefixes = []string{"parity/", "gc/", "ledger/"}

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
