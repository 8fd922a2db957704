package scheduler

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

func TestFollowUps(t *testing.T) {
	const day = 24 * time.Hour
	both := FollowUps{Verify: true, Forget: true}
	scheduled := map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z"}
	after := map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z", LabelAfter: "b"}
	afterVerify := maps.Clone(after)
	afterVerify[LabelAfter] = "b/verify"
	result := []byte(`{"snapshot":"aa","type":"incremental","bytes":1000}`)
	verify := &messages.VerifySpec{Source: "home", Snapshot: "aa", New: true}
	for _, c := range []struct {
		name   string
		follow FollowUps
		event  messages.Event
		wantID string
		want   messages.Spec
		labels map[string]string
	}{
		{"a backup is verified", both, messages.Event{Kind: messages.KindBackup, Labels: scheduled, Result: result}, "b/verify", verify, after},
		{"also one asked for by hand", both, messages.Event{Kind: messages.KindBackup, Result: result}, "b/verify", verify, map[string]string{LabelAfter: "b"}},
		{
			"and what waits longest",
			FollowUps{Verify: true, Oldest: 1 << 30, OlderThan: 36 * time.Hour},
			messages.Event{Kind: messages.KindBackup, Result: result},
			"b/verify", &messages.VerifySpec{Source: "home", Snapshot: "aa", New: true, Oldest: 1 << 30, OlderThanDays: 1.5},
			map[string]string{LabelAfter: "b"},
		},
		{
			"a backup that tells no snapshot", both,
			messages.Event{Kind: messages.KindBackup},
			"b/verify", &messages.VerifySpec{Source: "home"},
			map[string]string{LabelAfter: "b"},
		},
		{"retention follows the verification", both, messages.Event{Kind: messages.KindVerify, Labels: after}, "b/forget", &messages.ForgetSpec{Source: "home"}, afterVerify},
		{"or the backup, without one", FollowUps{Forget: true}, messages.Event{Kind: messages.KindBackup, Labels: scheduled, Result: result}, "b/forget", &messages.ForgetSpec{Source: "home"}, after},
		{"not a backup by hand", FollowUps{Forget: true}, messages.Event{Kind: messages.KindBackup, Result: result}, "", nil, nil},
		{"not a verification by hand", both, messages.Event{Kind: messages.KindVerify}, "", nil, nil},
		{"not a failure", both, messages.Event{Kind: messages.KindBackup, Outcome: messages.OutcomeFailed}, "", nil, nil},
		{
			"pruning follows the first forgetting of a day",
			FollowUps{Forget: true, Prune: day},
			messages.Event{Kind: messages.KindForget, Labels: after, Time: monday.Add(23 * time.Hour)},
			"prune/eu/20250602T000000Z", &messages.PruneSpec{},
			map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z", LabelAfter: "b/forget"},
		},
		{
			"of a week, when told so",
			FollowUps{Forget: true, Prune: 7 * day},
			messages.Event{Kind: messages.KindForget, Labels: after, Time: monday.Add(3*day + time.Hour)},
			"prune/eu/20250602T000000Z", &messages.PruneSpec{},
			map[string]string{LabelSchedule: "daily", LabelSlot: "2025-06-02T02:00:00Z", LabelAfter: "b/forget"},
		},
		{"not forgetting by hand", FollowUps{Prune: day}, messages.Event{Kind: messages.KindForget, Time: monday}, "", nil, nil},
		{"not a forgetting that failed", FollowUps{Prune: day}, messages.Event{Kind: messages.KindForget, Labels: after, Time: monday, Outcome: messages.OutcomeFailed}, "", nil, nil},
		{"nothing is on", FollowUps{}, messages.Event{Kind: messages.KindBackup, Labels: scheduled, Result: result}, "", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := c.event
			e.Region, e.Source, e.Job = "eu", "home", "b"
			switch e.Kind {
			case messages.KindVerify:
				e.Job = "b/verify"
			case messages.KindForget:
				e.Job = "b/forget"
			}
			if e.Outcome == "" {
				e.Outcome = messages.OutcomeSucceeded
			}
			jobs, err := c.follow.After(e)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if len(jobs) > 0 {
					t.Fatalf("%+v follows", jobs)
				}
				return
			}
			want := []messages.Job{{Kind: c.want.Kind(), Region: "eu", Spec: c.want, Envelope: messages.Envelope{ID: c.wantID, Labels: c.labels}}}
			if diff := cmp.Diff(want, jobs); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			if err := jobs[0].Check(); err != nil {
				t.Error(err)
			}
		})
	}
	long := messages.Event{Kind: messages.KindBackup, Outcome: messages.OutcomeSucceeded, Region: "eu", Source: "home", Job: strings.Repeat("x", 128), Result: result}
	jobs, err := both.After(long)
	if err != nil || len(jobs) != 1 || jobs[0].Check() != nil {
		t.Errorf("follow-up of a long id: %+v, %v", jobs, err)
	}
	long.Result = []byte("{")
	if _, err := both.After(long); err == nil {
		t.Error("a broken result was accepted")
	}
}

func FuzzSlotID(f *testing.F) {
	f.Add("daily_incremental", "home")
	f.Add("", "")
	f.Add("_x", "db.main/../é")
	f.Add(strings.Repeat("a", 64), strings.Repeat(".", 64))
	f.Fuzz(func(t *testing.T, schedule, source string) {
		id := SlotID(schedule, source, monday)
		if !messages.ValidID(id+"/verify") && schedule != "" && source != "" {
			t.Errorf("SlotID(%q, %q) = %q cannot be an id", schedule, source, id)
		}
	})
}

func TestSlotIDsDiffer(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("s", 64)
	for _, names := range [][2]string{
		{"a", "b"},
		{"a/b", ""},
		{"a", "b.c"},
		{"a", "b=2ec"},
		{"a", "b_c"},
		{"_a", "b"},
		{"=5fa", "b"},
		{long, strings.Repeat(".", 64)},
		{long, strings.Repeat(".", 63) + "x"},
	} {
		id := SlotID(names[0], names[1], monday)
		if other, twice := seen[id]; twice {
			t.Errorf("%q and %q are both %s", names, other, id)
		}
		seen[id] = names[0] + "|" + names[1]
	}
}
