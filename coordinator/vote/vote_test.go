package vote

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

var three = []Voter{{"eu-1", "eu"}, {"us-1", "us"}, {"ap-1", "ap"}}

const target = "service/db/a"

// scene is a board and what its owner hears, step by step.
type scene struct {
	t     *testing.T
	board *Board
	now   time.Time
}

func newScene(t *testing.T, self string, voters []Voter) *scene {
	t.Helper()
	b, err := New(Options{Self: self, Voters: voters, Confirm: 250 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &scene{t: t, board: b, now: epoch}
}

// everybody hears everybody and says what the map says; who is missing says up,
// and who is marked "" is silent.
func (s *scene) round(says map[string]State) Verdict {
	s.now = s.now.Add(250 * time.Millisecond)
	var all []string
	for name := range s.board.seats {
		if state, ok := says[name]; !ok || state != "" {
			all = append(all, name)
		}
	}
	for _, name := range all {
		r := Report{Voter: name, At: s.now, Hears: all}
		if state, ok := says[name]; ok && state != Up {
			r.Opinions = []Opinion{{Target: target, State: state, Since: s.now.Add(-time.Second), Reason: "nothing heard"}}
		}
		s.board.Hear(r)
	}
	return s.board.Verdict(target, s.now)
}

// rounds repeats a round and returns the last verdict.
func (s *scene) rounds(n int, says map[string]State) (v Verdict) {
	for range n {
		v = s.round(says)
	}
	return v
}

func (s *scene) want(v Verdict, want State) {
	s.t.Helper()
	if v.State != want {
		s.t.Errorf("the verdict is %s, want %s: %s", v.State, want, v.Why(s.now))
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		voters []Voter
		says   map[string]State
		want   State
	}{
		{"all is well", three, nil, Up},
		{"one doubts", three, map[string]State{"us-1": Suspect}, Suspect},
		{"one region cannot see it", three, map[string]State{"us-1": Down}, Suspect},
		{"two regions cannot see it", three, map[string]State{"us-1": Down, "ap-1": Down}, Down},
		{"two regions doubt", three, map[string]State{"us-1": Suspect, "ap-1": Down}, Suspect},
		{"all agree", three, map[string]State{"eu-1": Down, "us-1": Down, "ap-1": Down}, Down},
		{"one is silent, the others agree", three, map[string]State{"eu-1": Down, "us-1": Down, "ap-1": ""}, Down},
		{"one is silent, the others do not agree", three, map[string]State{"us-1": Down, "ap-1": ""}, Suspect},
		{"nobody else is heard", three, map[string]State{"eu-1": Down, "us-1": "", "ap-1": ""}, Unknown},
		{
			"many processes of one region are one voice",
			slices.Concat(three, []Voter{{"us-2", "us"}, {"us-3", "us"}}),
			map[string]State{"us-1": Down, "us-2": Down, "us-3": Down},
			Suspect,
		},
		{
			"a region that does not agree says nothing",
			slices.Concat(three, []Voter{{"us-2", "us"}}),
			map[string]State{"us-1": Down, "ap-1": Down},
			Suspect,
		},
		{
			"most of a region is its word",
			slices.Concat(three, []Voter{{"us-2", "us"}, {"us-3", "us"}}),
			map[string]State{"us-1": Down, "us-2": Down, "ap-1": Down},
			Down,
		},
		{"one voter alone decides", three[:1], map[string]State{"eu-1": Down}, Down},
		{
			"three voters of one region",
			[]Voter{{"eu-1", "eu"}, {"eu-2", "eu"}, {"eu-3", "eu"}},
			map[string]State{"eu-1": Down, "eu-2": Down, "eu-3": ""},
			Down,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, "eu-1", c.voters)
			s.rounds(4, nil)
			v := s.rounds(10, c.says)
			s.want(v, c.want)
			if why := v.Why(s.now); why == "" {
				t.Error("there is no explanation")
			}
		})
	}
}

func TestDownIsConfirmedAndTakenBackSlowly(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	gone := map[string]State{"us-1": Down, "ap-1": Down}
	v := s.round(gone)
	s.want(v, Suspect) // a majority says so, but only just
	if !strings.Contains(v.Why(s.now), "must last a moment") {
		t.Errorf("why: %s", v.Why(s.now))
	}
	s.want(s.round(gone), Down)
	// One heartbeat gets through, and again none: that is no recovery.
	s.want(s.rounds(8, nil), Down)
	s.want(s.round(gone), Down)
	v = s.rounds(20, nil)
	s.want(v, Down) // five seconds are twenty rounds and the first
	if !strings.Contains(v.Why(s.now), "not taken back yet") {
		t.Errorf("why: %s", v.Why(s.now))
	}
	s.want(s.round(nil), Up)
}

