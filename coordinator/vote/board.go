package vote

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Board is where one voter hears the others. See the package comment.
type Board struct {
	o       Options
	regions []*region // by name
	seats   map[string]*seat
	targets map[string]*standing

	had   bool // whether there was a majority when last looked
	since time.Time
}

// region is one region's voters.
type region struct {
	name  string
	seats []*seat // by name
}

// seat is what is known of one voter.
type seat struct {
	Voter
	self     bool
	heard    time.Time
	hearsUs  bool
	opinions map[string]Opinion
}

// standing is what must be remembered of a target between two looks.
type standing struct {
	state State
	since time.Time
	// told is the state that Judge told last.
	told State
	// against is from when on a majority has said down, and clear from when on one
	// has said otherwise, both without a break; zero while none does.
	against, clear time.Time
}

// New returns a board on which nobody has said anything. The voters must be as
// Check wants them.
func New(o Options) (*Board, error) {
	if err := Check(o.Voters); err != nil {
		return nil, err
	}
	b := &Board{o: o.defaults(), seats: map[string]*seat{}, targets: map[string]*standing{}}
	byRegion := map[string]*region{}
	for _, v := range o.Voters {
		r, ok := byRegion[v.Region]
		if !ok {
			r = &region{name: v.Region}
			byRegion[v.Region] = r
		}
		s := &seat{Voter: v, self: v.Name == o.Self}
		r.seats = append(r.seats, s)
		b.seats[v.Name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(byRegion)) {
		r := byRegion[name]
		slices.SortFunc(r.seats, func(a, b *seat) int { return strings.Compare(a.Name, b.Name) })
		b.regions = append(b.regions, r)
	}
	return b, nil
}

// Hear notes a report, in place of what its voter said before. Who has no voice is
// not heard; the result tells.
func (b *Board) Hear(r Report) bool {
	s, ok := b.seats[r.Voter]
	if !ok {
		return false
	}
	if r.At.Before(s.heard) {
		return true // overtaken by a later one
	}
	s.heard, s.hearsUs = r.At, s.self || slices.Contains(r.Hears, b.o.Self)
	s.opinions = make(map[string]Opinion, len(r.Opinions))
	for _, o := range r.Opinions {
		if o.State == Up {
			continue
		}
		o.Voter, o.Region, o.At = s.Name, s.Region, r.At
		s.opinions[o.Target] = o
		if _, ok := b.targets[o.Target]; !ok {
			b.targets[o.Target] = &standing{state: Up, told: Up, since: r.At}
		}
	}
	return true
}

// Hears are the voters whose reports count now, for this voter's own report.
func (b *Board) Hears(now time.Time) []string {
	var names []string
	for _, r := range b.regions {
		for _, s := range r.seats {
			if s.self || b.fresh(s, now) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

func (b *Board) fresh(s *seat, now time.Time) bool {
	return !s.heard.IsZero() && now.Sub(s.heard) <= b.o.Window
}

// counts reports whether a voter's word counts: it is heard, and hears us.
func (b *Board) counts(s *seat, now time.Time) bool { return b.fresh(s, now) && s.hearsUs }

// needed is how many regions are a majority.
func (b *Board) needed() int { return len(b.regions)/2 + 1 }

// most reports whether n of the region's voters are more than half.
func (r *region) most(n int) bool { return 2*n > len(r.seats) }

// word is what a region says of a target: what more than half of its voters agree
// on.
func (b *Board) word(r *region, target string, now time.Time) Word {
	w := Word{Region: r.name, Voters: len(r.seats)}
	down, otherwise := 0, 0
	for _, s := range r.seats {
		if !b.counts(s, now) {
			continue
		}
		o, named := s.opinions[target]
		if !named {
			o = Opinion{Voter: s.Name, Region: s.Region, Target: target, State: Up, At: s.heard}
		}
		w.Voices = append(w.Voices, o)
		if o.State == Down {
			down++
		} else {
			otherwise++
		}
		w.doubted = w.doubted || o.State != Up
	}
	switch {
	case r.most(down):
		w.Says = Down
	case !r.most(otherwise):
		w.Says = Unknown
	case w.doubted:
		w.Says = Suspect
	default:
		w.Says = Up
	}
	return w
}

// Verdict looks at one target. It notes what it finds, so it must be called often
// enough, at every report and every tick, for Confirm and Recovery to mean
// something.
func (b *Board) Verdict(target string, now time.Time) Verdict {
	return b.judge(target, b.Quorum(now), now)
}

func (b *Board) judge(target string, q Quorum, now time.Time) Verdict {
	v := Verdict{Target: target, Needed: b.needed()}
	down, otherwise, doubted := 0, 0, false
	for _, r := range b.regions {
		w := b.word(r, target, now)
		v.Words = append(v.Words, w)
		switch w.Says {
		case Down:
			down++
		case Up, Suspect:
			otherwise++
		case Unknown:
		}
		doubted = doubted || w.doubted
	}
	s, tracked := b.targets[target]
	if !tracked {
		s = &standing{state: Up, told: Up, since: q.Since}
	}
	next := s.next(b, q.Have, down >= b.needed(), otherwise >= b.needed(), doubted, now)
	if next != s.state {
		if tracked {
			v.Before = s.state
		}
		s.state, s.since = next, now
	}
	v.State, v.Since = s.state, s.since
	if !q.Have {
		v.minority = q.Why(now)
	}
	return v
}

// next is the state that follows from what the regions say.
func (s *standing) next(b *Board, quorum, down, otherwise, doubted bool, now time.Time) State {
	if !quorum {
		s.against, s.clear = time.Time{}, time.Time{}
		return Unknown
	}
	s.against, s.clear = unbroken(down, s.against, now), unbroken(otherwise, s.clear, now)
	switch {
	case down && (s.state == Down || now.Sub(s.against) >= b.o.Confirm):
		return Down
	case s.state == Down && (!otherwise || now.Sub(s.clear) < b.o.Recovery):
		return Down
	case down || doubted || !otherwise:
		return Suspect
	}
	return Up
}

// unbroken is from when on something has been so, when it is so now.
func unbroken(is bool, since, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// Judge looks at every target that somebody doubts or that was doubted, and
// returns the verdicts that are not what they were when it was last called, by target:
// it alone tells of changes, and whoever asks for a verdict in between takes none away.
func (b *Board) Judge(now time.Time) []Verdict {
	q := b.Quorum(now)
	var changed []Verdict
	for _, target := range slices.Sorted(maps.Keys(b.targets)) {
		s := b.targets[target]
		v := b.judge(target, q, now)
		// Verdict may have noted the change before: it is one until it is told here.
		if v.Before = ""; v.State != s.told {
			v.Before, s.told = s.told, v.State
			changed = append(changed, v)
		}
		if v.State == Up && !v.doubted() {
			delete(b.targets, target)
		}
	}
	return changed
}

// Doubted are the targets that are not plainly up, by name.
func (b *Board) Doubted() []string { return slices.Sorted(maps.Keys(b.targets)) }

// String tells who votes.
func (b *Board) String() string {
	return fmt.Sprintf("%d voters in %d regions", len(b.seats), len(b.regions))
}
