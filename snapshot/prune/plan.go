package prune

import (
	"cmp"
	"fmt"
	"slices"

	"mahavishnu/repository"
	"mahavishnu/repository/pack"
)

const (
	// smallPack is the size in bytes below which a pack is small; sessions that
	// store little leave such.
	smallPack = 4 << 20
	// smallEnough is how many small packs of a kind there must be to be merged.
	smallEnough = 8
	// examples is how many packs a line of the plan names.
	examples = 5
	// reasonAtWork is why packs are left that no survey can judge yet.
	reasonAtWork = "of a session that is at work"
	// reasonRetained is why packs are left that nothing needs.
	reasonRetained = "no snapshot needs it, but its retention has not ended"
)

// decision is what is done with a pack, and why.
type decision struct {
	use    repository.PackUse
	action Action
	reason string
}

// planInput is all that a plan depends on.
type planInput struct {
	packs []repository.PackUse
	// atWork are the tags of sessions that may still be storing.
	atWork map[[4]byte]bool
	// current version of the key.
	current uint32
	reseal  bool
	// maxUnused in percent, maxRepack in bytes; 0 sets no limit.
	maxUnused float64
	maxRepack int64
	// retained tells of a time, in Unix seconds, whether what was put into the index
	// then cannot be deleted yet. nil is no.
	retained func(stored int64) bool
	// cold tells of packs that copying from would mean thawing. nil is none.
	cold func(repository.PackID) bool
	// tight leaves small packs as they are: merging them makes no room.
	tight bool
}

// unused is how much of a pack is blobs that nobody needs, in stored bytes: at least
// one, if there are any, although a pack without them may be padded to the same size.
func unused(p repository.PackUse) int64 {
	least := int64(min(1, max(0, p.Blobs-p.LiveBlobs)))
	lean := pack.MinSize + int64(p.Blobs)*pack.EntrySize + p.Live
	return max(least, p.Size-int64(pack.Padded(int(lean), p.Blobs)))
}

// plan decides about every pack. It is a function of its input alone, and each
// decision names its reason.
func plan(in planInput) []decision {
	all := make([]decision, len(in.packs))
	small := map[group][]int{}
	var partly []int // with something unused
	kept, waste := int64(0), int64(0)
	for i, p := range in.packs {
		all[i] = first(p, in)
		if all[i].action != Keep || all[i].reason != "" {
			continue
		}
		all[i].reason = "all of it is needed"
		kept += p.Size
		if in.holds(p) || in.cold != nil && in.cold(p.ID) {
			continue // copying would only add to it, or mean thawing
		}
		if n := unused(p); n > 0 {
			all[i].reason = "little of it is not needed"
			partly = append(partly, i)
			waste += n
		}
		if p.Size < smallPack {
			small[groupOf(p)] = append(small[groupOf(p)], i)
		}
	}
	// The most wasteful first, until little enough is left.
	slices.SortFunc(partly, func(a, b int) int {
		x, y := in.packs[a], in.packs[b]
		return cmp.Or(cmp.Compare(float64(unused(y))/float64(y.Size), float64(unused(x))/float64(x.Size)), x.ID.Compare(y.ID))
	})
	for _, i := range partly {
		if float64(waste) <= float64(kept-waste)*in.maxUnused/100 {
			break
		}
		waste -= unused(in.packs[i])
		kept -= unused(in.packs[i])
		all[i].action, all[i].reason = Repack, "part of it is not needed"
	}
	for of, members := range small {
		n := len(members)
		if leavesOneMore(all, of, members) {
			n++ // or the next run would merge what this one leaves
		}
		if n < smallEnough || in.tight {
			continue
		}
		for _, i := range members {
			if all[i].action == Keep {
				all[i].action, all[i].reason = Repack, "small, merged with others"
			}
		}
	}
	limit(all, in.maxRepack)
	return all
}

// group is packs whose blobs may share a pack.
type group struct {
	kind     repository.Kind
	archival bool
}

func groupOf(p repository.PackUse) group { return group{p.Kind, p.Archival} }

// leavesOneMore tells whether something of a group is copied that is not of its
// small packs: what is written of it ends in a pack that is small as a rule.
func leavesOneMore(all []decision, of group, members []int) bool {
	for i, d := range all {
		if d.action == Repack && groupOf(d.use) == of && !slices.Contains(members, i) {
			return true
		}
	}
	return false
}

// holds tells whether the storage would not delete a pack now.
func (in planInput) holds(p repository.PackUse) bool {
	return in.retained != nil && in.retained(p.Stored)
}

// first decides what does not depend on other packs. An empty reason leaves the
// rest open.
func first(p repository.PackUse, in planInput) decision {
	d := decision{use: p, action: Keep}
	switch {
	case p.Condemned:
		d.action, d.reason = Remove, "condemned by an earlier run"
	case in.atWork[p.ID.Tag()]:
		d.reason = reasonAtWork
	case !p.Indexed:
		d.action, d.reason = Remove, "no index names it: left by a session that died"
	case p.LiveBlobs == 0 && in.holds(p):
		d.reason = reasonRetained
	case p.LiveBlobs == 0:
		d.action, d.reason = Remove, "no snapshot needs it"
	case in.reseal && p.KeyVersion != in.current:
		d.action, d.reason = Repack, fmt.Sprintf("sealed with version %d of the key", p.KeyVersion)
	}
	return d
}

// limit leaves to later runs what is more to copy than allowed.
func limit(all []decision, most int64) {
	if most <= 0 {
		return
	}
	total := int64(0)
	for i := range all {
		if all[i].action != Repack {
			continue
		}
		if total += all[i].use.Live; total > most && total > all[i].use.Live {
			all[i].action = Later
			total -= all[i].use.Live
		}
	}
}

// lines sums up decisions, those with the same action and reason in one line.
func lines(all []decision) []Line {
	at := map[[2]string]int{}
	var out []Line
	for _, d := range all {
		key := [2]string{string(d.action), d.reason}
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, Line{Action: d.action, Reason: d.reason})
		}
		out[i].Packs++
		out[i].Bytes += d.use.Size
		out[i].Live += d.use.Live
		if len(out[i].Examples) < examples {
			out[i].Examples = append(out[i].Examples, d.use.ID.Object())
		}
	}
	return order(out)
}

func order(lines []Line) []Line {
	at := map[Action]int{Remove: 0, Repack: 1, Later: 2, Keep: 3}
	slices.SortStableFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(at[a.Action], at[b.Action]), cmp.Compare(a.Reason, b.Reason))
	})
	return lines
}
