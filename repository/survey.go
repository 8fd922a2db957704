package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/pack"
)

// PackUse is a pack, and how much of it is needed.
type PackUse struct {
	ID      PackID
	Size    int64 // as listed
	Indexed bool
	// What the index says of it.
	Kind       Kind
	KeyVersion uint32
	Archival   bool
	Blobs      int
	// Stored is when it was put into the index, in Unix seconds; 0 when that is not known.
	Stored int64
	// Condemned packs are to go already.
	Condemned bool
	// Verified is when every byte of it was last known to be right, in Unix
	// seconds; 0 is never.
	Verified int64
	// Suspect packs were found not to be whole.
	Suspect bool
	// Met is when trees first met a blob that is kept here: packs in this order
	// hold what lies together in trees.
	Met uint32
	// Live counts the stored bytes that are needed and kept here: of a blob that
	// is in several packs, one is where it is kept.
	Live      int64
	LiveBlobs int
}

// Survey is what is stored and what of it is needed, as it was when the survey
// was made. Its memory is little more than four bytes for each blob of the
// index. It is used by one goroutine.
type Survey struct {
	// Snapshots that were there. Damaged ones are in Unread.
	Snapshots []Snapshot
	Unread    []error
	// Condemned packs, as listed before anything else was read.
	Condemned *condemn.Lists

	r         *Repository
	fragments []*fragment
	base      []int      // the number of each fragment's first entry
	packs     []PackUse  // that are there, by id
	packOf    [][]uint32 // of each fragment's packs, their place in packs; noPack
	met       []uint32   // of each entry: when its blob was first needed; 0 for never
	last      uint32
	tiers     [2]bitmap // needed by snapshots that are archival, or not
	kept      bitmap    // entries that are where a blob is kept
	rescues   []place   // needed blobs that are in condemned packs only
	unproven  map[pair]struct{}
}

// pair is a pack that was never verified and keeps a blob, and another one that
// has the blob too.
type pair struct{ kept, other int }

const noPack = ^uint32(0)

// place is an entry of a fragment.
type place struct{ fragment, entry int }

type bitmap []uint64

func newBitmap(n int) bitmap     { return make(bitmap, (n+63)/64) }
func (b bitmap) has(i int) bool  { return b[i/64]>>(i%64)&1 == 1 }
func (b bitmap) set(i int)       { b[i/64] |= 1 << (i % 64) }
func (s *Survey) at(p place) int { return s.base[p.fragment] + p.entry }

