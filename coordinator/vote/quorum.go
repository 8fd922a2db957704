package vote

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Quorum is whether a voter is on the side that may decide.
type Quorum struct {
	// Have is whether it is; Since is when that became so.
	Have  bool
	Since time.Time
	// Reached and Needed count regions.
	Reached, Needed int
	Regions         []RegionView

	stranger string // the name of an observer without a voice
}

// RegionView is what a voter sees of a region.
type RegionView struct {
	Region string
	// Counts is whether more than half of its voters are heard and hear us.
	Counts bool
	Voters []VoterView
}

// VoterView is what a voter sees of another.
type VoterView struct {
	Name string
	Self bool
	// Heard is whether its reports arrive now; HearsUs is whether ours arrive there.
	Heard, HearsUs bool
	// Last is when a report arrived last; zero is never.
	Last time.Time
}

// Quorum tells whether this voter may decide now.
func (b *Board) Quorum(now time.Time) Quorum {
	q := Quorum{Needed: b.needed()}
	for _, r := range b.regions {
		view, n := RegionView{Region: r.name}, 0
		for _, s := range r.seats {
			v := VoterView{Name: s.Name, Self: s.self, Heard: s.self || b.fresh(s, now), Last: s.heard}
			v.HearsUs = s.self || v.Heard && s.hearsUs
			if v.HearsUs {
				n++
			}
			view.Voters = append(view.Voters, v)
		}
		if view.Counts = r.most(n); view.Counts {
			q.Reached++
		}
		q.Regions = append(q.Regions, view)
	}
	if _, votes := b.seats[b.o.Self]; !votes {
		q.stranger = b.o.Self
	}
	q.Have = q.stranger == "" && q.Reached >= q.Needed
	if q.Have != b.had || b.since.IsZero() {
		b.had, b.since = q.Have, now
	}
	q.Since = b.since
	return q
}

// Missing are the voters that do not count, by region and name.
func (q Quorum) Missing() []VoterView {
	var missing []VoterView
	for _, r := range q.Regions {
		for _, v := range r.Voters {
			if !v.HearsUs {
				missing = append(missing, v)
			}
		}
	}
	return missing
}

// Why explains the answer to people.
func (q Quorum) Why(now time.Time) string {
	if q.stranger != "" {
		return q.stranger + " is not among the coordinators that vote, so it watches and never decides"
	}
	var reached []string
	for _, r := range q.Regions {
		if r.Counts {
			reached = append(reached, r.Region)
		}
	}
	text := fmt.Sprintf("%d of %d regions reached (%s), %d needed", q.Reached, len(q.Regions), strings.Join(reached, ", "), q.Needed)
	if !q.Have {
		text = "this is the minority: " + text
	}
	var missing []string
	for _, v := range q.Missing() {
		switch {
		case v.Heard:
			missing = append(missing, v.Name+" does not hear us")
		case v.Last.IsZero():
			missing = append(missing, v.Name+" was never heard")
		default:
			missing = append(missing, fmt.Sprintf("%s was last heard %v ago", v.Name, round(now.Sub(v.Last))))
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		text += "; " + strings.Join(missing, ", ")
	}
	return text
}
