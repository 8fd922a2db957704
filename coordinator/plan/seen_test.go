package plan

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// Whoever has seen another plan than the leader would carry out is refused, by looking
// as by ordering, and told how to have the leader's; what is not seen is not compared.
func TestOrdersNameThePlanThatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, newWorld(), 5)
		own := l.Plans()["small"].Digest()
		edited := load(t, strings.Replace(small, "timeout: ", "timeout: 1", 1))
		if edited.Digest() == own {
			t.Fatal("an edit leaves the digest as it was")
		}
		if again := load(t, "# a comment\n"+small); again.Digest() != own {
			t.Error("a comment changes the digest")
		}
		which := map[string]string{"which": "db"}
		for _, ask := range []Ask{AskTry, AskExecute} {
			for _, seen := range []string{edited.Digest(), own[:7], strings.Repeat("0", 12)} {
				r := l.Handle(t.Context(), Request{Ask: ask, Plan: "small", Params: which, Digest: seen})
				if !errors.Is(r.Err(), ErrDiffers) || !strings.Contains(strings.Join(r.Hints, " "), "--digest "+own[:12]) || r.Execution != nil {
					t.Errorf("%s of %s: %v %q", ask, seen, r.Err(), r.Hints)
				}
				if ask == AskTry && (r.Evaluation == nil || r.Evaluation.Definition != own || r.Evaluation.Broken() == "") {
					t.Errorf("%s of %s shows %+v", ask, seen, r.Evaluation)
				}
			}
		}
		e, err := l.ask(t, Request{Ask: AskExecute, Plan: "small", Params: which, Digest: strings.ToUpper(own[:12])})
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range []Ask{AskCommit, AskRollback, AskContinue} {
			if _, err := l.ask(t, Request{Ask: ask, Execution: e.ID, Digest: own}); !errors.Is(err, ErrDiffers) {
				t.Errorf("%s of another execution: %v", ask, err)
			}
		}
		if _, err := l.ask(t, Request{Ask: AskCommit, Execution: e.ID, Digest: e.Digest}); err != nil {
			t.Error(err)
		}
		if _, err := l.ask(t, Request{Ask: AskFailback, Execution: e.ID, Digest: own}); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "back") {
			t.Errorf("a failback that was seen otherwise: %v", err)
		}
		if _, err := l.ask(t, Request{Ask: AskFailback, Execution: e.ID, Digest: l.Plans()["back"].Digest()}); err != nil {
			t.Error(err)
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}
