package vote

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State is what is held of a target.
type State string

// The states.
const (
	Up      State = "up"
	Suspect State = "suspect"
	Down    State = "down"
	// Unknown is the state of every target to a voter without a majority.
	Unknown State = "unknown"
)

// Voter is one who has a voice.
type Voter struct{ Name, Region string }

// Opinion is what one voter holds of one target.
type Opinion struct {
	Voter, Region, Target string
	State                 State
	// Since is from when on, and At when the board heard it, both on the board's
	// clock.
	Since, At time.Time
	Phi       float64
	Reason    string
}

// Report is all that one voter says at one time. Targets it does not name are up
// as far as it knows. Voter and Region of its opinions are filled in by the board.
type Report struct {
	Voter string
	// At is when it was heard.
	At time.Time
	// Hears are the voters that the reporting one hears.
	Hears    []string
	Opinions []Opinion
}

// Options describe who votes.
type Options struct {
	// Self is the voter whose board it is.
	Self   string
	Voters []Voter
	// Window is how long a report counts; 0 is 1.5 seconds.
	Window time.Duration
	// Confirm is how long a majority must say down before it is the verdict; 0
	// takes its word at once.
	Confirm time.Duration
	// Recovery is how long a majority must say otherwise before a verdict of down
	// is taken back; 0 is five seconds.
	Recovery time.Duration
}

func (o Options) defaults() Options {
	if o.Window <= 0 {
		o.Window = 1500 * time.Millisecond
	}
	if o.Recovery <= 0 {
		o.Recovery = 5 * time.Second
	}
	return o
}

// ErrTwoRegions is the refusal of a vote that could never outlive a cut.
var ErrTwoRegions = errors.New("two regions cannot vote: each would need the other, so neither could tell a dead region from a cut line; add a coordinator, as a witness, in a third")

// ErrTwoVoters is the same refusal within one region.
var ErrTwoVoters = errors.New("two coordinators cannot vote: each would need the other; name one, or three")

// Check refuses voters that cannot decide anything.
func Check(voters []Voter) error {
	if len(voters) == 0 {
		return errors.New("nobody votes")
	}
	var names, regions []string
	for _, v := range voters {
		switch {
		case v.Name == "" || v.Region == "":
			return fmt.Errorf("a voter needs a name and a region, not %q and %q", v.Name, v.Region)
		case slices.Contains(names, v.Name):
			return fmt.Errorf("%s votes twice", v.Name)
		}
		names = append(names, v.Name)
		if !slices.Contains(regions, v.Region) {
			regions = append(regions, v.Region)
		}
	}
	switch {
	case len(regions) == 2:
		return ErrTwoRegions
	case len(voters) == 2:
		return ErrTwoVoters
	}
	return nil
}
