package replication

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"mahavishnu/storage"
)

// readBack reads a share of what the replica has and compares it with its checksums.
// What is damaged there is copied again.
func (r *run) readBack(ctx context.Context) error {
	if r.ReadBack <= 0 {
		return nil
	}
	chosen := func() bool { return rand.Float64()*100 < r.ReadBack }
	for _, items := range [][2][]item{{r.dst.packs, r.src.packs}, {r.dst.parity, r.src.parity}} {
		var some []item
		for _, it := range items[0] {
			if has(items[1], it.key) && chosen() {
				some = append(some, it)
			}
		}
		if err := each(ctx, r.Parallel, some, r.readItem); err != nil {
			return err
		}
	}
	for _, side := range []struct{ src, dst pairs }{
		{r.src.index, r.dst.index}, {r.src.keeps, r.dst.keeps}, {r.src.snapshots, r.dst.snapshots},
	} {
		var names []string
		for _, name := range slices.Sorted(maps.Keys(side.dst)) {
			if _, there := side.src[name]; there && chosen() {
				names = append(names, name)
			}
		}
		err := each(ctx, r.Parallel, names, func(ctx context.Context, name string) error { return r.readPair(ctx, name, side.src[name]) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) readItem(ctx context.Context, it item) error {
	_, err := fetch(ctx, r.To, it.key.render(), it.size)
	r.count(func(res *Result) { res.ReadBack++ })
	switch {
	case err == nil, errors.Is(err, errGone), errors.Is(err, storage.ErrArchived):
		return nil // what is in an archive class is not brought back for a sample
	case damaged(err):
		return r.copyItem(ctx, lacking{it, it.size})
	}
	return err
}

func (r *run) readPair(ctx context.Context, name string, p pair) error {
	for _, object := range []string{name, copyPrefix + name} {
		_, err := fetch(ctx, r.To, object, p.size)
		r.count(func(res *Result) { res.ReadBack++ })
		switch {
		case err == nil:
			continue
		case !errors.Is(err, errGone) && !damaged(err):
			return err
		}
		data, err := r.fetchPair(ctx, name, p)
		if err != nil || data == nil {
			return err
		}
		kept, err := r.replace(ctx, object, data)
		if err != nil {
			return err
		}
		if !kept {
			r.count(func(res *Result) { res.Mended++ })
		}
	}
	return nil
}
