package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"mahavishnu/fault"
	"mahavishnu/repository"
)

// ErrNoEntry means that no snapshot of the catalog has that id.
var ErrNoEntry = errors.New("no such snapshot in the catalog")

// Repository is where the truth is.
type Repository interface {
	// Snapshots returns the snapshots of a source, or all for "", and errors
	// that name the damaged ones.
	Snapshots(ctx context.Context, source string) ([]repository.Snapshot, []error, error)
	// Pins returns what keeps snapshots from being forgotten, by their ids.
	Pins(ctx context.Context, source string) (map[string]repository.Keep, error)
}

// Catalog is the entries of a store, held in memory. It is safe for concurrent use.
type Catalog struct {
	store Store

	// changing lets one rebuild or event change entries at a time.
	changing sync.Mutex
	mu       sync.RWMutex
	entries  map[string]Entry
}

// Open reads a catalog. Entries that cannot be read are left out: a rebuild
// writes them anew.
func Open(ctx context.Context, store Store) (*Catalog, error) {
	c := &Catalog{store: store, entries: map[string]Entry{}}
	err := store.Each(ctx, func(key string, data []byte) error {
		if e, err := decodeEntry(key, data); err == nil {
			c.entries[key] = e
		}
		return nil
	})
	if err != nil {
		return nil, fault.New("read catalog", "", err, "rebuild it: mahavishnu catalog rebuild")
	}
	return c, nil
}

// Len is the number of entries.
func (c *Catalog) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}

// List returns the entries that a query picks, in its order, and how many
// there are without its limit.
func (c *Catalog) List(q Query) (page []Entry, total int, err error) {
	order, err := q.order()
	if err != nil {
		return nil, 0, err
	}
	c.mu.RLock()
	var found []Entry
	for _, e := range c.entries {
		if q.match(e) {
			found = append(found, e)
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(found, order)
	return slices.Clip(q.page(found)), len(found), nil
}

// Get returns the entry of an id or of its unique beginning.
func (c *Catalog) Get(id string) (Entry, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, ok := c.entries[id]; ok {
		return e, nil
	}
	var found []string
	for key := range c.entries {
		if id != "" && strings.HasPrefix(key, id) {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 1:
		return c.entries[found[0]], nil
	case 0:
		return Entry{}, fault.New("look up snapshot", id, ErrNoEntry, "list them: mahavishnu catalog list; or rebuild: mahavishnu catalog rebuild")
	}
	return Entry{}, fault.New("look up snapshot", id, fmt.Errorf("%w: %d begin like that", ErrNoEntry, len(found)), "give more of the id")
}

// put stores an entry unless it is there already as it is.
func (c *Catalog) put(ctx context.Context, e Entry) (changed bool, err error) {
	c.mu.RLock()
	old, ok := c.entries[e.ID]
	c.mu.RUnlock()
	if ok && reflect.DeepEqual(old, e) {
		return false, nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return false, fmt.Errorf("encode catalog entry %s: %w", e.ID, err)
	}
	if err := c.store.Put(ctx, e.ID, data); err != nil {
		return false, fault.New("write catalog entry", e.ID, err, "")
	}
	c.mu.Lock()
	c.entries[e.ID] = e
	c.mu.Unlock()
	return true, nil
}

func (c *Catalog) remove(ctx context.Context, id string) error {
	if err := c.store.Delete(ctx, id); err != nil {
		return fault.New("remove catalog entry", id, err, "")
	}
	c.mu.Lock()
	delete(c.entries, id)
	c.mu.Unlock()
	return nil
}

// all returns a copy of every entry by id.
func (c *Catalog) all() map[string]Entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return maps.Clone(c.entries)
}

// Rebuilt is what a rebuild found.
type Rebuilt struct {
	// Snapshots in the repository, and how many entries were new, differed, or
	// had no snapshot any more.
	Snapshots, Added, Changed, Removed int
	// Damaged names snapshots that cannot be read, or only from their second
	// copy. Their entries stay, with the problem noted.
	Damaged []error
}

// Rebuild makes the catalog agree with the repository. It may run while
// backups do: what they add meanwhile comes by their events.
func (c *Catalog) Rebuild(ctx context.Context, repo Repository) (Rebuilt, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	before := c.all()
	snapshots, damaged, err := repo.Snapshots(ctx, "")
	if err != nil {
		return Rebuilt{}, fault.New("rebuild catalog", "", err, "")
	}
	for _, err := range damaged {
		if errors.Is(err, repository.ErrUnlisted) { // entries that are not found may be there
			return Rebuilt{}, fault.New("rebuild catalog", "", err, "")
		}
	}
	pins, err := repo.Pins(ctx, "")
	if err != nil {
		return Rebuilt{}, fault.New("rebuild catalog", "", err, "")
	}
	r := Rebuilt{Snapshots: len(snapshots), Damaged: damaged}
	for _, s := range snapshots {
		old, known := before[s.ID]
		delete(before, s.ID)
		e := FromSnapshot(s).withMarks(old)
		if pin, ok := pins[s.ID]; ok {
			e.Pinned = pin.String()
		}
		if problem := names(damaged, s.ID); problem != "" {
			e.Problem = problem // it was read from its second copy
		}
		changed, err := c.put(ctx, e)
		switch {
		case err != nil:
			return r, err
		case !known:
			r.Added++
		case changed:
			r.Changed++
		}
	}
	for id, e := range before {
		if problem := names(damaged, id); problem != "" {
			e.Problem = problem
			_, err = c.put(ctx, e)
		} else {
			r.Removed++
			err = c.remove(ctx, id)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// names returns the error that is about the snapshot, or "".
func names(damaged []error, id string) string {
	for _, err := range damaged {
		if text := err.Error(); strings.Contains(text, id) {
			return text
		}
	}
	return ""
}
