package scheduler

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/config"
	"mahavishnu/messages"
)

// replicated is a plan in which a is copied to b, and b to c.
func replicated(t *testing.T, extra string) Plan {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(`
regions: [a, b, c]
node: {region: a}
sources: {home: {path: /home, region: a}}
backup:
  validation: {verify_on_create: false}
  replication:
    enabled: true
    regions: [{primary: a, secondary: b}, {primary: b, secondary: c}]
    storages: {a: {url: "s3://a"}, b: {url: "s3://b"}, c: {url: "s3://c"}}
`+extra), config.Environment(func(string) (string, bool) { return "", false }))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := FromConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestReplicationFollowsABackup(t *testing.T) {
	backup := messages.Event{
		Kind: messages.KindBackup, Region: "a", Source: "home", Job: "b1", Outcome: messages.OutcomeSucceeded,
	}
	spec := func(shard, shards int) *messages.ReplicateSpec {
		return &messages.ReplicateSpec{From: "a", To: "b", Shard: shard, Shards: shards}
	}
	job := func(id, region string, s messages.Spec) messages.Job {
		return messages.Job{
			Kind: messages.KindReplicate, Region: region, Spec: s,
			Envelope: messages.Envelope{ID: id, Labels: map[string]string{LabelAfter: "b1"}},
		}
	}
	for _, c := range []struct {
		name, extra string
		event       func(*messages.Event)
		want        []messages.Job
	}{
		{"in the region that receives", "", func(*messages.Event) {}, []messages.Job{job("b1/replicate-a-b", "b", spec(0, 1))}},
		{"in the one that gives", "    run_in: primary", func(*messages.Event) {}, []messages.Job{job("b1/replicate-a-b", "a", spec(0, 1))}},
		{"in parts", "    shards: 2", func(*messages.Event) {}, []messages.Job{
			job("b1/replicate-a-b-1of2", "b", spec(0, 2)), job("b1/replicate-a-b-2of2", "b", spec(1, 2)),
		}},
		{"not from a region without copies", "", func(e *messages.Event) { e.Region = "c" }, nil},
		{"not after a failure", "", func(e *messages.Event) { e.Outcome = messages.OutcomeFailed }, nil},
		{"not after anything else", "", func(e *messages.Event) { e.Kind = messages.KindVerify }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := backup
			c.event(&e)
			jobs, err := replicated(t, c.extra).FollowUps.After(e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, jobs); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			for _, job := range jobs {
				if err := job.Check(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	// A region that any worker may have been in is every region.
	anywhere := backup
	anywhere.Region = messages.AnyRegion
	if jobs, err := replicated(t, "").FollowUps.After(anywhere); err != nil || len(jobs) != 2 {
		t.Errorf("after a backup of any region: %d jobs, %v", len(jobs), err)
	}
}

// TestReplicationByInterval: each pair is copied at every interval, and an outage of
// hours is caught up by one job.
func TestReplicationByInterval(t *testing.T) {
	plan := replicated(t, "    interval: 15m")
	plan.Schedules = slices.DeleteFunc(plan.Schedules, func(s Schedule) bool { return s.Name != config.ScheduleReplication })
	if len(plan.Schedules) != 1 || len(plan.Schedules[0].Targets) != 2 {
		t.Fatalf("schedules %+v", plan.Schedules)
	}
	st := newStage(t, plan)
	st.pass(time.Hour)
	if got := len(st.ids()); got != 2*4 {
		t.Errorf("%d jobs for two pairs and four intervals: %v", got, st.ids())
	}
	st.finish()
	st.clock.Advance(5 * time.Hour)
	st.tick()
	if got := len(st.ids()); got != 2*5 {
		t.Errorf("%d jobs after an outage, want one more for each pair: %v", got, st.ids())
	}
	for _, job := range st.order {
		if spec := job.Spec.(*messages.ReplicateSpec); job.Region != spec.To {
			t.Errorf("%s went to region %s", job.ID, job.Region)
		}
	}
}
