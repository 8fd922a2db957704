package failover_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/app"
	"mahavishnu/app/failover"
	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/replication"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
)

// copied is a repository of region a with a snapshot, and its copy in region b.
type copied struct {
	failover.Repositories
	cfg      *config.Config
	replicas app.Replicas
	pair     config.RegionPair
	call     plan.Call
}

func newCopied(t *testing.T) *copied {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter"), []byte("dear reader"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Create(filepath.Join(dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "mahavishnu.yaml")
	if err := os.WriteFile(path, []byte(`
backup:
  encryption: {key_path: key}
  replication:
    enabled: true
    regions: [{primary: a, secondary: b}]
    storages: {a: {local: {enabled: true, path: a}}, b: {local: {enabled: true, path: b}}}
regions: [a, b]
sources: {home: {path: letter, region: a}}
node: {name: n1, region: a, data_dir: data}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	access := app.AccessTo(cfg)
	c := &copied{
		cfg: cfg, pair: config.RegionPair{Primary: "a", Secondary: "b"},
		replicas: app.Replicas{Config: func() *config.Config { return cfg }, Storage: access.Storage, Access: access},
		call:     plan.Call{Epoch: 7, Node: "n1", Execution: "x", Params: map[string]string{"from": "a", "to": "b", "lag": "1h"}},
	}
	c.Repositories = failover.NewRepositories(cfg, c.replicas)
	access.Create = true
	if err := c.backUp(t, access); err != nil {
		t.Fatal(err)
	}
	ends, err := c.replicas.Replica(t.Context(), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = replication.Run(t.Context(), replication.Options{From: ends.From, To: ends.To})
	if err := errors.Join(err, ends.Close()); err != nil {
		t.Fatal(err)
	}
	return c
}

// backUp stores a snapshot as a worker would.
func (c *copied) backUp(t *testing.T, access app.Access) (err error) {
	t.Helper()
	access.Write = true
	repo, err := access.Open(t.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	_, err = snapshot.Backup(t.Context(), repo.Repository, snapshot.BackupOptions{Source: "home", Path: c.cfg.Sources["home"].Path})
	return err
}

// there is how a worker of region b, which takes the jobs of a, reaches the repository.
func (c *copied) there(t *testing.T) app.Access {
	t.Helper()
	access := app.AccessTo(c.cfg)
	home, _ := c.cfg.RegionPlace("a")
	place, ok := c.cfg.ReplicaPlace("a", "b")
	if !ok {
		t.Fatal("the copy has no place")
	}
	access.Location, access.Peers = place.String(), []app.Peer{{Name: "a", URL: home.URL}}
	return access
}

// A copy is made the primary by a plan's action, once, also when it is asked twice.
func TestRepositoryIsPromotedByAPlan(t *testing.T) {
	p := newCopied(t)
	promote := p.Action("promote_repository")
	if ok, seen, err := p.Current(t.Context(), p.call); err != nil || !ok {
		t.Errorf("%v %s %v", ok, seen, err)
	}
	for _, want := range []bool{false, true} {
		if done, err := promote.Done(t.Context(), p.call); err != nil || done != want {
			t.Fatalf("done is %v, want %v (%v)", done, want, err)
		}
		if text, err := promote.Do(t.Context(), p.call); err != nil || !strings.Contains(text, "is the primary") {
			t.Fatalf("%s %v", text, err)
		}
	}
	p.call.Params["to"] = "elsewhere"
	if _, err := promote.Check(t.Context(), p.call); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("a copy that is not configured: %v", err)
	}
}

// What was given to a promoted copy is in the primary after the failback, which is done
// once however often it is asked for, and the record says where the repository is.
func TestARepositoryGoesAndComesBack(t *testing.T) {
	p := newCopied(t)
	promote, failback := p.Action("promote_repository"), p.Action("failback_repository")
	if err := p.backUp(t, p.there(t)); !errors.Is(err, replication.ErrReplica) {
		t.Errorf("a copy that was not promoted takes backups: %v", err)
	}
	if _, err := promote.Do(t.Context(), p.call); err != nil {
		t.Fatal(err)
	}
	if done, err := failback.Done(t.Context(), p.call); err != nil || done {
		t.Fatalf("it is back already: %v", err)
	}
	if err := p.backUp(t, p.there(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.backUp(t, app.AccessTo(p.cfg)); !errors.Is(err, replication.ErrReplica) {
		t.Errorf("the old primary takes backups: %v", err)
	}
	for range 2 {
		text, err := failback.Do(t.Context(), p.call)
		if err != nil || !strings.Contains(text, "is the primary") {
			t.Fatalf("%s %v", text, err)
		}
		if done, err := failback.Done(t.Context(), p.call); err != nil || !done {
			t.Fatalf("it is not back: %v", err)
		}
	}
	primary, replica, err := p.replicas.Ends(t.Context(), p.pair)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { primary.Close(); replica.Close() }()
	if missing, err := replication.Only(t.Context(), replica, primary); err != nil || len(missing) > 0 {
		t.Errorf("only the copy has %v (%v)", missing, err)
	}
	if r, err := p.Region(t.Context(), "a"); err != nil || r.Changed() {
		t.Errorf("%+v %v", r, err)
	}
	old := p.call
	old.Epoch = 6
	if _, err := promote.Do(t.Context(), old); !errors.Is(err, plan.ErrFenced) {
		t.Errorf("a leader that was replaced promoted: %v", err)
	}
}
