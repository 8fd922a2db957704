package compare

import (
	"fmt"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/peers"
)

// Aim is what this project wants to reach, and whether it did.
type Aim struct {
	Work Work   `json:"work"`
	Text string `json:"text"` // "at most 0.50 x borg"
	// Limit is what Got may be at most, both as a ratio or in bytes.
	Limit float64 `json:"limit"`
	Got   float64 `json:"got"`
	// From and UpTo are the least and the most of all runs, of a ratio of times.
	From  float64 `json:"from,omitempty"`
	UpTo  float64 `json:"up_to,omitempty"`
	Bytes bool    `json:"bytes,omitempty"`
}

// Met tells whether it was reached.
func (a Aim) Met() bool { return a.Got <= a.Limit }

// PeakLimit is how much memory any step may take at 10 GB, in bytes.
const PeakLimit = 200e6

// aims are ratios of wall times, for a kind of corpus and work: to the best
// peer, and to a limit of the machine.
var aims = map[string]map[Work]struct {
	best, limit float64
	machine     string
}{
	string(corpus.Mixed): {
		FirstBackup: {0.5, 1, "bare pipeline"},
		Check:       {best: 0.7},
		Restore:     {0.7, 1, "cp -a"},
	},
	string(corpus.Files): {
		FirstBackup: {best: 0.6},
		Unchanged:   {best: 0.6},
		Check:       {best: 0.7},
		Restore:     {0.7, 1, "cp -a"},
	},
}

// Aims returns what is aimed at on this corpus, and what one of our programs
// reached. Aims that nothing can be said about, because a program that they
// compare with is missing, are left out.
func (c Comparison) Aims(program string) []Aim {
	var all []Aim
	for _, work := range Works() {
		aim := aims[c.Corpus.Kind][work]
		add := func(limit float64, other string) {
			if limit == 0 || other == "" {
				return
			}
			if r := c.RatioTo(work, program, other); r.Measured {
				all = append(all, Aim{Work: work, Text: fmt.Sprintf("at most %.2f x %s", limit, other), Limit: limit, Got: r.Median, From: r.From, UpTo: r.UpTo})
			}
		}
		add(aim.best, c.Best(work))
		add(aim.limit, aim.machine)
	}
	all = append(all, c.storedAims(program)...)
	if _, ok := aims[c.Corpus.Kind]; !ok {
		return all
	}
	var peak int64
	var of Work
	for _, work := range Works() {
		for _, s := range c.Summaries(work) {
			if s.Program.Name == program && s.Peak > peak {
				peak, of = s.Peak, work
			}
		}
	}
	if peak > 0 {
		all = append(all, Aim{Work: of, Text: "memory: at most 200 MB in any step", Limit: PeakLimit, Got: float64(peak), Bytes: true})
	}
	return all
}

// storedAims compares what is stored after the last version with each peer.
func (c Comparison) storedAims(program string) []Aim {
	if !c.Series() {
		return nil
	}
	last := len(c.Corpus.Versions) - 1
	own := c.StoredAt(program, last)
	var all []Aim
	for _, p := range c.Programs {
		if theirs := c.StoredAt(p.Name, last); p.Kind == peers.Peer && theirs > 0 && own > 0 {
			all = append(all, Aim{Work: NextBackup, Text: "stored after all versions: at most " + p.Name + "'s", Limit: 1, Got: float64(own) / float64(theirs)})
		}
	}
	return all
}
