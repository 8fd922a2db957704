package replication

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"mahavishnu/repository"
	"mahavishnu/storage"
)

// errGone means that an object was listed and is not there any more.
var errGone = errors.New("it is gone")

// read returns the bytes of an object; size is what is expected, in bytes.
func read(ctx context.Context, be storage.Backend, name string, size int64) ([]byte, error) {
	data, err := storage.ReadAll(ctx, be, name, maxObject, make([]byte, 0, min(max(size, 0), maxObject)+1))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errGone
	}
	return data, err
}

// fetch reads an object and compares its stored checksum. Bytes that are not what they
// should be are read once more: they may have changed on the way. An error that
// [damaged] knows is about what is stored.
func fetch(ctx context.Context, be storage.Backend, name string, size int64) (data []byte, err error) {
	for range 2 {
		if data, err = read(ctx, be, name, size); err == nil {
			err = repository.ScrubBytes(name, data)
		}
		if errors.Is(err, repository.ErrUnknownFeature) {
			return data, nil // whole, and of a newer program, which knows what it is
		}
		if err == nil || !damaged(err) {
			break
		}
	}
	return data, err
}

// damaged tells damage of one object, a bad sector among them, from trouble with the storage.
func damaged(err error) bool {
	var temporary *storage.TemporaryError
	return !errors.As(err, &temporary) &&
		(repository.Damaged(err) || errors.Is(err, storage.ErrDamaged) || errors.Is(err, syscall.EIO))
}

// put stores an object in the replica. It is durable, and its bytes are before its name
// is: not even the loss of power leaves half an object.
func (r *run) put(ctx context.Context, name string, data []byte) error {
	o := storage.PutOptions{Sync: true, Cold: r.Cold && packOfData(name, data)}
	if r.keeper != nil && repository.IsRetained(name) {
		o.RetainUntil = r.Retention.until(r.Clock.Now())
	}
	return r.To.Put(ctx, name, data, o)
}

// replace is put for what may be there, and must not be as it is. kept tells that the
// storage keeps it so.
func (r *run) replace(ctx context.Context, name string, data []byte) (kept bool, err error) {
	err = r.put(ctx, name, data)
	if !errors.Is(err, storage.ErrRetained) {
		return false, err
	}
	r.count(func(res *Result) { res.Stuck++ })
	return true, nil
}

// bad notes a damaged object of the primary.
func (r *run) bad(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.damaged[name] {
		return
	}
	r.damaged[name] = true
	if len(r.result.Damaged) < maxNamed {
		r.result.Damaged = append(r.result.Damaged, Problem{Object: name, Error: err.Error()})
	}
}

// count adds to the result.
func (r *run) count(fn func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.result)
}

// block says that something which snapshots may need cannot be had.
func (r *run) block() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocked = true
}

// gone says that the primary has changed since it was listed.
func (r *run) gone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved = true
}

// copyConfig makes the place a repository, or completes what was begun.
func (r *run) copyConfig(ctx context.Context) error {
	var whole []byte
	for _, name := range []string{configName, configCopy} {
		data, err := fetch(ctx, r.From, name, 0)
		switch {
		case err == nil:
			whole = data
		case errors.Is(err, errGone):
		case damaged(err):
			r.bad(name, err)
		default:
			return err
		}
	}
	if whole == nil {
		return repository.ErrNotRepository // cannot be: it was just identified
	}
	for _, name := range []string{configCopy, configName} {
		have, err := fetch(ctx, r.To, name, int64(len(whole)))
		switch {
		case err == nil && bytes.Equal(have, whole):
			continue
		case err != nil && !errors.Is(err, errGone) && !damaged(err):
			return err
		}
		if _, err := r.replace(ctx, name, whole); err != nil {
			return err
		}
	}
	return nil
}

// share tells whether a pack or its parity is this run's to copy.
func (r *run) share(k key) bool { return r.Shards <= 1 || k.shard(r.Shards) == r.Shard }

// each calls fn for many, several at a time. The first error ends it.
func each[T any](ctx context.Context, parallel int, all []T, fn func(ctx context.Context, one T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, one := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx) // another failed before this one had its turn
			}
			return fn(ctx, one)
		})
	}
	return g.Wait()
}

// lacking is an item that the replica lacks, or has with another size.
type lacking struct {
	item
	there int64
}

// lacks returns what the replica lacks of a list.
func lacks(want, have []item, mine func(key) bool) (all []lacking, bytes int64) {
	missing(want, have, func(it item, there int64) {
		if mine(it.key) {
			all = append(all, lacking{it, there})
			bytes += it.size
		}
	})
	return all, bytes
}

// copyItems copies the packs that are this run's and then their parity.
func (r *run) copyItems(ctx context.Context, mine func(key) bool) error {
	for _, lists := range [][2][]item{{r.src.packs, r.dst.packs}, {r.src.parity, r.dst.parity}} {
		all, size := lacks(lists[0], lists[1], mine)
		if len(all) == 0 {
			continue
		}
		slices.SortStableFunc(all, func(a, b lacking) int { return cmp.Compare(a.mod, b.mod) })
		r.tell(Step{ExpectObjects: int64(len(all)), ExpectBytes: size})
		if err := each(ctx, r.Parallel, all, r.copyItem); err != nil {
			return err
		}
	}
	return nil
}

