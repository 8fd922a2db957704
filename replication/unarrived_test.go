package replication

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What a promotion would leave behind is what only the primary has: neither what arrived,
// nor what was forgotten on either side.
func TestOnly(t *testing.T) {
	w := replicated(t)
	if names, err := Only(t.Context(), w.from, w.to); err != nil || len(names) != 0 {
		t.Errorf("when all has arrived: %v, %v", names, err)
	}
	w.write("b", 1000)
	first := w.backup(w.from)
	w.write("c", 1000)
	second := w.backup(w.from)
	names, err := Only(t.Context(), w.from, w.to)
	if err != nil || len(names) != 2 || !strings.Contains(names[0], second) && !strings.Contains(names[0], first) {
		t.Fatalf("%v, %v", names, err)
	}
	w.forget(first)
	if names, err = Only(t.Context(), w.from, w.to); err != nil || len(names) != 1 || !strings.Contains(names[0], second) {
		t.Errorf("after one was forgotten there: %v, %v", names, err)
	}
	w.replicate()
	w.forget(second)
	if names, err := Only(t.Context(), w.to, w.from); err != nil || len(names) != 0 {
		t.Errorf("what was forgotten in the other one counts: %v, %v", names, err)
	}
}

// A primary that was demoted is promoted again, as long as nobody else was, and then the
// copy receives copies again.
func TestDemotionIsTakenBack(t *testing.T) {
	w := replicated(t)
	for round := range 3 {
		if _, err := Demote(t.Context(), DemoteOptions{Primary: w.from, By: "somebody", Clock: w.clock}); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			w.replicate() // the last copying of a planned change
		}
		own, err := RoleOf(t.Context(), w.from)
		if err != nil || own.Came != Demoted {
			t.Fatalf("%+v, %v", own, err)
		}
		other, err := RoleOf(t.Context(), w.to)
		if err != nil || other.Came != Copied {
			t.Fatalf("%+v, %v", other, err)
		}
		if first, err := Last(own, other); err != nil || !first {
			t.Errorf("round %d: the demoted one was not the last primary: %v, %v", round, first, err)
		}
		if first, err := Last(other, own); err != nil || first {
			t.Errorf("round %d, the other way: %v, %v", round, first, err)
		}
		now, untold, err := Promote(t.Context(), PromoteOptions{Replica: w.from, Primary: w.to, Clock: w.clock})
		if err != nil || untold != nil || now.Role != Primary {
			t.Fatalf("%+v, %v, %v", now, untold, err)
		}
		if err := CheckPrimary(t.Context(), w.from, w.to); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		w.write("x", 1000+round)
		w.backup(w.from)
		w.replicate()
		w.equal()
	}
}

// Which of two replicas was the primary last decides from where is copied.
func TestLast(t *testing.T) {
	replica := func(came Came, epoch uint32) Standing {
		return Standing{Role: Replica, Came: came, Epoch: epoch, Noted: true}
	}
	for name, c := range map[string]struct {
		first, second Standing
		want          string
	}{
		"demoted":                                {replica(Demoted, 3), replica(Copied, 2), "first"},
		"demoted, and copied after that":         {replica(Demoted, 3), replica(Copied, 3), "first"},
		"a promoted copy was demoted":            {replica(Replaced, 1), replica(Demoted, 2), "second"},
		"and copied back since":                  {replica(Copied, 2), replica(Demoted, 2), "second"},
		"a third was promoted":                   {replica(Replaced, 4), replica(Copied, 3), "neither"},
		"a third was promoted after a demotion":  {replica(Replaced, 4), replica(Demoted, 3), "neither"},
		"both were demoted":                      {replica(Demoted, 3), replica(Demoted, 3), "neither"},
		"one is the primary":                     {Standing{Role: Primary}, replica(Copied, 0), "neither"},
		"noted by an older program, the first":   {replica("", 5), replica("", 4), "first"},
		"noted by an older program, the second":  {replica("", 4), replica("", 5), "second"},
		"noted by an older program, one of both": {replica("", 4), replica("", 4), "second"},
	} {
		got := "neither"
		if first, err := Last(c.first, c.second); err == nil {
			got = map[bool]string{true: "first", false: "second"}[first]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Of two that were promoted apart, the one that is demoted can be copied to again once the
// other takes an epoch above both.
func TestTheOtherPrimaryGoesOn(t *testing.T) {
	w := replicated(t)
	third := newPlace("third")
	w.replicate(func(o *Options) { o.To = third })
	for _, p := range []*place{w.to, third} {
		if _, _, err := Promote(t.Context(), PromoteOptions{Replica: p, Clock: w.clock}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Demote(t.Context(), DemoteOptions{Primary: third, Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.From, o.To = w.to, third
	if _, err := Run(t.Context(), o); err == nil {
		t.Fatal("a primary of an older epoch is copied from")
	}
	now, untold, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Primary: third, Clock: w.clock})
	if err != nil || untold != nil || now.Epoch < 3 {
		t.Fatalf("%+v, %v, %v", now, untold, err)
	}
	w.clock.ahead += time.Second
	if r, err := Run(t.Context(), o); err != nil || !r.Finished {
		t.Errorf("%+v, %v", r, err)
	}
	if again, _, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Primary: third, Clock: w.clock}); err != nil || again.Epoch != now.Epoch {
		t.Errorf("promoted once more: %+v, %v", again, err)
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for name := range third.Objects() {
			if strings.HasPrefix(name, epochPrefix) && !yield(name) {
				return
			}
		}
	}); len(names) < 3 {
		t.Errorf("the third one's epochs: %v", names)
	}
}
