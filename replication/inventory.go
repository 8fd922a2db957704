package replication

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/storage"
)

// item is a pack or an object of parity.
type item struct {
	key  key
	size int64
	// mod is when it was put, in nanoseconds of Unix time, 0 when not known: older ones
	// are copied first. Nothing else rests on it.
	mod int64
}

// pair is a small object and its second copy. Sizes are -1 for what is not there.
type pair struct {
	size, copySize int64
	mod            int64 // of the object, or else of the copy; 0 when not known
}

func (p pair) complete() bool { return p.size >= 0 && p.copySize >= 0 }

// pairs by the name of the object, without "copies/".
type pairs map[string]pair

// inventory is what a storage has of a repository, by one look.
type inventory struct {
	snapshots, keeps, index pairs
	packs, parity           []item // ascending by key; parity with stripes
	// turn is the number of the last collector's turn, 0 for none.
	turn uint32
}

// take lists what a primary has. The order is that of trust: what refers to other
// things is listed before them, and a snapshot counts as forgotten that is marked so
// after it was listed.
func take(ctx context.Context, be storage.Backend) (*inventory, error) {
	turn, err := lastTurn(ctx, be)
	if err != nil {
		return nil, err
	}
	snapshots, err := snapshotsOf(ctx, be)
	if err != nil {
		return nil, err
	}
	inv, err := takeRest(ctx, be, snapshots)
	if err == nil {
		inv.turn = turn
	}
	return inv, err
}

// takeAll lists what a replica has, marked as forgotten or not: marks there are old.
func takeAll(ctx context.Context, be storage.Backend) (*inventory, error) {
	snapshots, err := listPairs(ctx, be, snapshotPrefix)
	if err != nil {
		return nil, err
	}
	return takeRest(ctx, be, snapshots)
}

func takeRest(ctx context.Context, be storage.Backend, snapshots pairs) (*inventory, error) {
	inv := &inventory{snapshots: snapshots}
	var err error
	if inv.keeps, err = listPairs(ctx, be, pinPrefix, holdPrefix, ledgerPrefix); err != nil {
		return nil, err
	}
	if inv.index, err = listPairs(ctx, be, indexPrefix); err != nil {
		return nil, err
	}
	if inv.packs, err = listItems(ctx, be, packPrefix); err != nil {
		return nil, err
	}
	inv.parity, err = listItems(ctx, be, parityPrefix)
	return inv, err
}

// listPairs lists small objects: first the objects, then their copies, the order in
// which whoever forgets deletes them last.
func listPairs(ctx context.Context, be storage.Backend, prefixes ...string) (pairs, error) {
	all := pairs{}
	for _, prefix := range prefixes {
		for _, before := range []string{"", copyPrefix} {
			err := be.List(ctx, before+prefix, func(info storage.Info) error {
				if !classOf(info.Name).paired() {
					return nil
				}
				name := strings.TrimPrefix(info.Name, copyPrefix)
				p, known := all[name]
				if !known {
					p = pair{size: -1, copySize: -1}
					if !info.ModTime.IsZero() {
						p.mod = info.ModTime.UnixNano()
					}
				}
				if before == "" {
					p.size = info.Size
				} else {
					p.copySize = info.Size
				}
				all[name] = p
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// listItems lists packs or parity.
func listItems(ctx context.Context, be storage.Backend, prefix string) ([]item, error) {
	var items []item
	err := be.List(ctx, prefix, func(info storage.Info) error {
		switch k := keyOf(info.Name); k.kind() {
		case keyPack, keyParity, keyStripe:
			it := item{key: k, size: info.Size}
			if !info.ModTime.IsZero() {
				it.mod = info.ModTime.UnixNano()
			}
			items = append(items, it)
		}
		return nil
	})
	slices.SortFunc(items, func(a, b item) int { return a.key.compare(b.key) })
	return items, err
}

// lastTurn returns the number of the last collector's turn.
func lastTurn(ctx context.Context, be storage.Backend) (last uint32, err error) {
	err = be.List(ctx, turnPrefix, func(info storage.Info) error {
		var n uint32
		if _, err := fmt.Sscanf(strings.TrimPrefix(info.Name, turnPrefix), "%08x", &n); err == nil {
			last = max(last, n)
		}
		return nil
	})
	return last, err
}

// has tells whether a sorted list has an item of that key.
func has(items []item, k key) bool {
	_, ok := slices.BinarySearchFunc(items, k, func(it item, k key) int { return it.key.compare(k) })
	return ok
}

// missing calls fn for every item of want that have lacks, or has with another size;
// there is that size, -1 for none.
func missing(want, have []item, fn func(it item, there int64)) {
	at := 0
	for _, it := range want {
		for at < len(have) && have[at].key.compare(it.key) < 0 {
			at++
		}
		switch {
		case at == len(have) || have[at].key != it.key:
			fn(it, -1)
		case have[at].size != it.size:
			fn(it, have[at].size)
		}
	}
}

// packOf returns the key of the pack that an object of parity is of; false for a
// stripe, which is of several.
func (k key) packOf() (key, bool) {
	if k.kind() != keyParity {
		return key{}, false
	}
	k[0] = keyPack
	return k, true
}

// sumSizes adds up sizes, in bytes.
func sumSizes(items []item) (total int64) {
	for _, it := range items {
		total += it.size
	}
	return total
}

// unchanged tells whether every fragment of the index that was there is there still.
func unchanged(before, after pairs) bool {
	for name := range before {
		if _, ok := after[name]; !ok {
			return false
		}
	}
	return true
}
