package vote

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Word is what one region says of a target.
type Word struct {
	Region string
	// Says is what more than half of the region's voters agree on; Unknown when
	// they do not agree, or are not heard.
	Says State
	// Voices are those of its voters that count; Voters is how many it has.
	Voices []Opinion
	Voters int

	doubted bool
}

// Verdict is what is held of a target, and why.
type Verdict struct {
	Target string
	State  State
	// Since is when it became so; Before is what it was until this look, and empty
	// when that is the same.
	Since  time.Time
	Before State
	// Words are what the regions say; Needed is how many are a majority.
	Words  []Word
	Needed int

	minority string // why there is no verdict
}

func (v Verdict) doubted() bool {
	return slices.ContainsFunc(v.Words, func(w Word) bool { return w.doubted })
}

// Why explains the verdict to people, in one sentence.
func (v Verdict) Why(now time.Time) string {
	if v.minority != "" {
		return "no verdict: " + v.minority
	}
	down := 0
	var says []string
	told := map[string]bool{}
	for _, w := range v.Words {
		if w.Says == Down {
			down++
		}
		says = append(says, w.why(now, told))
	}
	head := fmt.Sprintf("%d of %d regions say down, %d needed", down, len(v.Words), v.Needed)
	switch {
	case v.State == Down && down < v.Needed:
		head += "; it was down and is not taken back yet"
	case v.State != Down && down >= v.Needed:
		head += "; it must last a moment"
	}
	return head + " (" + strings.Join(says, "; ") + ")"
}

// why is a region's word with those who gave it. A reason that was told is not told again.
func (w Word) why(now time.Time, told map[string]bool) string {
	if len(w.Voices) == 0 {
		return w.Region + " is not heard"
	}
	var said []string
	for _, o := range w.Voices {
		if o.State == Up {
			continue
		}
		text := fmt.Sprintf("%s %s for %v", o.Voter, o.State, round(now.Sub(o.Since)))
		switch {
		case told[o.Reason]:
			text += ", likewise"
		case o.Reason != "":
			text += ": " + o.Reason
			told[o.Reason] = true
		}
		said = append(said, text)
	}
	switch {
	case len(said) == 0 && w.Says == Up:
		return w.Region + " says up"
	case w.Says == Unknown:
		said = append([]string{fmt.Sprintf("%d of %d voters heard", len(w.Voices), w.Voters)}, said...)
		return w.Region + " does not agree: " + strings.Join(said, ", ")
	}
	return fmt.Sprintf("%s says %s: %s", w.Region, w.Says, strings.Join(said, ", "))
}

// round keeps durations short for people.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}