func TestABreakInTheMajorityBeginsAnew(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	for range 10 {
		s.want(s.round(map[string]State{"us-1": Down, "ap-1": Down}), Suspect)
		s.want(s.round(map[string]State{"us-1": Down}), Suspect)
	}
}

func TestAMinorityHasNoVerdictAndSaysWhy(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	alone := map[string]State{"us-1": "", "ap-1": "", "eu-1": Down}
	s.rounds(4, alone)
	if q := s.board.Quorum(s.now); !q.Have {
		t.Fatalf("the majority was lost after a second: %s", q.Why(s.now))
	}
	v := s.rounds(3, alone)
	q := s.board.Quorum(s.now)
	if q.Have || q.Reached != 1 {
		t.Fatalf("alone and with a majority: %+v", q)
	}
	s.want(v, Unknown)
	for _, want := range []string{"this is the minority", "1 of 3 regions reached (eu), 2 needed", "us-1 was last heard 1.75s ago"} {
		if !strings.Contains(q.Why(s.now), want) || !strings.Contains(v.Why(s.now), want) {
			t.Errorf("%q is not in %q and %q", want, q.Why(s.now), v.Why(s.now))
		}
	}
	// What was down is looked at anew when the others are back.
	s.want(s.round(map[string]State{"eu-1": Down, "us-1": Down}), Suspect)
	s.want(s.round(map[string]State{"eu-1": Down, "us-1": Down}), Down)
}

// us hears nobody, but is heard: it cannot be asked to stop, so it does not count
// for the others, and nobody counts for it.
func TestALineThatWorksOneWayIsNoLine(t *testing.T) {
	s := newScene(t, "eu-1", three)
	for range 8 {
		s.now = s.now.Add(250 * time.Millisecond)
		s.board.Hear(Report{Voter: "eu-1", At: s.now, Hears: []string{"eu-1", "us-1", "ap-1"}})
		s.board.Hear(Report{Voter: "us-1", At: s.now, Hears: []string{"us-1"}, Opinions: []Opinion{{Target: target, State: Down, Since: s.now}}})
		s.board.Hear(Report{Voter: "ap-1", At: s.now, Hears: []string{"ap-1"}, Opinions: []Opinion{{Target: target, State: Down, Since: s.now}}})
		s.board.Judge(s.now)
	}
	q := s.board.Quorum(s.now)
	if q.Have || !strings.Contains(q.Why(s.now), "us-1 does not hear us") {
		t.Errorf("%s", q.Why(s.now))
	}
	s.want(s.board.Verdict(target, s.now), Unknown)
	if hears := s.board.Hears(s.now); !slices.Equal(hears, []string{"ap-1", "eu-1", "us-1"}) {
		t.Errorf("hears %v", hears)
	}
}

// The opinion of one who is heard and does not hear us is no voice, though there is a
// majority without it.
func TestWhoDoesNotHearUsHasNoVoiceHere(t *testing.T) {
	s := newScene(t, "eu-1", three)
	for range 8 {
		s.now = s.now.Add(250 * time.Millisecond)
		gone := []Opinion{{Target: target, State: Down, Since: s.now}}
		s.board.Hear(Report{Voter: "eu-1", At: s.now, Hears: []string{"eu-1", "us-1", "ap-1"}})
		s.board.Hear(Report{Voter: "us-1", At: s.now, Hears: []string{"eu-1", "us-1"}, Opinions: gone})
		s.board.Hear(Report{Voter: "ap-1", At: s.now, Hears: []string{"ap-1"}, Opinions: gone})
		s.board.Judge(s.now)
	}
	if q := s.board.Quorum(s.now); !q.Have || q.Reached != 2 {
		t.Errorf("%s", q.Why(s.now))
	}
	s.want(s.board.Verdict(target, s.now), Suspect)
}

func TestWhoHasNoVoiceIsNotHeardAndDecidesNothing(t *testing.T) {
	s := newScene(t, "worker-7", three)
	if s.board.Hear(Report{Voter: "worker-7", At: s.now}) {
		t.Error("a stranger was heard")
	}
	s.rounds(4, nil)
	for _, name := range []string{"eu-1", "us-1", "ap-1"} {
		s.board.Hear(Report{Voter: name, At: s.now, Hears: []string{"worker-7"}})
	}
	if q := s.board.Quorum(s.now); q.Have || !strings.Contains(q.Why(s.now), "never decides") {
		t.Errorf("%+v", q)
	}
}

