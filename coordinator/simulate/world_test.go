package simulate

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// named are a kind of noise, by its name.
func named(t *testing.T, name string) Noise {
	t.Helper()
	all := Noises()
	i := slices.IndexFunc(all, func(n Noise) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("there is no noise %q", name)
	}
	return all[i]
}

func newWorld(t *testing.T, noise string, threshold float64, seed uint64) *World {
	t.Helper()
	w, err := New(named(t, noise), threshold, seed)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// In ten minutes of every kind of noise nobody is held down who lives, at the threshold
// that is the default; and who dies in the noise is found.
func TestNoiseBringsNobodyDownAndHidesNobody(t *testing.T) {
	for i, n := range Noises() {
		t.Run(n.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, n.Name, 0, uint64(i))
			w.Run(10 * time.Minute)
			for target, times := range w.verdicts {
				t.Errorf("%s was held down %d times and lived", target, times)
			}
			p, err := Try(t.Context(), n, 0, time.Minute, 20)
			if err != nil {
				t.Fatal(err)
			}
			if p99 := p.At(0.99); n.Pauses == 0 && p99 > 2500*time.Millisecond {
				t.Errorf("the 99th percentile of detection is %v", p99)
			}
			t.Logf("detection: median %v, 99th percentile %v", p.At(0.5), p.At(0.99))
		})
	}
}

// The same day twice is the same day.
func TestTheWorldRepeatsItself(t *testing.T) {
	first, second := newWorld(t, "all three", 3, 42), newWorld(t, "all three", 3, 42)
	first.Run(10 * time.Minute)
	second.Run(10 * time.Minute)
	if fmt.Sprint(first.downs) != fmt.Sprint(second.downs) || first.serial != second.serial {
		t.Errorf("%v and %v", first.downs, second.downs)
	}
	if len(first.downs) == 0 {
		t.Error("a hair trigger in the noise suspects nobody: the noise does not bite")
	}
}

// A cut between one region and the target shows a dead target to that region alone.
func TestOneRegionsCutLineIsNoDeath(t *testing.T) {
	w := newWorld(t, "loss 5 %", 0, 3)
	w.Run(10 * time.Second)
	w.cut = func(from, to *process) bool {
		return from.name == "us-1" && to.name == "db-a" || from.name == "db-a" && to.name == "us-1"
	}
	w.Run(time.Minute)
	target := coordinator.MemberTarget(service, "a")
	if len(w.verdicts) > 0 || w.downs[target] == 0 {
		t.Fatalf("verdicts %v, opinions %v", w.verdicts, w.downs)
	}
	v := w.voters[0].observer.Verdict(target, w.now)
	if v.State != "suspect" {
		t.Errorf("%s: %s", v.State, v.Why(w.now))
	}
}

// A coordinator that stood still for a while holds nobody down for it, not even until
// it has read what arrived meanwhile.
func TestStandingStillIsNobodysDeath(t *testing.T) {
	w := newWorld(t, "calm", 0, 3)
	for _, still := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
		w.Run(20 * time.Second)
		w.voters[0].paused = w.now.Add(still)
		w.Run(still + 10*time.Second)
	}
	if len(w.downs) > 0 || len(w.verdicts) > 0 {
		t.Errorf("opinions %v, verdicts %v", w.downs, w.verdicts)
	}
}

// A service whose probes fail everywhere but whose keeper is heard and finds it
// healthy is suspected, not down.
func TestAKeepersWordStandsAgainstProbes(t *testing.T) {
	w := newWorld(t, "calm", 0, 3)
	w.Run(10 * time.Second)
	for _, p := range w.voters {
		for _, member := range []string{"a", "b"} {
			p.observer.Probed(service, member, errors.New("simulated"), w.now)
		}
	}
	w.cut = func(_, to *process) bool { return to.name == "db-a" } // probes do not arrive, heartbeats do
	w.Run(time.Minute)
	target := coordinator.MemberTarget(service, "a")
	v := w.voters[0].observer.Verdict(target, w.now)
	if len(w.verdicts) > 0 || v.State != "suspect" {
		t.Errorf("%s: %s", v.State, v.Why(w.now))
	}
}

// Three regions that hear nobody: nobody decides, and everything is unknown.
func TestEverybodyAlone(t *testing.T) {
	w := newWorld(t, "calm", 0, 3)
	w.Run(10 * time.Second)
	w.cut = func(_, _ *process) bool { return true }
	w.Run(10 * time.Second)
	for _, p := range w.voters {
		q := p.observer.Quorum(w.now)
		if v := p.observer.Verdict(coordinator.MemberTarget(service, "a"), w.now); q.Have || v.State != "unknown" {
			t.Errorf("%s: %s; %s", p.name, v.State, q.Why(w.now))
		}
	}
	if len(w.verdicts) > 0 {
		t.Errorf("verdicts %v", w.verdicts)
	}
}
