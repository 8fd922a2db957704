package messages_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

// What coordinators and keepers say to one another arrives as it was sent.
func TestWhatCoordinatorsSayArrives(t *testing.T) {
	command := messages.MemberCommand{
		Verb: messages.VerbRejoin, Service: "db", Member: "a", Epoch: 7, Tenure: 5, Floor: "0/3000060", Force: true,
		Primary: "b", Address: "10.0.0.2:5432", By: "eu-1", Reason: "it is back",
	}
	state := messages.MemberState{
		Service: "db", Member: "a", Healthy: true, Role: "standby", Epoch: 7, Timeline: 3, Position: "0/3000060", LagBytes: 12, LagMillis: 40, Trouble: "it hangs", Remedy: "kill it",
	}
	reply := messages.MemberReply{Message: "too late", Code: messages.MemberStale, Tenure: 9, State: state}
	report := messages.OpinionReport{
		Node: "eu-1", Region: "eu", Sequence: 3, IntervalMillis: 250, Stretch: 2, Epoch: 7, Hears: []string{"eu-1", "us-1"},
		Opinions: []messages.Opinion{{Target: "service/db/a", State: "down", SinceMillis: 1200, Phi: 9.1, Reason: "silent"}},
	}
	status := messages.CoordinatorStatus{Node: "eu-1", Region: "eu", Stretch: 1, Nodes: []messages.NodeStatus{{Node: "n", Seen: messages.Seen{State: "up", Verdict: "up"}}}}
	again(t, command, messages.DecodeMemberCommand)
	again(t, reply, messages.DecodeMemberReply)
	again(t, report, messages.DecodeOpinionReport)
	again(t, status, messages.DecodeCoordinatorStatus)
}

func again[T any](t *testing.T, sent T, decode func([]byte) (T, error)) {
	t.Helper()
	data, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
	if _, err := decode([]byte("{")); err == nil {
		t.Errorf("half a %T was read", sent)
	}
}

func TestSubjectsOfFailover(t *testing.T) {
	for got, want := range map[string]string{
		messages.OpinionSubject("eu", "eu-1"):                                  "dr.control.opinion.eu.eu-1",
		messages.CoordinatorControlSubject("eu-1"):                             "dr.control.coordinator.eu-1",
		messages.CoordinatorControlSubject(messages.AllCoordinators):           "dr.control.coordinator.all",
		messages.MemberControlSubject("db", "a"):                               "dr.control.member.db.a",
		messages.ServiceLease("db"):                                            "service-db",
		messages.LeaseCoordinator:                                              "coordinator",
		messages.EventSubject(messages.EventVerdict, messages.OutcomeDown, ""): "dr.events.verdict.down.unknown",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
