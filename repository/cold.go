package repository

import (
	"context"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/storage"
)

// Cold tells whether packs of data go to a cold class of the storage, from which
// they may have to be thawed before they can be read. Trees, snapshots, the index and
// parity stay where they can be read at once: whoever looks, backs up or forgets
// needs nothing else.
func (r *Repository) Cold() bool { return r.cold }

// InCold tells whether a pack may have to be thawed before it can be read.
func (r *Repository) InCold(id PackID) bool {
	p, known := r.index.pack(id)
	return r.cold && known && p.Kind == KindData
}

// SizeOf adds up packs, as the index knows them.
func (r *Repository) SizeOf(packs []PackID) int64 {
	n := int64(0)
	for _, id := range packs {
		p, _ := r.index.pack(id)
		n += int64(p.Size)
	}
	return n
}

// thawBatch is how many packs one call of the storage is about.
const thawBatch = 1000

// Thaw asks the storage to make packs readable, those that are archived and not
// asked for yet, and tells how far all of them are. It may be repeated, which is how
// a caller waits. Where nothing is ever archived everything is ready.
func (r *Repository) Thaw(ctx context.Context, packs []PackID, o storage.ThawOptions) (storage.ThawState, error) {
	thawer, ok := r.room.Backend.(storage.Thawer)
	if r.retention != nil {
		thawer, ok = r.retention.Backend.(storage.Thawer)
	}
	if !ok {
		return storage.ThawState{Ready: len(packs)}, nil
	}
	var all storage.ThawState
	for batch := range slices.Chunk(packs, thawBatch) {
		names := make([]string, len(batch))
		for i, id := range batch {
			names[i] = id.Object()
		}
		state, err := thawer.Thaw(ctx, names, o)
		if err != nil {
			return all, fault.New("thaw", r.be.Location(), err, "the credentials need the right to restore archived objects")
		}
		all.Ready += state.Ready
		all.Waiting += state.Waiting
		all.Asked += state.Asked
		all.Expected = max(all.Expected, state.Expected)
	}
	return all, nil
}
