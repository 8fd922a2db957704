package replication

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mahavishnu/repository"
	"mahavishnu/storage"
)

// deletions is how many objects are deleted between two looks whether the replica was
// promoted meanwhile.
const deletions = 64

// victim is an object of the replica that is gone from the primary.
type victim struct {
	key  key
	name string
	size int64
	pair bool
	gone
}

// letGo notes what is gone from the primary, and deletes what has been for long
// enough: snapshots, then the index, parity and packs.
func (r *run) letGo(ctx context.Context) error {
	missed := r.missed()
	forgotten, err := r.forgotten(ctx, missed)
	if err != nil {
		return err
	}
	r.mark(missed, forgotten)
	due := r.due(missed)
	if r.DeleteAfter < 0 || !r.repo.KnowsAll() {
		due = nil
	}
	if r.result.Kept, err = r.frozen(ctx, due); err != nil || r.result.Kept != "" {
		due = nil
	}
	if err == nil && len(due) > 0 {
		err = r.deleteAll(ctx, due, missed)
	}
	r.result.Pending = 0
	for _, g := range r.notes.gone {
		if !g.lost {
			r.result.Pending++
		}
	}
	return err
}

// missed returns what the replica has and the primary has not, in the order of
// deleting. The replica was listed first: what is missed now was in the primary once.
func (r *run) missed() []victim {
	var all []victim
	for _, side := range []struct{ src, dst pairs }{
		{r.src.keeps, r.dst.keeps}, {r.src.snapshots, r.dst.snapshots}, {r.src.index, r.dst.index},
	} {
		for name, p := range side.dst {
			if _, there := side.src[name]; !there {
				all = append(all, victim{key: keyOf(name), name: name, size: max(p.size, 0) + max(p.copySize, 0), pair: true})
			}
		}
	}
	missing(r.dst.parity, r.src.parity, func(it item, there int64) {
		of, single := it.key.packOf()
		if there < 0 && (!single || !has(r.src.packs, of)) {
			all = append(all, victim{key: it.key, name: it.key.render(), size: it.size})
		}
	})
	missing(r.dst.packs, r.src.packs, func(it item, there int64) {
		if there < 0 {
			all = append(all, victim{key: it.key, name: it.key.render(), size: it.size})
		}
	})
	slices.SortStableFunc(all, func(a, b victim) int { return rank(a.name) - rank(b.name) })
	return all
}

const (
	rankKeep = iota
	rankSnapshot
	rankIndex
	rankParity
	rankPack
)

// rank orders deletions: what refers to other things goes before them.
func rank(name string) int {
	switch classOf(name) {
	case classSnapshot:
		return rankSnapshot
	case classIndex:
		return rankIndex
	case classParity:
		return rankParity
	case classPack:
		return rankPack
	}
	return rankKeep
}

// mark brings the notes up to date: since when each object is missed, and which ones
// nobody can have deleted.
func (r *run) mark(missed []victim, forgotten map[string]bool) {
	before := r.notes.gone
	r.notes.gone = make(map[key]gone, len(missed))
	now := r.start.UTC().Truncate(time.Second)
	indexMoved := slices.ContainsFunc(missed, func(v victim) bool {
		_, known := before[v.key]
		return !known && rank(v.name) == rankIndex
	})
	for i, v := range missed {
		g, known := before[v.key]
		if !known {
			g = gone{since: now, lost: r.lost(v, indexMoved) || rank(v.name) == rankSnapshot}
		}
		g.lost = g.lost && !r.Force && !forgotten[v.name]
		r.notes.gone[v.key], missed[i].gone = g, g
		if !g.lost {
			continue
		}
		r.result.LostTotal++
		if len(r.result.Lost) < maxNamed {
			r.result.Lost = append(r.result.Lost, v.name)
		}
	}
}

// forgotten returns which of the missed snapshots somebody forgot in the primary. Whoever
// does leaves a note before the snapshot goes, so what is missing without one was
// lost. A note that comes later, when the loss was accepted, counts as well.
func (r *run) forgotten(ctx context.Context, missed []victim) (map[string]bool, error) {
	open := map[string]bool{}
	for _, v := range missed {
		if g, known := r.notes.gone[v.key]; rank(v.name) == rankSnapshot && (!known || g.lost) {
			open[v.name] = true
		}
	}
	found := map[string]bool{}
	if len(open) == 0 {
		return found, nil
	}
	return found, repository.EachGone(ctx, r.From, func(name, _ string) {
		if open[name] {
			found[name] = true
		}
	})
}

