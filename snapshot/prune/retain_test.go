package prune_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/local"
)

// ahead is the machine's clock, some time ahead.
type ahead struct {
	clock.Clock
	by atomic.Int64
}

func (a *ahead) Now() time.Time               { return a.Clock.Now().Add(time.Duration(a.by.Load())) }
func (a *ahead) pass(d time.Duration)         { a.by.Add(int64(d)) }
func days(n int) time.Duration                { return time.Duration(n) * 24 * time.Hour }
func (v *vault) open() *repository.Repository { return v.with(v.now) }

// keeper is a storage that can keep objects from being deleted.
type keeper interface {
	storage.Backend
	storage.Retainer
}

// vault is a repository that keeps everything for thirty days, by default in a directory.
type vault struct {
	t    *testing.T
	dir  string
	be   keeper
	ring *keyring.Ring
	now  *ahead
	kept time.Duration
	seed int
}

const keptFor = 30 * 24 * time.Hour

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{t: t, dir: t.TempDir(), ring: keyring.Generate(time.Now()), now: &ahead{Clock: clock.System()}, kept: keptFor}
	be, err := local.Open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	v.be = be.WithClock(v.now)
	v.create()
	return v
}

// create makes the repository.
func (v *vault) create() {
	v.t.Helper()
	t := v.t
	if err := v.be.RetentionCheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := repository.Create(t.Context(), v.be, v.ring, repository.CreateOptions{
		Parity: repository.StandardParity(), Reserve: true, Retention: repository.Retention{For: keptFor, Clock: v.now},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func (v *vault) with(c clock.Clock) *repository.Repository {
	v.t.Helper()
	r, err := repository.Open(v.t.Context(), v.be, v.ring, repository.OpenOptions{Reserve: true, Retention: repository.Retention{For: v.kept, Clock: c}})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			v.t.Error(err)
		}
	})
	return r
}

