package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// exitFull is how a process that replicates ends when the target is full, exitTemporary
// when what it met may pass.
const exitFull, exitTemporary = 28, 75

// impatient gives up on a cut link within a test's time.
var impatient = storage.RetryOptions{Attempts: 3, First: 20 * time.Millisecond, Longest: 200 * time.Millisecond, Elapsed: 2 * time.Second, Dead: 2 * time.Second}

// replicate copies once, and never returns when it fails. Secrets are in the environment.
func (r role) replicate(ctx context.Context) error {
	from, err := storage.OpenWith(ctx, r.Location, storage.OpenOptions{Retry: impatient})
	if err != nil {
		return err
	}
	to, err := storage.OpenWith(ctx, r.To, storage.OpenOptions{Retry: impatient})
	if err != nil {
		return err
	}
	result, err := replication.Run(ctx, replication.Options{From: from, To: to, DeleteAfter: r.Wait, Parallel: 4, By: "a test"})
	fmt.Fprintln(os.Stderr, err)
	switch {
	case errors.Is(err, storage.ErrFull):
		os.Exit(exitFull)
	case errors.As(err, new(*storage.TemporaryError)):
		os.Exit(exitTemporary)
	case err != nil:
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// regions is a primary on disk and its replica in an S3 server behind a link.
type regions struct {
	t       *testing.T
	dir     string
	ring    *keyring.Ring
	primary string
	server  *servers.S3Server
	link    *wire.Proxy
	trees   map[string]string // snapshot -> the tree that it holds
	order   []string
	seed    uint64
}

func newRegions(t *testing.T) *regions {
	t.Helper()
	r := &regions{t: t, dir: t.TempDir(), ring: keyring.Generate(time.Now()), server: servers.S3(t), trees: map[string]string{}}
	r.primary = "file://" + filepath.Join(r.dir, "primary")
	r.link = wire.New(t, wire.S3, r.server.Endpoint())
	be := r.open(r.primary)
	repo, err := repository.Create(t.Context(), be, r.ring, repository.CreateOptions{Parity: repository.StandardParity()})
	if err == nil {
		err = repo.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// secrets are what opens the server.
func (r *regions) secrets() storage.Credentials {
	return storage.Credentials{S3: storage.S3Credentials{AccessKey: r.server.AccessKey, SecretKey: r.server.SecretKey}}
}

func (r *regions) open(place string) storage.Backend {
	r.t.Helper()
	be, err := storage.OpenWith(r.t.Context(), place, storage.OpenOptions{Credentials: r.secrets()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { be.Close() })
	return be
}

// replica is the replica, not by way of the link.
func (r *regions) replica() storage.Backend { return r.open(r.server.URL("replica")) }

// within calls fn with the repository in a place.
func (r *regions) within(be storage.Backend, fn func(*repository.Repository) error) {
	r.t.Helper()
	repo, err := repository.Open(r.t.Context(), be, r.ring, repository.OpenOptions{})
	if err == nil {
		err = errors.Join(fn(repo), repo.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// backup stores another tree in the primary.
func (r *regions) backup() {
	r.t.Helper()
	r.seed++
	tree := filepath.Join(r.dir, fmt.Sprint("tree", r.seed))
	for kind, spec := range map[string]corpus.Spec{
		"large": {Kind: corpus.Mixed, Files: 2, FileSize: 3 << 20, Seed: r.seed},
		"small": {Kind: corpus.Small, Files: 20, FileSize: 4 << 10, Seed: 1}, // in all of them
	} {
		if _, err := corpus.Write(r.t.Context(), filepath.Join(tree, kind), spec); err != nil {
			r.t.Fatal(err)
		}
	}
	r.within(r.open(r.primary), func(repo *repository.Repository) error {
		got, err := snapshot.Backup(r.t.Context(), repo, snapshot.BackupOptions{
			Source: "s", Path: tree, Job: fmt.Sprint(r.seed), JobTime: time.Unix(1_700_000_000+int64(r.seed), 0),
		})
		r.trees[got.Snapshot.ID] = tree
		r.order = append(r.order, got.Snapshot.ID)
		return err
	})
}

// forget forgets the oldest snapshot of the primary and collects what it leaves.
func (r *regions) forget() {
	r.t.Helper()
	r.within(r.open(r.primary), func(repo *repository.Repository) error {
		snap, err := repo.FindSnapshot(r.t.Context(), r.order[0])
		if err == nil {
			err = repo.DeleteSnapshot(r.t.Context(), snap)
		}
		if err != nil {
			return err
		}
		_, err = prune.Run(r.t.Context(), repo, prune.Options{})
		return err
	})
	r.order = r.order[1:]
}

// restores restores every snapshot that the place has, from it alone.
func (r *regions) restores(be storage.Backend) (n int) {
	r.t.Helper()
	if _, err := repository.Identify(r.t.Context(), be); errors.Is(err, repository.ErrNotRepository) {
		return 0
	}
	r.within(be, func(repo *repository.Repository) error {
		all, damaged, err := repo.Snapshots(r.t.Context(), "")
		if err = errors.Join(append(damaged, err)...); err != nil {
			return err
		}
		for _, snap := range all {
			n++
			target := filepath.Join(r.dir, "restored")
			if _, err := snapshot.Restore(r.t.Context(), repo, snap, snapshot.RestoreOptions{Target: target}); err != nil {
				return fmt.Errorf("snapshot %s: %w", snap.ID, err)
			}
			_, differ, err := corpus.Compare(r.t.Context(), r.trees[snap.ID], target)
			if err != nil || len(differ) > 0 {
				return fmt.Errorf("snapshot %s came back as something else: %q, %w", snap.ID, differ, err)
			}
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		return nil
	})
	return n
}

// start begins a process that replicates over the link.
func (r *regions) start() *exec.Cmd {
	r.t.Helper()
	do := role{Do: "replicate", Location: r.primary, To: r.server.Through(r.link.URL(), "replica"), Wait: time.Second}
	env, err := do.env()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(env, "AWS_ACCESS_KEY_ID="+r.server.AccessKey, "AWS_SECRET_ACCESS_KEY="+r.server.SecretKey)
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		cmd.Process.Kill()
		if r.t.Failed() {
			r.t.Log(out.String())
		}
		if strings.Contains(out.String(), r.server.SecretKey) {
			r.t.Error("a secret was printed")
		}
	})
	return cmd
}

// code waits for a process and returns how it ended, -1 for killed.
func code(cmd *exec.Cmd) int {
	_ = cmd.Wait() // the state says it
	return cmd.ProcessState.ExitCode()
}

// Replication is killed with SIGKILL twenty times at random moments of its work, the link is cut and
// healed, the target is full for a while, and the primary goes on meanwhile. After
// each of it every snapshot that the replica shows is restored from the replica alone.
func TestReplicationKilledCutAndFull(t *testing.T) {
	r := newRegions(t)
	r.backup()
	began := time.Now()
	if got := code(r.start()); got != 0 {
		t.Fatalf("a run that nobody disturbs ends with %d", got)
	}
	took := time.Since(began)
	if n := r.restores(r.replica()); n != 1 {
		t.Fatalf("the replica shows %d snapshots, want 1", n)
	}
	killed, shown := 0, 0
	for n := 0; killed < trials; n++ {
		if n == 3*trials {
			t.Fatalf("only %d of %d runs could be killed", killed, n)
		}
		r.backup()
		if len(r.order) > 4 {
			r.forget()
		}
		cmd := r.start()
		time.Sleep(time.Duration(rand.Int64N(int64(took * 5 / 4))))
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		if code(cmd) == -1 {
			killed++
		}
		shown = r.restores(r.replica())
		// Now and then one gets through: of a primary most of whose snapshots went since the
		// last one did it is not believed that they were forgotten.
		if n%3 == 2 {
			if got := code(r.start()); got != 0 {
				t.Fatalf("after %d kills a run that nobody disturbs ends with %d", killed, got)
			}
		}
	}
	t.Logf("killed %d times within %v; then the replica showed %d snapshots", killed, took.Round(time.Millisecond), shown)

	r.backup()
	r.link.On(wire.Put).Under(r.server.Bucket + "/replica/packs/").After(1).Times(-1).Status(507)
	if got := code(r.start()); got != exitFull {
		t.Errorf("with a full target it ends with %d, want %d", got, exitFull)
	}
	r.restores(r.replica())
	r.link.Reset()

	r.backup()
	cmd := r.start()
	time.Sleep(took / 3)
	r.link.Cut(true)
	if got := code(cmd); got != exitTemporary && got != 0 {
		t.Errorf("with the link cut it ends with %d, want %d", got, exitTemporary)
	}
	if got := code(r.start()); got != exitTemporary {
		t.Errorf("begun while the link is cut it ends with %d, want %d", got, exitTemporary)
	}
	r.restores(r.replica())
	r.link.Cut(false)

	if got := code(r.start()); got != 0 {
		t.Fatalf("at the end it ends with %d", got)
	}
	r.complete(r.open(r.primary), r.replica())
	if n := r.restores(r.replica()); n < len(r.order) {
		t.Errorf("the replica shows %d snapshots, the primary has %d", n, len(r.order))
	}
}

// complete wants every object of one place in the other, bit for bit, and no lag.
func (r *regions) complete(from, to storage.Backend) {
	r.t.Helper()
	lag, err := replication.Measure(r.t.Context(), from, to)
	if err != nil || lag.Objects != 0 || lag.Snapshots != 0 {
		r.t.Errorf("the lag is %+v, %v", lag, err)
	}
	count := 0
	err = from.List(r.t.Context(), "", func(info storage.Info) error {
		if strings.Contains(info.Name, "gc/") || strings.HasPrefix(info.Name, replication.Prefix) || strings.HasPrefix(info.Name, "ledger/") || strings.HasPrefix(info.Name, "copies/ledger/") {
			return nil
		}
		count++
		want, err := storage.ReadAll(r.t.Context(), from, info.Name, 64<<20, nil)
		if err != nil {
			return err
		}
		got, err := storage.ReadAll(r.t.Context(), to, info.Name, 64<<20, nil)
		if err == nil && string(got) != string(want) {
			err = fmt.Errorf("%s differs", info.Name)
		}
		return err
	})
	if err != nil || count == 0 {
		r.t.Errorf("%d objects compared: %v", count, err)
	}
}

// A repository on disk is copied to S3, and that copy to Azure: the same objects bit for
// bit, without a key, and the last one restores.
func TestReplicaOfAReplicaElsewhere(t *testing.T) {
	t.Parallel()
	r := newRegions(t)
	for range 3 {
		r.backup()
	}
	azure := servers.Azure(t)
	second := r.replica()
	third, err := storage.OpenWith(t.Context(), azure.URL("replica"), storage.OpenOptions{
		Credentials: storage.Credentials{Azure: storage.AzureCredentials{AccountKey: azure.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { third.Close() })
	first := r.open(r.primary)
	for _, hop := range [][2]storage.Backend{{first, second}, {second, third}} {
		got, err := replication.Run(t.Context(), replication.Options{From: hop[0], To: hop[1], ReadBack: 100})
		if err != nil || !got.Finished || got.Snapshots != 3 {
			t.Fatalf("%s to %s: %+v, %v", hop[0].Location(), hop[1].Location(), got, err)
		}
	}
	r.complete(first, third)
	if err := os.RemoveAll(filepath.Join(r.dir, "primary")); err != nil {
		t.Fatal(err)
	}
	if n := r.restores(third); n != 3 {
		t.Errorf("%d snapshots were restored from Azure, want 3", n)
	}
}

// The lag that is measured, with the link to the replica cut and whole again, is what
// really is not there.
func TestLagDuringACut(t *testing.T) {
	t.Parallel()
	r := newRegions(t)
	primary, replica := r.open(r.primary), r.replica()
	through, err := storage.OpenWith(t.Context(), r.server.Through(r.link.URL(), "replica"), storage.OpenOptions{Credentials: r.secrets(), Retry: impatient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { through.Close() })
	run := func() error {
		_, err := replication.Run(t.Context(), replication.Options{From: primary, To: through})
		return err
	}
	r.backup()
	if err := run(); err != nil {
		t.Fatal(err)
	}
	r.link.Cut(true)
	for n := 1; n <= 3; n++ {
		r.backup()
		if err := run(); !errors.As(err, new(*storage.TemporaryError)) {
			t.Errorf("with the link cut: %v", err)
		}
		lag, err := replication.Measure(t.Context(), primary, replica)
		bytes, objects := r.absent(primary, replica)
		oldest := time.Unix(1_700_000_000+2, 0) // the first backup of the cut
		if err != nil || lag.Bytes != bytes || lag.Objects != objects || lag.Snapshots != int64(n) || !lag.Oldest.Equal(oldest) {
			t.Errorf("after %d backups: %+v, %v; really %d bytes in %d objects are not there, since %v", n, lag, err, bytes, objects, oldest)
		}
		t.Logf("after %d backups during the cut: %d objects, %d bytes, oldest %s", n, lag.Objects, lag.Bytes, lag.Oldest.UTC().Format(time.TimeOnly))
		if _, err := replication.Measure(t.Context(), primary, through); err == nil {
			t.Error("the lag was measured over a link that is cut")
		}
	}
	r.link.Cut(false)
	if err := run(); err != nil {
		t.Fatal(err)
	}
	r.complete(primary, replica)
}

// absent counts what is in one place and not in the other, object by object.
func (r *regions) absent(from, to storage.Backend) (bytes, objects int64) {
	r.t.Helper()
	there := map[string]bool{}
	list := func(be storage.Backend, fn func(storage.Info)) {
		for _, prefix := range []string{"packs/", "parity/", "index/", "snapshots/", "copies/index/", "copies/snapshots/"} {
			if err := be.List(context.Background(), prefix, func(info storage.Info) error { fn(info); return nil }); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	list(to, func(info storage.Info) { there[info.Name] = true })
	list(from, func(info storage.Info) {
		if !there[info.Name] {
			objects++
			bytes += info.Size
		}
	})
	return bytes, objects
}
