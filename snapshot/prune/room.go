package prune

import (
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// A full storage has no room for what copying writes before anything is deleted.
// So the run first removes what needs no copying; then it copies pack by pack, the
// smallest first, as long as each round makes room for the next. What is left is
// told, with the room that it takes.

// noRoomToCopy notes that packs could not be copied, which are left to a later
// round or run.
func (p *pruner) noRoomToCopy(err error, sources []repository.PackUse, decided []decision) {
	p.short = err
	least := sources[0]
	left := map[repository.PackID]bool{}
	for _, use := range sources {
		left[use.ID] = true
		p.report.RepackedBytes -= use.Size
		if use.Live < least.Live {
			least = use
		}
	}
	for i, d := range decided {
		if left[d.use.ID] {
			decided[i].action, decided[i].reason = Later, "no room to rewrite it: "+d.reason
		}
	}
	p.planned(decided)
	p.report.NoRoom = append(p.report.NoRoom, NoRoom{
		What:  fmt.Sprintf("rewrite what is needed of %s, %s first", terminal.Plural(len(sources), "pack"), least.ID.Object()),
		Bytes: p.repo.RoomFor(least.Live),
	})
}

// noRoomToRescue notes that what new snapshots need could not be copied from packs
// that are to go.
func (p *pruner) noRoomToRescue(err error, survey *repository.Survey) {
	p.short = err
	size := int64(0)
	for _, id := range survey.RescuePacks() {
		size += survey.Size(id)
	}
	p.report.NoRoom = append(p.report.NoRoom, NoRoom{
		What:  fmt.Sprintf("copy what is needed of %s that are to go", terminal.Plural(len(survey.RescuePacks()), "pack")),
		Bytes: p.repo.RoomFor(size),
	})
}

// goOn tells whether a round that found no room is worth another: the first is, and
// each that removed something.
func (p *pruner) goOn(removed int64) bool {
	if p.short == nil || p.tight && p.report.RemovedBytes == removed {
		return false
	}
	p.tight, p.short, p.report.NoRoom = true, nil, nil
	return true
}

// ifRoom lets go of work that is only tidying, when there is no room for it.
func (p *pruner) ifRoom(what string, err error) error {
	if !errors.Is(err, storage.ErrFull) {
		return err
	}
	p.short = err
	room := NoRoom{What: what}
	if short := (*repository.RoomError)(nil); errors.As(err, &short) {
		room.Bytes = short.Size
	}
	p.report.NoRoom = append(p.report.NoRoom, room)
	return nil
}

// full is what a run ends with that has done what it could in a full storage.
func (p *pruner) full() error {
	first := p.report.NoRoom[0]
	return fault.New("prune", p.repo.Backend().Location(), fmt.Errorf("%w: no room to %s", storage.ErrFull, first.What),
		fmt.Sprintf("free %s or more there, or forget more snapshots, and prune again", terminal.Bytes(first.Bytes)))
}
