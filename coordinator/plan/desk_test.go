package plan

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// leadership is a desk that leads.
type leadership struct {
	*Desk
	end   func() error
	epoch uint64
}

func lead(t *testing.T, w *world, epoch uint64, change ...func(*Options)) *leadership {
	t.Helper()
	d := NewDesk(node{w: w}.executor(t, change...), DeskOptions{Plans: Plans{"small": load(t, small), "back": load(t, back), "asked": load(t, asked)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Lead(ctx, epoch) }()
	synctest.Wait()
	l := &leadership{Desk: d, epoch: epoch, end: func() error { cancel(errGone); return <-ended }}
	t.Cleanup(func() { cancel(errGone) })
	return l
}

// ask sends a request the way it travels.
func (l *leadership) ask(t *testing.T, q Request) (Execution, error) {
	t.Helper()
	data, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if q, err = DecodeRequest(data); err != nil {
		t.Fatal(err)
	}
	if data, err = json.Marshal(l.Handle(t.Context(), q)); err != nil {
		t.Fatal(err)
	}
	r, err := DecodeReply(data)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if r.Execution == nil {
		return Execution{}, r.Err()
	}
	return *r.Execution, r.Err()
}

func (l *leadership) state(t *testing.T, id string) State {
	t.Helper()
	synctest.Wait()
	e, err := l.Executor().Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e.State
}

func TestFailoverAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := lead(t, w, 5)
		which := map[string]string{"which": "db"}
		if _, err := l.ask(t, Request{Ask: AskFailback}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "where it belongs") {
			t.Errorf("failback of nothing: %v", err)
		}
		e, err := l.ask(t, Request{Ask: AskExecute, Plan: "small", Params: which, By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if s := l.state(t, e.ID); s != StateFailedOver || w.value("db") != "away" {
			t.Fatalf("%s, db is %s", s, w.value("db"))
		}
		if _, err := l.ask(t, Request{Ask: AskFailback, Execution: e.ID}); !errors.Is(err, ErrRefused) {
			t.Errorf("failback within the window: %v", err)
		}
		if _, err := l.ask(t, Request{Ask: AskExecute, Plan: "back", Params: which}); !errors.Is(err, ErrRefused) {
			t.Errorf("a failback by its name: %v", err)
		}
		if _, err := l.ask(t, Request{Ask: AskCommit, Execution: e.ID[:12], By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if s := l.state(t, e.ID); s != StateCommitted {
			t.Fatalf("%s after the commit", s)
		}
		again, err := l.ask(t, Request{Ask: AskFailback, By: "ann"})
		if err != nil || again.Returns != e.ID || again.Params["which"] != "db" {
			t.Fatalf("%+v %v", again, err)
		}
		if s := l.state(t, again.ID); s != StateCommitted || w.value("db") != "home" {
			t.Fatalf("%s after the failback, db is %s", s, w.value("db"))
		}
		standings, err := l.Executor().Standings(t.Context())
		if err != nil || len(standings) != 1 || standings[0].Away != "" || standings[0].Holder != "" {
			t.Errorf("%+v %v", standings, err)
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestNextLeaderGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, with, _ := approver(t)
		bob, err := CreateKey(t.TempDir() + "/bob")
		if err != nil {
			t.Fatal(err)
		}
		both := func(o *Options) { with(o); o.Approvers["bob"] = bob.Public() }
		w := newWorld()
		first := lead(t, w, 5, both)
		e, err := first.ask(t, Request{Ask: AskExecute, Plan: "asked", By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		asks := func(l *leadership) Question {
			synctest.Wait()
			now, err := l.Executor().Find(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			q, ok := now.Question()
			if !ok {
				t.Fatalf("it asks nothing: %+v", now)
			}
			return q
		}
		approve := func(l *leadership, q Question, name string, k PrivateKey) error {
			a, err := Sign(q, name, k, time.Now(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.ask(t, Request{Ask: AskApprove, Execution: e.ID, Approval: &a})
			return err
		}
		old := asks(first)
		if err := approve(first, old, "ann", key); err != nil {
			t.Fatal(err)
		}
		if err := first.end(); !errors.Is(err, errGone) {
			t.Fatal(err)
		}
		if _, err := first.ask(t, Request{Ask: AskCommit, Execution: e.ID}); !errors.Is(err, ErrNotLeading) {
			t.Errorf("a leader of the past: %v", err)
		}
		second := lead(t, w, 9, both)
		if err := approve(second, old, "bob", bob); !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), "epoch 5") {
			t.Errorf("an answer to the first leader: %v", err)
		}
		// What was accepted before still counts: bob is the second of two.
		if err := approve(second, asks(second), "bob", bob); err != nil {
			t.Fatal(err)
		}
		if s := second.state(t, e.ID); s != StateCommitted || w.value("x") != "here" {
			t.Errorf("%s, x is %s", s, w.value("x"))
		}
		done, err := second.Executor().Find(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.check(&done); err != nil {
			t.Error(err)
		}
		if done.Refused != 1 || len(done.Approvals) != 2 {
			t.Errorf("%d refused, %d approvals", done.Refused, len(done.Approvals))
		}
		if err := second.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

func TestDeposedDeskEndsItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		old := lead(t, w, 5)
		e, err := old.ask(t, Request{Ask: AskExecute, Plan: "small", Params: map[string]string{"which": "db"}})
		if err != nil {
			t.Fatal(err)
		}
		young := lead(t, w, 9)
		time.Sleep(time.Minute) // the old one looks at what it runs now and then
		synctest.Wait()
		if _, err := old.Start(t.Context(), order(t, small, "web", ByHand)); !errors.Is(err, ErrNotLeading) {
			t.Errorf("the deposed one starts: %v", err)
		}
		if err := old.end(); !errors.Is(err, ErrFenced) {
			t.Errorf("it ended with %v", err)
		}
		if _, err := young.ask(t, Request{Ask: AskRollback, Execution: e.ID, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if s := young.state(t, e.ID); s != StateRolledBack || w.value("db") != "home" {
			t.Errorf("%s, db is %s", s, w.value("db"))
		}
		for _, ask := range []Ask{AskFailback, AskRollback} {
			r := young.Handle(t.Context(), Request{Ask: ask, Execution: e.ID})
			if r.Err() == nil || len(r.Hints) != 1 || strings.Contains(r.Hints[0], "commit") {
				t.Errorf("%s of what is taken back: %v, hints %q", ask, r.Err(), r.Hints)
			}
		}
		if err := young.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

// A plan that was edited is carried out as it is now; a file that cannot be read keeps
// the plans from before, and whoever orders is told.
func TestOrdersReadThePlansAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		text, broken := asked, error(nil)
		l := lead(t, newWorld(), 5)
		l.o.Reload = func() (Plans, error) { return Plans{"asked": load(t, text)}, broken }
		l.o.Failed = func(err error) { told = append(told, err) }
		text = strings.Replace(asked, "default: here", "default: there", 1)
		try := func() (string, string) {
			r := l.Handle(t.Context(), Request{Ask: AskTry, Plan: "asked"})
			return r.Evaluation.Params["to"], r.Warning
		}
		if to, warning := try(); to != "there" || warning != "" {
			t.Errorf("after an edit: %s %s", to, warning)
		}
		text, broken = asked, errors.New("line 3: no such key")
		for range 2 {
			if to, warning := try(); to != "there" || !strings.Contains(warning, "line 3") || len(told) != 1 {
				t.Errorf("of a bad file: %s %q, told %v", to, warning, told)
			}
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

// Files are looked at whether the desk leads or not; that they cannot be used, and that
// they can again, is told once.
func TestFilesAreReadBesideLeading(t *testing.T) {
	var told []EventKind
	plans, broken := Plans{"asked": load(t, asked)}, errors.New("line 3: no such key")
	x := node{w: newWorld()}.executor(t, func(o *Options) { o.Tell = func(e Event) { told = append(told, e.Kind) } })
	d := NewDesk(x, DeskOptions{Plans: plans, Trouble: broken, Reload: func() (Plans, error) { return plans, broken }})
	again := func(trouble string, want ...EventKind) {
		t.Helper()
		told = nil
		d.Reread()
		d.Reread()
		if d.Trouble() != trouble || !slices.Equal(told, want) || d.Plans()["asked"] == nil {
			t.Errorf("trouble %q, told %v; want %q, %v", d.Trouble(), told, trouble, want)
		}
	}
	again("line 3: no such key") // which was told at the start
	broken, plans = nil, Plans{"asked": load(t, asked), "small": load(t, small)}
	again("", EventReadable)
	if d.Plans()["small"] == nil {
		t.Error("what was mended is not used")
	}
	broken, plans = errors.New("line 4"), nil
	again("line 4", EventUnreadable)
}

// Looking says what ordering would be told, and takes nothing.
func TestTryIsRefusedAsTheOrderIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, newWorld(), 5)
		db := map[string]string{"which": "db"}
		if _, err := l.ask(t, Request{Ask: AskExecute, Plan: "small", Params: db}); err != nil {
			t.Fatal(err)
		}
		for _, q := range []Request{{Plan: "small", Params: db}, {Plan: "back", Params: db}} {
			q.Ask = AskExecute
			_, want := l.ask(t, q)
			q.Ask = AskTry
			r := l.Handle(t.Context(), q)
			if want == nil || r.Err() == nil || r.Err().Error() != want.Error() || r.Evaluation == nil || r.Evaluation.Broken() != want.Error() {
				t.Errorf("%s: the order: %v\ntried: %v %+v", q.Plan, want, r.Err(), r.Evaluation)
			}
		}
		if r := l.Handle(t.Context(), Request{Ask: AskTry, Plan: "small", Params: map[string]string{"which": "web"}}); r.Err() != nil || r.Evaluation.Broken() != "" {
			t.Errorf("what nobody holds: %+v", r)
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lead(t, newWorld(), 5)
		for want, q := range map[string]Request{
			"no such request": {Ask: "dance"},
			"find plan smal":  {Ask: AskExecute, Plan: "smal"},
			"not found":       {Ask: AskCommit, Execution: "nothing"},
			"there is none":   {Ask: AskApprove, Execution: "nothing"},
			"is missing":      {Ask: AskExecute, Plan: "small"},
		} {
			if _, err := l.ask(t, q); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %s", q, err, want)
			}
		}
		r := l.Handle(t.Context(), Request{Ask: AskTry, Plan: "small", Params: map[string]string{"which": "db"}})
		if r.Evaluation == nil || r.Evaluation.Broken() != "" || r.Execution != nil {
			t.Errorf("%+v", r)
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}
