package vote

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// crowd draws voters that may vote: one region or three to five, with one to four
// voters each.
func crowd(t *rapid.T) []Voter {
	var voters []Voter
	regions := rapid.SampledFrom([]int{1, 3, 4, 5}).Draw(t, "regions")
	for r := range regions {
		n := rapid.IntRange(1, 4).Draw(t, "voters")
		if regions == 1 && n == 2 {
			n = 3
		}
		for i := range n {
			voters = append(voters, Voter{fmt.Sprintf("r%d-%d", r, i), fmt.Sprintf("r%d", r)})
		}
	}
	return voters
}

// network is who hears whom among boards that exchange their reports.
type network struct {
	voters []Voter
	boards map[string]*Board
	// up[a][b] is whether a's reports reach b.
	up       map[string]map[string]bool
	opinions map[string]State // of the one target
	now      time.Time
}

func newNetwork(t *rapid.T, voters []Voter) *network {
	n := &network{voters: voters, boards: map[string]*Board{}, up: map[string]map[string]bool{}, opinions: map[string]State{}, now: epoch}
	for _, v := range voters {
		b, err := New(Options{Self: v.Name, Voters: voters, Confirm: 250 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		n.boards[v.Name], n.up[v.Name] = b, map[string]bool{}
		for _, w := range voters {
			n.up[v.Name][w.Name] = true
		}
	}
	return n
}

// tick lets everybody report once to whom it reaches, and returns the verdicts.
func (n *network) tick() map[string]Verdict {
	n.now = n.now.Add(250 * time.Millisecond)
	reports := map[string]Report{}
	for _, v := range n.voters {
		r := Report{Voter: v.Name, At: n.now, Hears: n.boards[v.Name].Hears(n.now)}
		if state := n.opinions[v.Name]; state != "" && state != Up {
			r.Opinions = []Opinion{{Target: target, State: state, Since: n.now}}
		}
		reports[v.Name] = r
	}
	for _, from := range n.voters {
		for _, to := range n.voters {
			if from == to || n.up[from.Name][to.Name] {
				n.boards[to.Name].Hear(reports[from.Name])
			}
		}
	}
	verdicts := map[string]Verdict{}
	for _, v := range n.voters {
		n.boards[v.Name].Judge(n.now)
		verdicts[v.Name] = n.boards[v.Name].Verdict(target, n.now)
	}
	return verdicts
}

// However lines fail, in one direction or both, and whatever anybody thinks: a
// verdict of down stands on a majority of regions that are heard now, and it was
// reached by a majority of regions that said so.
func TestDownNeedsAMajorityOfRegions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, crowd(t))
		was := map[string]State{}
		for range rapid.IntRange(1, 40).Draw(t, "ticks") {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				a := rapid.SampledFrom(n.voters).Draw(t, "from").Name
				b := rapid.SampledFrom(n.voters).Draw(t, "to").Name
				n.up[a][b] = rapid.Bool().Draw(t, "line")
				n.opinions[a] = rapid.SampledFrom([]State{Up, Suspect, Down}).Draw(t, "opinion")
			}
			for name, v := range n.tick() {
				if v.State == Down {
					checkDown(t, n, name, v, was[name])
				}
				was[name] = v.State
			}
		}
	})
}

func checkDown(t *rapid.T, n *network, name string, v Verdict, before State) {
	b := n.boards[name]
	regions, fresh, said := map[string]int{}, map[string]int{}, map[string]int{}
	for _, voter := range n.voters {
		regions[voter.Region]++
		s := b.seats[voter.Name]
		if n.now.Sub(s.heard) > b.o.Window {
			continue
		}
		fresh[voter.Region]++
		if s.opinions[target].State == Down {
			said[voter.Region]++
		}
	}
	majority := func(count map[string]int) bool {
		agree := 0
		for r, all := range regions {
			if 2*count[r] > all {
				agree++
			}
		}
		return 2*agree > len(regions)
	}
	if !majority(fresh) {
		t.Fatalf("%s holds it down without a majority that is heard: %s", name, v.Why(n.now))
	}
	if before != Down && !majority(said) {
		t.Fatalf("%s found it down without a majority that says so: %s", name, v.Why(n.now))
	}
}

// Once everybody stands on one of two sides that do not hear each other, at most
// one side may decide, however regions are torn apart by the cut.
func TestTwoSidesNeverBothHaveAMajority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, crowd(t))
		side := map[string]int{}
		for _, v := range n.voters {
			side[v.Name] = rapid.IntRange(0, 1).Draw(t, "side")
		}
		for range 4 {
			n.tick()
		}
		for _, a := range n.voters {
			for _, b := range n.voters {
				// Across the cut nothing passes one way; the other way may stay.
				if side[a.Name] < side[b.Name] || side[a.Name] > side[b.Name] && rapid.Bool().Draw(t, "both ways") {
					n.up[a.Name][b.Name] = false
				}
			}
		}
		for range 10 {
			n.tick()
		}
		// What goes one way only tells the other side that it is not heard.
		for range 8 {
			n.tick()
		}
		decides := map[int][]string{}
		for _, v := range n.voters {
			if n.boards[v.Name].Quorum(n.now).Have {
				decides[side[v.Name]] = append(decides[side[v.Name]], v.Name)
			}
		}
		if len(decides) > 1 {
			t.Fatalf("both sides decide: %v", decides)
		}
	})
}

// Nobody hears anybody: nobody decides.
func TestEverybodyAloneDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, crowd(t))
		if len(n.voters) == 1 {
			return
		}
		for range rapid.IntRange(0, 10).Draw(t, "before") {
			n.tick()
		}
		for _, v := range n.voters {
			clear(n.up[v.Name])
			n.opinions[v.Name] = Down
		}
		var verdicts map[string]Verdict
		for range 8 {
			verdicts = n.tick()
		}
		for _, v := range n.voters {
			alone := slices.ContainsFunc(n.voters, func(w Voter) bool { return w.Region != v.Region || w.Name != v.Name })
			if got := verdicts[v.Name]; alone && got.State != Unknown {
				t.Fatalf("%s is alone and holds it %s", v.Name, got.State)
			}
		}
	})
}

// When lines and opinions settle, everybody who decides comes to the same verdict.
func TestWhoDecidesAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, crowd(t))
		for _, v := range n.voters {
			n.opinions[v.Name] = rapid.SampledFrom([]State{Up, Down}).Draw(t, "opinion")
		}
		var verdicts map[string]Verdict
		for range 40 {
			verdicts = n.tick()
		}
		first := verdicts[n.voters[0].Name].State
		for name, v := range verdicts {
			if v.State != first {
				t.Fatalf("%s holds it %s, another %s", name, v.State, first)
			}
		}
	})
}
