package prune_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
)

// The same where a server keeps the objects, by its own clock: it refuses to delete them,
// prune is well with that whatever this machine's clock says, and only what snapshots need is
// kept for longer.
func TestObjectLock(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	be, err := storage.OpenWith(t.Context(), s.URL("site-a")+"&lock=compliance", storage.OpenOptions{
		Credentials: storage.Credentials{S3: storage.S3Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	})
	v := &vault{t: t, be: be.(keeper), ring: keyring.Generate(time.Now()), now: &ahead{Clock: clock.System()}, kept: keptFor}
	v.create()
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
		if err := v.be.Delete(t.Context(), name); !errors.Is(err, storage.ErrRetained) {
			t.Errorf("%s is kept until %v and could be deleted: %v", name, until, err)
		}
	}
	if err := v.open().DeleteSnapshot(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, passed := range []int{0, 20, 11} {
		v.now.pass(days(passed))
		retained := 0
		if passed == 11 { // then this machine believes that the retention of the old ones has ended
			retained = len(first)
		}
		if report := v.prune(); report.RemovedPacks > 0 || report.RetainedPacks != retained || report.Clean() != (retained == 0) {
			t.Errorf("%d days later: %+v", passed, report)
		}
	}
	longer := 0
	for name, until := range v.ends() {
		before, isOld := first[name]
		switch {
		case isOld && !until.Equal(before):
			t.Errorf("%s, which nothing needs, is kept until %v and no more until %v", name, until, before)
		case !isOld && until.Sub(v.now.Now()) > keptFor/2:
			longer++
		}
	}
	if longer == 0 || len(v.ends()) != len(all) {
		t.Errorf("%d of %d packs are kept for longer, %d are there", longer, len(all), len(v.ends()))
	}
	v.restores(stays, want)
}