// lost tells whether a pack, or the parity of one, went without anybody deleting it. Only
// collectors delete packs, each in a turn of its own; before the pack its parity, and
// before that the parts of the index that name it.
func (r *run) lost(v victim, indexMoved bool) bool {
	switch v.key.kind() {
	case keyPack:
		parity := v.key
		parity[0] = keyParity
		if has(r.src.parity, parity) {
			return true
		}
	case keyParity:
	default:
		return false
	}
	return r.notes.turnSeen && r.notes.turn == r.src.turn && !indexMoved
}

// due returns what is to be deleted now: what an earlier run noted, long enough ago.
func (r *run) due(missed []victim) []victim {
	var due []victim
	for _, v := range missed {
		if !v.lost && v.since.Before(r.start.Truncate(time.Second)) && r.start.Sub(v.since) >= r.DeleteAfter {
			due = append(due, v)
		}
	}
	return due
}

// frozen says why nothing may be deleted, "" if it may. Holds of the primary count, and
// those that the replica still has.
func (r *run) frozen(ctx context.Context, due []victim) (string, error) {
	going := map[string]bool{}
	for _, v := range due {
		going[v.name] = true
	}
	for _, keeps := range []pairs{r.src.keeps, r.dst.keeps} {
		for name := range keeps {
			if strings.HasPrefix(name, holdPrefix) && !going[name] {
				return "held: " + strings.TrimPrefix(name, holdPrefix), nil
			}
		}
	}
	if r.Frozen == nil {
		return "", nil
	}
	why, err := r.Frozen(ctx)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "whether an alarm holds is not known: " + err.Error(), nil //nolint:nilerr // it counts as one, and is told
	}
	return why, nil
}

// deleteAll deletes in order, under a sign by which a promotion knows of it.
func (r *run) deleteAll(ctx context.Context, due, missed []victim) (err error) {
	sign, err := beginDeleting(ctx, r.To, r.By, r.start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sign.end(ctx)) }()
	deleted := map[key]bool{}
	for i, v := range due {
		if i%deletions == 0 {
			if err := stillReplica(ctx, r.To); err != nil {
				return err
			}
		}
		if needed(v, missed, deleted) {
			continue
		}
		ok, err := r.delete(ctx, v)
		if err != nil {
			return err
		}
		if ok {
			deleted[v.key] = true
			delete(r.notes.gone, v.key)
			delete(r.notes.seen, v.key)
		}
	}
	return nil
}

// needed tells whether something is still there that refers to v, as far as is known
// without a key: what left with v or before it, and has to go before it.
func needed(v victim, missed []victim, deleted map[key]bool) bool {
	for _, u := range missed {
		if rank(u.name) > rankIndex || rank(u.name) >= rank(v.name) {
			return false
		}
		if rank(u.name) >= rankSnapshot && !deleted[u.key] && !u.since.After(v.since) {
			return true
		}
	}
	return false
}

// delete deletes one object, of a pair both, unless the primary has it again.
func (r *run) delete(ctx context.Context, v victim) (bool, error) {
	names := []string{v.name}
	if v.pair {
		names = []string{copyPrefix + v.name, v.name}
	}
	for _, name := range names {
		_, err := r.From.Stat(ctx, name)
		if err == nil {
			return false, nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return false, err
		}
	}
	if rank(v.name) == rankSnapshot { // for replicas of this one
		if err := repository.NoteGone(ctx, r.To, v.name, r.start); err != nil {
			return false, err
		}
	}
	for _, name := range names {
		err := r.To.Delete(ctx, name)
		if errors.Is(err, storage.ErrRetained) {
			r.result.Retained++
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	r.result.Deleted++
	r.result.DeletedBytes += v.size
	r.tell(Step{Object: v.name})
	return true, nil
}

// unmark takes back marks and notes of forgotten snapshots that the primary has: the
// replica was a primary once. Marks would hide those snapshots, and notes would make
// their loss look meant when it is the primary again.
func (r *run) unmark(ctx context.Context) error {
	var marks []string
	err := repository.EachGone(ctx, r.To, func(name, note string) {
		if _, there := r.src.snapshots[name]; there {
			marks = append(marks, note)
		}
	})
	for _, name := range marks {
		err = errors.Join(err, r.To.Delete(ctx, name))
	}
	return err
}

// forgetSeen drops notes about objects that are in neither storage.
func (r *run) forgetSeen() {
	there := make(map[key]bool, len(r.notes.seen))
	for _, all := range []pairs{r.src.snapshots, r.src.keeps, r.src.index} {
		for name := range all {
			there[keyOf(name)] = true
		}
	}
	for k := range r.notes.seen {
		if !there[k] {
			delete(r.notes.seen, k)
		}
	}
}