func (v *vault) backup(dir string) repository.Snapshot {
	v.t.Helper()
	v.seed++
	r, err := snapshot.Backup(v.t.Context(), v.open(), snapshot.BackupOptions{
		Source: "s", Path: dir, Job: "job-" + content(uint64(v.seed), 4), JobTime: v.now.Now(), Clock: v.now,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return r.Snapshot
}

func (v *vault) prune() prune.Report {
	v.t.Helper()
	report, err := prune.Run(v.t.Context(), v.open(), prune.Options{Clock: v.now})
	if err != nil || len(report.Troubles) > 0 {
		v.t.Fatalf("%v, %v", err, report.Troubles)
	}
	return report
}

// ends returns until when each pack is kept.
func (v *vault) ends() map[string]time.Time {
	v.t.Helper()
	ends := map[string]time.Time{}
	err := v.be.List(v.t.Context(), "packs/", func(info storage.Info) error {
		until, err := v.be.Retained(v.t.Context(), info.Name)
		ends[info.Name] = until
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return ends
}

func (v *vault) restores(s repository.Snapshot, want map[string]string) {
	v.t.Helper()
	to := filepath.Join(v.t.TempDir(), "restored")
	if _, err := snapshot.Restore(v.t.Context(), v.open(), s, snapshot.RestoreOptions{Target: to}); err != nil {
		v.t.Fatal(err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != text {
			v.t.Errorf("%s is not what it was: %v", name, err)
		}
	}
}

// What nothing needs goes when its retention has ended and not before, prune is well
// with that, and only what snapshots need is kept for longer.
func TestRetention(t *testing.T) {
	v := newVault(t)
	old, new := t.TempDir(), t.TempDir()
	want := map[string]string{"kept": content(1, 300_000)}
	for dir, text := range map[string]string{old: content(2, 300_000), new: want["kept"]} {
		if err := os.WriteFile(filepath.Join(dir, "kept"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := v.backup(old)
	first := v.ends()
	stays := v.backup(new)
	all := v.ends()
	for name, until := range all {
		if left := until.Sub(v.now.Now()); left < keptFor-time.Hour || left > keptFor+time.Minute {
			t.Errorf("%s is kept for %v", name, left)
		}
		if err := v.be.Delete(t.Context(), name); !errors.Is(err, storage.ErrRetained) {
			t.Errorf("%s could be deleted: %v", name, err)
		}
	}
	r := v.open()
	if err := r.DeleteSnapshot(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if snaps, _, err := r.Snapshots(t.Context(), ""); err != nil || len(snaps) != 1 {
		t.Fatalf("%d snapshots, %v: a forgotten one shows while its object is kept", len(snaps), err)
	}

	report := v.prune()
	if report.RemovedPacks > 0 || !report.Clean() || len(v.ends()) != len(all) || report.Retention == nil || report.Retention.Objects == 0 {
		t.Errorf("%+v", report)
	}
	if again := v.prune(); again.Retention == nil || again.Retention.Objects != 0 {
		t.Errorf("kept for longer again at once: %+v", again.Retention)
	}
	earliest, ok, err := v.open().Unprotected(t.Context())
	if err != nil || !ok || earliest.Sub(v.now.Now()) < keptFor-time.Hour {
		t.Errorf("unprotected from %v, %v, %v", earliest, ok, err)
	}

	v.now.pass(days(20))
	v.prune()
	needed := 0
	for name, until := range v.ends() {
		_, isOld := first[name]
		longer := until.Sub(v.now.Now()) > keptFor-time.Hour
		if isOld == longer {
			t.Errorf("%s, which nothing needs: %v, is kept until %v", name, isOld, until)
		}
		if longer {
			needed++
		}
	}
	if needed == 0 {
		t.Error("nothing is kept for longer")
	}

	v.now.pass(days(11))
	report = v.prune()
	if report.RemovedPacks != len(first) || !report.Clean() {
		t.Errorf("removed %d packs of %d whose retention has ended: %+v", report.RemovedPacks, len(first), report)
	}
	err = v.be.List(t.Context(), "", func(info storage.Info) error {
		if strings.Contains(info.Name, gone.ID) && !strings.HasPrefix(info.Name, "gc/gone/") {
			t.Errorf("%s is left", info.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v.restores(stays, want)

	// Whoever has the credentials deletes what can be deleted.
	var names []string
	if err := v.be.List(t.Context(), "", func(info storage.Info) error {
		names = append(names, info.Name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range names {
		switch err := v.be.Delete(t.Context(), name); {
		case errors.Is(err, storage.ErrRetained):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if refused == 0 || refused == len(names) {
		t.Errorf("%d of %d refused", refused, len(names))
	}
	v.restores(stays, want)
}

// A pack that was kept for longer and then is not needed any more waits, condemned,
// until the storage lets it go.
func TestCondemnedPacksWaitForTheirRetention(t *testing.T) {
	v := newVault(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(content(3, 200_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := v.backup(dir)
	packs := len(v.ends())
	v.now.pass(days(20))
	v.prune() // until day 50
	if err := v.open().DeleteSnapshot(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	v.now.pass(days(15)) // its first retention would have ended
	report := v.prune()
	if report.RemovedPacks != 0 || report.RetainedPacks != packs || len(report.Waiting) == 0 || !strings.Contains(report.Waiting[0].Why, "retention") {
		t.Errorf("%+v", report)
	}
	v.now.pass(days(16))
	if report = v.prune(); report.RemovedPacks != packs || len(v.ends()) != 0 || !report.Clean() {
		t.Errorf("%+v", report)
	}
}

// TestRetentionIsRaised raises the time for which everything is kept: what was kept
// for the old time is kept for the new one by the next prune, and not when half of the
// new one has passed, when the old one has ended long ago.
func TestRetentionIsRaised(t *testing.T) {
	v := newVault(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte(content(1, 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	v.backup(dir)
	v.prune()
	v.now.pass(time.Hour)
	if again := v.prune().Retention; again.Objects != 0 {
		t.Errorf("an hour later %d objects were kept for longer", again.Objects)
	}
	v.kept = 10 * keptFor
	raised := v.prune().Retention
	if least := v.now.Now().Add(v.kept); raised.Objects == 0 || raised.Until.Before(least) {
		t.Errorf("%d objects are kept until %v, not %v", raised.Objects, raised.Until, least)
	}
	if again := v.prune().Retention; again.Objects != 0 {
		t.Errorf("at once %d objects were kept for longer again", again.Objects)
	}
}