// copyItem copies a pack or an object of parity.
func (r *run) copyItem(ctx context.Context, it lacking) error {
	name := it.key.render()
	data, err := fetch(ctx, r.From, name, it.size)
	switch {
	case err == nil:
		if kept, err := r.replace(ctx, name, data); kept || err != nil {
			if kept && it.key.kind() == keyPack {
				r.block() // what is there is not what a snapshot needs
			}
			return err
		}
	case errors.Is(err, errGone):
		r.gone()
		return nil
	case damaged(err):
		r.bad(name, err)
		return r.without(ctx, it, name)
	default:
		return err
	}
	r.count(func(res *Result) {
		if it.there < 0 {
			res.Copied++
		} else {
			res.Mended++
		}
		res.CopiedBytes += int64(len(data))
	})
	r.tell(Step{Objects: 1, Bytes: int64(len(data)), Object: name})
	return nil
}

// without goes on without a damaged object. A pack that the replica has no good one of
// either may be needed by any snapshot that is not shown yet.
func (r *run) without(ctx context.Context, it lacking, name string) error {
	if it.key.kind() != keyPack {
		return nil // nothing but mending needs parity
	}
	if it.there >= 0 {
		_, err := fetch(ctx, r.To, name, it.there)
		if err == nil || !damaged(err) && !errors.Is(err, errGone) {
			return err
		}
	}
	r.block()
	return nil
}

// stragglers tells whether all packs have arrived, other shards' too. A few that are
// missing, such as those that came to the primary after the other shards began,
// are copied here.
func (r *run) stragglers(ctx context.Context) (complete bool, err error) {
	if r.dst.packs, err = listItems(ctx, r.To, packPrefix); err != nil {
		return false, err
	}
	left, _ := lacks(r.src.packs, r.dst.packs, func(k key) bool { return !r.share(k) })
	if len(left) > max(8, len(r.src.packs)/16) {
		return false, nil
	}
	if r.dst.parity, err = listItems(ctx, r.To, parityPrefix); err != nil {
		return false, err
	}
	return true, r.copyItems(ctx, func(k key) bool { return !r.share(k) })
}

// copyPairs copies small objects, each with its second copy.
func (r *run) copyPairs(ctx context.Context, want, have pairs) error {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		p, there := have[name]
		if there && p.complete() && r.sameAsSeen(name, want[name], p) {
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	r.tell(Step{ExpectObjects: 2 * int64(len(names))})
	return each(ctx, r.Parallel, names, func(ctx context.Context, name string) error {
		return r.copyPair(ctx, name, want[name], have)
	})
}

// sameAsSeen tells whether the replica's object is the primary's as far as can be told
// without reading: it has its size, and the primary's has not been put again since both
// were compared.
func (r *run) sameAsSeen(name string, want, have pair) bool {
	size := want.size
	if size < 0 {
		size = want.copySize
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, ok := r.notes.seen[keyOf(name)]
	return have.size == size && have.copySize == size && ok && seen == want.mod && seen != 0
}

// copyPair copies a small object from whichever of the two in the primary is whole, to
// both in the replica: the object first.
func (r *run) copyPair(ctx context.Context, name string, p pair, have pairs) error {
	data, err := r.fetchPair(ctx, name, p)
	if err != nil {
		return err
	}
	_, known := have[name]
	if data == nil {
		return r.withoutPair(ctx, name, p, known)
	}
	changed, mended := false, false
	for _, object := range []string{name, copyPrefix + name} {
		if known {
			there, err := read(ctx, r.To, object, int64(len(data)))
			switch {
			case err == nil && bytes.Equal(there, data):
				continue
			case err != nil && !errors.Is(err, errGone) && !damaged(err):
				return err
			}
			mended = mended || err != nil || repository.Damaged(repository.ScrubBytes(object, there))
		}
		kept, err := r.replace(ctx, object, data)
		if err != nil {
			return err
		}
		if kept {
			mended, changed = false, false
			break
		}
		changed = true
		r.tell(Step{Objects: 1, Bytes: int64(len(data)), Object: object})
	}
	r.count(func(res *Result) {
		r.notes.seen[keyOf(name)] = p.mod
		switch {
		case !known:
			res.Copied += 2
			res.CopiedBytes += 2 * int64(len(data))
			if classOf(name) == classSnapshot {
				res.Snapshots++
			}
		case mended:
			res.Mended++
		case changed:
			res.Refreshed++
		}
	})
	return nil
}

// fetchPair returns the bytes of a small object of the primary, from its second copy if
// need be. It returns nothing when there is nothing to be had.
func (r *run) fetchPair(ctx context.Context, name string, p pair) ([]byte, error) {
	var bad error
	for _, object := range []string{name, copyPrefix + name} {
		data, err := fetch(ctx, r.From, object, max(p.size, p.copySize))
		switch {
		case err == nil:
			return data, nil
		case errors.Is(err, errGone):
			continue
		case !damaged(err):
			return nil, err
		}
		bad = err
		r.bad(object, err)
	}
	if bad == nil && classOf(name) == classIndex {
		r.gone() // a pin or a snapshot may go at any time
	}
	return nil, nil
}

// withoutPair goes on without a small object that is not to be had. A part of the index
// that the replica has no good one of either may be needed by any snapshot that is not
// shown yet.
func (r *run) withoutPair(ctx context.Context, name string, p pair, known bool) error {
	if classOf(name) != classIndex {
		return nil
	}
	for _, object := range []string{name, copyPrefix + name} {
		if !known {
			break
		}
		_, err := fetch(ctx, r.To, object, p.size)
		if err == nil || !damaged(err) && !errors.Is(err, errGone) {
			return err
		}
	}
	r.block()
	return nil
}