// Survey looks at what is stored. What it reads, and in which order, is part of
// garbage collection's proof: condemned lists, snapshots, packs, index.
func (r *Repository) Survey(ctx context.Context) (*Survey, error) {
	s := &Survey{r: r}
	verified, err := r.Ledger(ctx, clock.System().Now())
	if err != nil {
		return nil, err
	}
	if s.Condemned, err = condemn.Read(ctx, r.be, r.keys); err != nil {
		return nil, err
	}
	if err := s.readSnapshots(ctx); err != nil {
		return nil, err
	}
	err = r.eachPackObject(ctx, func(id PackID, size int64) error {
		s.packs = append(s.packs, PackUse{ID: id, Size: size, Condemned: s.Condemned.Has(id), Verified: verified.Mark(id).Verified()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(s.packs, func(a, b PackUse) int { return a.ID.Compare(b.ID) })
	if err := r.refreshAll(ctx, "survey"); err != nil {
		return nil, err
	}
	if err := r.index.lacks(); err != nil {
		return nil, fault.New("survey", r.be.Location(), err, "")
	}
	if n := r.index.damaged(); n > 0 {
		return nil, fault.New("survey", r.be.Location(), fmt.Errorf("%w: %d index fragments cannot be read, so it is not known what is in some packs", ErrDamaged, n),
			"run `mahavishnu verify --repair`; a backup takes over what no index names")
	}
	s.readIndex()
	return s, nil
}

func (s *Survey) readSnapshots(ctx context.Context) error {
	snaps, bad, err := s.r.Snapshots(ctx, "")
	if err != nil {
		return err
	}
	s.Snapshots = snaps
	for _, err := range bad {
		if !errors.Is(err, ErrServed) { // that one was read from its second copy
			s.Unread = append(s.Unread, err)
		}
	}
	return nil
}

func (s *Survey) readIndex() {
	n := 0
	for _, f := range s.r.index.fragments() {
		if f.name == "" {
			continue // made from packs in this process: nothing to rely on
		}
		s.fragments = append(s.fragments, f)
		s.base = append(s.base, n)
		n += f.Len()
		of := make([]uint32, f.Packs())
		for i := range of {
			p, _ := f.Pack(uint32(i))
			of[i] = noPack
			at, ok := s.find(p.ID)
			if !ok || s.packs[at].Size != int64(p.Size) {
				continue
			}
			of[i] = uint32(at)
			use := &s.packs[at]
			use.Indexed, use.Kind, use.KeyVersion, use.Blobs = true, p.Kind, p.KeyVersion, int(p.Blobs)
			use.Archival, use.Stored = p.Flags&pack.FlagArchival != 0, p.Stored
		}
		s.packOf = append(s.packOf, of)
	}
	s.met = make([]uint32, n)
	s.tiers = [2]bitmap{newBitmap(n), newBitmap(n)}
}

func (s *Survey) find(id PackID) (int, bool) {
	return slices.BinarySearchFunc(s.packs, id, func(p PackUse, id PackID) int { return p.ID.Compare(id) })
}

// places calls fn for every place of a blob whose pack is there, until it
// returns false. The first entry of the blob stands for it, and is returned.
func (s *Survey) places(id ID, fn func(p place, e index.Entry, pack int) bool) (first place, known bool) {
	for i, f := range s.fragments {
		n, ok := f.Find(id)
		if !ok {
			continue
		}
		p := place{i, n}
		if !known {
			first, known = p, true
		}
		e := f.Entry(n)
		if int(e.Pack) < len(s.packOf[i]) {
			if at := s.packOf[i][e.Pack]; at != noPack && !fn(p, e, int(at)) {
				break
			}
		}
	}
	return first, known
}

// Need says that a snapshot needs a blob, an archival one or another, and
// reports whether that is news. ErrBlobMissing means that no pack that is there
// is known to hold it.
func (s *Survey) Need(id ID, archival bool) (news bool, err error) {
	there := false
	first, known := s.places(id, func(place, index.Entry, int) bool { there = true; return false })
	if !known || !there {
		return true, missing(id)
	}
	return s.need(first, archival), nil
}

func (s *Survey) need(first place, archival bool) bool {
	n := s.at(first)
	if s.met[n] == 0 {
		s.last++
		s.met[n] = s.last
	}
	tier := s.tiers[0]
	if archival {
		tier = s.tiers[1]
	}
	if tier.has(n) {
		return false
	}
	tier.set(n)
	return true
}

// Inherit needs everything that an earlier survey found needed, so that only
// snapshots that came since must be walked. It comes before anything else is needed.
func (s *Survey) Inherit(ctx context.Context, old *Survey) error {
	both := append(slices.Clone(old.fragments), s.fragments...)
	s.last = old.last
	var lost error
	err := merge(ctx, both, func(places []place) {
		if lost != nil || places[0].fragment >= len(old.fragments) {
			return
		}
		was := old.at(places[0])
		if old.met[was] == 0 {
			return
		}
		there := false
		now := -1
		for _, p := range places {
			if p.fragment < len(old.fragments) {
				continue
			}
			p.fragment -= len(old.fragments)
			if now < 0 {
				now = s.at(p)
			}
			pack := s.fragments[p.fragment].Entry(p.entry).Pack
			there = there || int(pack) < len(s.packOf[p.fragment]) && s.packOf[p.fragment][pack] != noPack
		}
		if !there {
			lost = missing(both[places[0].fragment].Entry(places[0].entry).ID)
			return
		}
		s.met[now] = old.met[was]
		for tier := range s.tiers {
			if old.tiers[tier].has(was) {
				s.tiers[tier].set(now)
			}
		}
	})
	return cmpError(err, lost)
}

func missing(id ID) error {
	return &BlobError{ID: id, Err: fmt.Errorf("%w: no index and no pack that is there knows it", ErrBlobMissing)}
}

// Rescues is how many blobs are needed and kept nowhere, since all packs that
// hold them are condemned.
func (s *Survey) Rescues() int { return len(s.rescues) }

// Size returns the size of a pack, 0 when it is not there.
func (s *Survey) Size(id PackID) int64 {
	if at, there := s.find(id); there {
		return s.packs[at].Size
	}
	return 0
}

// KeyVersion is the version of the key that seals what is new.
func (r *Repository) KeyVersion() uint32 { return r.keys.Current() }

// Sessions tells who is at work, as far as can be told, and changes nothing.
func (r *Repository) Sessions(ctx context.Context, keeper lease.Keeper, c clock.Clock) (*lease.Census, error) {
	return lease.NewStore(r.be, r.keys).Watch(keeper, c).Look(ctx, lease.ID{})
}

// RescuePacks returns the condemned packs that hold a blob which is needed and kept
// nowhere.
func (s *Survey) RescuePacks() []PackID {
	held := map[PackID]bool{}
	for _, p := range s.rescues {
		s.places(s.fragments[p.fragment].Entry(p.entry).ID, func(_ place, _ index.Entry, at int) bool {
			if s.packs[at].Condemned {
				held[s.packs[at].ID] = true
			}
			return true
		})
	}
	return slices.SortedFunc(maps.Keys(held), PackID.Compare)
}
