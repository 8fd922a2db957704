package coordinator

import (
	"time"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// Observer is the judgement of one coordinator without its lines and its clock: it is told
// what was heard and when, and tells what it holds. What a coordinator does in earnest can
// be played through with it in a fraction of the time; see package simulate. It is not
// safe for concurrent use.
type Observer struct{ view *view }

// NewObserver returns an observer that begins at a moment. Of the options, those count
// that say who it is, what it watches, and what it makes of it.
func NewObserver(o Options, now time.Time) (*Observer, error) {
	o.defaults()
	v, err := newView(&o, now)
	if err != nil {
		return nil, err
	}
	return &Observer{view: v}, nil
}

// Heard is a heartbeat that arrived.
func (o *Observer) Heard(h messages.Heartbeat, now time.Time) { o.view.heard(h, now) }

// Reported is what another coordinator says; the verdicts that it changes are returned.
func (o *Observer) Reported(r messages.OpinionReport, now time.Time) []vote.Verdict {
	return o.view.reported(r, now)
}

// Probed is how a look at a member of a service went.
func (o *Observer) Probed(service, member string, err error, now time.Time) {
	for _, m := range o.view.members {
		if m.service == service && m.Name == member {
			o.view.probed(m, err, now)
		}
	}
}

// Look is one tick: it returns what to tell the others, and the verdicts that changed.
func (o *Observer) Look(now time.Time) (messages.OpinionReport, []vote.Verdict) {
	return o.view.look(now)
}

// Verdict is what a majority holds of a target; see NodeTarget and MemberTarget.
func (o *Observer) Verdict(target string, now time.Time) vote.Verdict {
	return o.view.board.Verdict(target, now)
}

// Quorum tells whether this coordinator might decide.
func (o *Observer) Quorum(now time.Time) vote.Quorum { return o.view.board.Quorum(now) }
