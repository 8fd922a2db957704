package repository

import (
	"context"

	"mahavishnu/repository/index"
)

// Uses decides where each needed blob is kept and returns the packs that are
// there, by id. It is called when everything that is needed has been marked.
func (s *Survey) Uses(ctx context.Context) ([]PackUse, error) {
	s.kept = newBitmap(len(s.met))
	s.rescues = nil
	s.unproven = map[pair]struct{}{}
	for i := range s.packs {
		s.packs[i].Live, s.packs[i].LiveBlobs, s.packs[i].Met = 0, 0, 0
	}
	var found []candidate
	err := merge(ctx, s.fragments, func(places []place) {
		at := s.at(places[0])
		if s.met[at] == 0 {
			return
		}
		found = s.candidates(places, found[:0])
		for tier, needed := range s.tiers {
			if needed.has(at) && len(found) > 0 {
				s.keepOne(found, tier == 1, s.met[at])
			}
		}
	})
	return s.packs, err
}

// candidate is a place where a blob could be kept.
type candidate struct {
	place place
	entry index.Entry
	pack  int
	// safe packs are not condemned, trusted copies not known to be bad.
	safe, trusted bool
}

// candidates returns the places of a blob in packs that are there, in space that
// is lent.
func (s *Survey) candidates(places []place, found []candidate) []candidate {
	for _, p := range places {
		e := s.fragments[p.fragment].Entry(p.entry)
		if int(e.Pack) >= len(s.packOf[p.fragment]) {
			continue
		}
		at := s.packOf[p.fragment][e.Pack]
		if at == noPack {
			continue
		}
		use := &s.packs[at]
		found = append(found, candidate{
			place: p, entry: e, pack: int(at), safe: !use.Condemned, trusted: !use.Suspect && !s.r.Doubted(use.ID, e.ID),
		})
	}
	return found
}

// keepOne chooses where a blob is kept for one tier that needs it: in a pack of
// that tier, if there is one. While no copy that stays is trusted, none of them
// is dropped, and one that is trusted and condemned is rescued. So is one that is
// condemned while none of that tier stays: other packs may be gone sooner, or be colder.
func (s *Survey) keepOne(found []candidate, archival bool, met uint32) {
	best, going := -1, -1
	for i, c := range found {
		to := &best
		if !c.safe {
			to = &going
		}
		if *to < 0 || s.better(c, found[*to], archival) {
			*to = i
		}
	}
	ofTier := func(i int) bool { return s.packs[found[i].pack].Archival == archival }
	if best < 0 || going >= 0 && found[going].trusted && (!found[best].trusted || ofTier(going) && !ofTier(best)) {
		s.rescues = append(s.rescues, found[going].place)
	}
	for i, c := range found {
		switch {
		case best < 0 || !c.safe:
		case i == best || !found[best].trusted:
			s.keepAt(c, met)
		}
		if best >= 0 && i != best && s.packs[found[best].pack].Verified == 0 {
			s.unproven[pair{found[best].pack, c.pack}] = struct{}{}
		}
	}
}

func (s *Survey) keepAt(c candidate, met uint32) {
	n, use := s.at(c.place), &s.packs[c.pack]
	if s.kept.has(n) {
		return
	}
	s.kept.set(n)
	use.Live += int64(c.entry.Stored)
	use.LiveBlobs++
	if use.Met == 0 || met < use.Met {
		use.Met = met
	}
}

// better orders copies of a blob: trusted ones come before doubted ones, those of
// the tier before others, those sealed with the current key before old ones, and
// then what was verified last. Among equals comes the pack that comes first, so
// that what is kept gathers in few.
func (s *Survey) better(a, b candidate, archival bool) bool {
	x, y := s.packs[a.pack], s.packs[b.pack]
	current := s.r.keys.Current()
	switch {
	case a.trusted != b.trusted:
		return a.trusted
	case (x.Archival == archival) != (y.Archival == archival):
		return x.Archival == archival
	case (x.KeyVersion == current) != (y.KeyVersion == current):
		return x.KeyVersion == current
	case x.Verified != y.Verified:
		return x.Verified > y.Verified
	}
	return a.pack < b.pack
}

// Unproven returns the packs that were never verified and keep a blob of which
// another copy is in a pack that is going: before that copy is dropped they
// must be proven.
func (s *Survey) Unproven(going func(PackID) bool) []PackID {
	is := make([]bool, len(s.packs))
	for i, p := range s.packs {
		is[i] = going(p.ID)
	}
	wanted := make([]bool, len(s.packs))
	for p := range s.unproven {
		if is[p.other] && !is[p.kept] && s.packs[p.kept].Verified == 0 && !s.packs[p.kept].Suspect {
			wanted[p.kept] = true
		}
	}
	var ids []PackID
	for i, p := range s.packs {
		if wanted[i] {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// Suspect trusts nothing in a pack any more. Uses then decides anew.
func (s *Survey) Suspect(id PackID) {
	if at, there := s.find(id); there {
		s.packs[at].Suspect = true
	}
}
