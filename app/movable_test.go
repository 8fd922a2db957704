package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
)

// Where nothing but backups can move to another region, there are plans for it, too.
func TestPlansWithoutServices(t *testing.T) {
	dir := filepath.Dir(testConfig(t, "").Backup.Encryption.KeyPath)
	path := filepath.Join(dir, "two.yaml")
	if err := os.WriteFile(path, []byte(`
backup:
  encryption: {key_path: key}
  replication:
    enabled: true
    regions: [{primary: eu, secondary: us}]
    storages: {eu: {local: {enabled: true, path: eu}}, us: {local: {enabled: true, path: us}}}
regions: [eu, us]
sources: {home: {path: home, region: eu}}
node: {name: n1, region: eu, data_dir: data, listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0"}
failover: {heartbeat: 100ms, coordinators: [{node: n1, region: eu}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Coordinator: true}})
	request, err := json.Marshal(plan.Request{Ask: plan.AskTry, Plan: "region_failure", Params: map[string]string{"from": "eu", "to": "us"}, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]string
	comes(t, "the leader looks at the plan", func() bool {
		answer, err := a.Bus().AskPlans(t.Context(), request)
		if err != nil {
			return false
		}
		reply, err := plan.DecodeReply(answer)
		if err != nil || reply.Evaluation == nil {
			return false
		}
		seen = map[string]string{}
		for _, f := range reply.Evaluation.Findings {
			seen[f.Step] = f.Seen + f.Error
		}
		return true
	})
	if want := "no service has its primary in eu"; seen["services"] != want {
		t.Errorf("of services it says %q, want %q", seen["services"], want)
	}
}