func TestJudgeTellsChangesOnce(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	tell := func(says map[string]State) (all []string) {
		s.now = s.now.Add(250 * time.Millisecond)
		for _, name := range []string{"eu-1", "us-1", "ap-1"} {
			r := Report{Voter: name, At: s.now, Hears: []string{"eu-1"}}
			if says[name] != "" {
				r.Opinions = []Opinion{{Target: target, State: says[name], Since: s.now}}
			}
			s.board.Hear(r)
		}
		for _, v := range s.board.Judge(s.now) {
			all = append(all, fmt.Sprintf("%s %s>%s", v.Target, v.Before, v.State))
		}
		return all
	}
	gone := map[string]State{"eu-1": Down, "us-1": Down}
	for n, want := range [][]string{{target + " up>suspect"}, {target + " suspect>down"}, nil, nil} {
		if got := tell(gone); !slices.Equal(got, want) {
			t.Errorf("look %d: %v, want %v", n, got, want)
		}
	}
	var last []string
	for range 30 {
		if got := tell(nil); got != nil {
			last = append(last, got...)
		}
	}
	if !slices.Equal(last, []string{target + " down>up"}) || len(s.board.Doubted()) != 0 {
		t.Errorf("afterwards %v, doubted %v", last, s.board.Doubted())
	}
}

// Somebody who asks for a verdict just before it is told, for a status say, does not keep
// it from those who have to act on it.
func TestAskingTakesNoChangeAway(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	s.board.Judge(s.now)
	var told []string
	for range 4 {
		s.want(s.round(map[string]State{"eu-1": Down, "us-1": Down}), s.board.Verdict(target, s.now).State) // asks, twice
		for _, v := range s.board.Judge(s.now) {
			told = append(told, fmt.Sprintf("%s>%s", v.Before, v.State))
		}
	}
	if !slices.Equal(told, []string{"up>suspect", "suspect>down"}) {
		t.Errorf("told of %v", told)
	}
}

func TestReportsThatOvertakeEachOther(t *testing.T) {
	s := newScene(t, "eu-1", three)
	s.rounds(4, nil)
	s.board.Hear(Report{Voter: "us-1", At: s.now.Add(-time.Second)})
	if q := s.board.Quorum(s.now); q.Reached != 3 {
		t.Errorf("an old report counted: %+v", q)
	}
}

func TestVotersThatCannotDecideAreRefused(t *testing.T) {
	for _, c := range []struct {
		voters []Voter
		want   string
	}{
		{nil, "nobody votes"},
		{[]Voter{{"a", ""}}, "needs a name and a region"},
		{[]Voter{{"a", "eu"}, {"a", "us"}, {"b", "ap"}}, "a votes twice"},
		{[]Voter{{"a", "eu"}, {"b", "us"}}, "two regions cannot vote"},
		{[]Voter{{"a", "eu"}, {"b", "eu"}, {"c", "us"}}, "two regions cannot vote"},
		{[]Voter{{"a", "eu"}, {"b", "eu"}}, "two coordinators cannot vote"},
	} {
		_, err := New(Options{Self: "a", Voters: c.voters})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.voters, err, c.want)
		}
	}
	if _, err := New(Options{Self: "a", Voters: []Voter{{"a", "eu"}, {"b", "us"}}}); !errors.Is(err, ErrTwoRegions) {
		t.Errorf("%v is not ErrTwoRegions", err)
	}
}

// A reason that three regions give is told once.
func TestAReasonIsToldOnce(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	v := Verdict{State: Down, Needed: 2}
	for _, region := range []string{"ap", "eu", "us"} {
		reason := "connection refused"
		if region == "us" {
			reason = "no answer within 2s"
		}
		v.Words = append(v.Words, Word{Region: region, Says: Down, Voters: 1, Voices: []Opinion{{Voter: region + "-1", State: Down, Since: at, Reason: reason}}})
	}
	want := "3 of 3 regions say down, 2 needed (ap says down: ap-1 down for 3s: connection refused; eu says down: eu-1 down for 3s, likewise; us says down: us-1 down for 3s: no answer within 2s)"
	if got := v.Why(at.Add(3 * time.Second)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
