package coordinator

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// detection lets a world live for a while, kills the member a and its node, and
// returns how long it took until somebody who may decide held it down.
func detection(t testing.TB, n noise, threshold float64, seed uint64) time.Duration {
	w := newWorld(n, threshold, seed)
	w.run(20*time.Second + time.Duration(w.random.IntN(1000))*time.Millisecond)
	delete(w.firstDown, MemberTarget("db", "a"))
	killed := w.kill("db-a")
	for range 120 {
		w.run(250 * time.Millisecond)
		if at, ok := w.firstDown[MemberTarget("db", "a")]; ok {
			return at.Sub(killed)
		}
	}
	t.Fatalf("%s, threshold %v, seed %d: the death of a member was not noticed in half a minute", n.name, threshold, seed)
	return 0
}

// percentile of durations, by nearest rank.
func percentile(all []time.Duration, p float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[min(int(p*float64(len(all))), len(all)-1)]
}

// In ten minutes of every kind of noise nobody is held down who lives, at the threshold
// that is the default; and who dies in the noise is found.
func TestNoiseBringsNobodyDownAndHidesNobody(t *testing.T) {
	for i, n := range []noise{calm, lossy, jittery, starved, noisy} {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(n, 0, uint64(i))
			w.run(10 * time.Minute)
			for target, times := range w.verdicts {
				t.Errorf("%s was held down %d times and lived", target, times)
			}
			var all []time.Duration
			for seed := range uint64(20) {
				all = append(all, detection(t, n, 0, seed))
			}
			if p99 := percentile(all, 0.99); n.pauses == 0 && p99 > 2500*time.Millisecond {
				t.Errorf("the 99th percentile of detection is %v", p99)
			}
			t.Logf("detection: median %v, 99th percentile %v", percentile(all, 0.5), percentile(all, 0.99))
		})
	}
}

// The same day twice is the same day.
func TestTheWorldRepeatsItself(t *testing.T) {
	first, second := newWorld(noisy, 3, 42), newWorld(noisy, 3, 42)
	first.run(10 * time.Minute)
	second.run(10 * time.Minute)
	if fmt.Sprint(first.downs) != fmt.Sprint(second.downs) || first.serial != second.serial {
		t.Errorf("%v and %v", first.downs, second.downs)
	}
	if len(first.downs) == 0 {
		t.Error("a hair trigger in the noise suspects nobody: the noise does not bite")
	}
}

// BenchmarkCurve prints the time of detection against wrong suspicions of single
// coordinators and wrong verdicts of all, by threshold and kind of noise: a day of all
// noise at the threshold that is the default, and hours of the rest:
//
//	go test ./coordinator -run '^$' -bench Curve -benchtime 1x -timeout 1h
func BenchmarkCurve(b *testing.B) {
	for b.Loop() {
		fmt.Fprintf(os.Stderr, "%-14s %9s %6s %11s %11s %8s %8s %8s\n", "noise", "threshold", "hours", "suspicions", "verdicts", "p50", "p99", "longest")
		for _, n := range []noise{calm, lossy, jittery, starved, noisy} {
			for _, threshold := range []float64{1, 3, 8, 12} {
				hours := 2
				if threshold == 8 {
					hours = 6
				}
				if threshold == 8 && n == noisy {
					hours = 24
				}
				w := newWorld(n, threshold, 7)
				w.run(time.Duration(hours) * time.Hour)
				alone, together := 0, 0
				for _, times := range w.downs {
					alone += times
				}
				for _, times := range w.verdicts {
					together += times
				}
				var all []time.Duration
				for seed := range uint64(80) {
					all = append(all, detection(b, n, threshold, seed))
				}
				fmt.Fprintf(os.Stderr, "%-14s %9v %6d %11d %11d %8v %8v %8v\n", n.name, threshold, hours, alone, together,
					percentile(all, 0.5).Round(10*time.Millisecond), percentile(all, 0.99).Round(10*time.Millisecond), slices.Max(all).Round(10*time.Millisecond))
			}
		}
	}
}

// A cut between one region and the target shows a dead target to that region alone.
func TestOneRegionsCutLineIsNoDeath(t *testing.T) {
	w := newWorld(lossy, 0, 3)
	w.run(10 * time.Second)
	w.cut = func(from, to *process) bool {
		return from.name == "us-1" && to.name == "db-a" || from.name == "db-a" && to.name == "us-1"
	}
	w.run(time.Minute)
	target := MemberTarget("db", "a")
	if len(w.verdicts) > 0 || w.downs[target] == 0 {
		t.Fatalf("verdicts %v, opinions %v", w.verdicts, w.downs)
	}
	v := w.voters[0].view.board.Verdict(target, w.now)
	if v.State != "suspect" {
		t.Errorf("%s: %s", v.State, v.Why(w.now))
	}
}

// A coordinator that stood still for a while holds nobody down for it, not even until
// it has read what arrived meanwhile.
func TestStandingStillIsNobodysDeath(t *testing.T) {
	w := newWorld(calm, 0, 3)
	for _, still := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
		w.run(20 * time.Second)
		w.voters[0].paused = w.now.Add(still)
		w.run(still + 10*time.Second)
	}
	if len(w.downs) > 0 || len(w.verdicts) > 0 {
		t.Errorf("opinions %v, verdicts %v", w.downs, w.verdicts)
	}
}

// A service whose probes fail everywhere but whose keeper is heard and finds it
// healthy is suspected, not down.
func TestAKeepersWordStandsAgainstProbes(t *testing.T) {
	w := newWorld(calm, 0, 3)
	w.run(10 * time.Second)
	for _, p := range w.voters {
		for _, m := range p.view.members {
			p.view.probed(m, errNever, w.now)
		}
	}
	w.cut = func(_, to *process) bool { return to.name == "db-a" } // probes do not arrive, heartbeats do
	w.run(time.Minute)
	target := MemberTarget("db", "a")
	v := w.voters[0].view.board.Verdict(target, w.now)
	if len(w.verdicts) > 0 || v.State != "suspect" {
		t.Errorf("%s: %s", v.State, v.Why(w.now))
	}
}

var errNever = never{}.Probe(nil) //nolint:staticcheck // it looks at no context

// Three regions that hear nobody: nobody decides, and everything is unknown.
func TestEverybodyAlone(t *testing.T) {
	w := newWorld(calm, 0, 3)
	w.run(10 * time.Second)
	w.cut = func(_, _ *process) bool { return true }
	w.run(10 * time.Second)
	for _, p := range w.voters {
		q := p.view.board.Quorum(w.now)
		if v := p.view.board.Verdict(MemberTarget("db", "a"), w.now); q.Have || v.State != "unknown" {
			t.Errorf("%s: %s; %s", p.name, v.State, q.Why(w.now))
		}
	}
	if len(w.verdicts) > 0 {
		t.Errorf("verdicts %v", w.verdicts)
	}
}
