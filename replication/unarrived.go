package replication

import (
	"context"
	"slices"
	"strings"

	"mahavishnu/repository"
	"mahavishnu/storage"
)

// Only returns the names of the snapshots that one storage has and another neither has
// nor had forgotten: what is lost with the one. The newest come first.
func Only(ctx context.Context, one, other storage.Backend) ([]string, error) {
	own, err := snapshotsOf(ctx, one)
	if err != nil {
		return nil, err
	}
	there, err := listPairs(ctx, other, snapshotPrefix)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range own {
		if _, has := there[name]; !has {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	forgotten := map[string]bool{}
	if err := repository.EachGone(ctx, other, func(name, _ string) { forgotten[name] = true }); err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return forgotten[name] })
	slices.SortFunc(names, func(a, b string) int {
		at, _ := repository.SnapshotTime(a)
		bt, _ := repository.SnapshotTime(b)
		if at.Equal(bt) {
			return strings.Compare(a, b)
		}
		return bt.Compare(at)
	})
	return names, nil
}

// snapshotsOf lists the snapshots of a primary: those with a mark are forgotten.
func snapshotsOf(ctx context.Context, be storage.Backend) (pairs, error) {
	snapshots, err := listPairs(ctx, be, snapshotPrefix)
	if err != nil {
		return nil, err
	}
	return snapshots, be.List(ctx, forgottenPrefix, func(info storage.Info) error {
		delete(snapshots, strings.TrimPrefix(info.Name, forgottenPrefix))
		return nil
	})
}
