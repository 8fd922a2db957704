package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/storage/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRepository is a real repository with a backup of each source.
func newRepository(t *testing.T, sources ...string) (*repository.Repository, string) {
	t.Helper()
	dir := t.TempDir()
	be, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), be, keyring.Generate(time.Unix(1e9, 0)), repository.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(repo.Close(), be.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, source := range sources {
		backUp(t, repo, source)
	}
	return repo, dir
}

func backUp(t *testing.T, repo *repository.Repository, source string) repository.Snapshot {
	t.Helper()
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("content of "+source), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := snapshot.Backup(t.Context(), repo, snapshot.BackupOptions{
		Source: source, Path: path, Type: "full", Tags: []string{"nightly"}, Job: "job/" + source, JobTime: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Snapshot
}

func open(t *testing.T, store Store) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stores are all kinds of store; reopen returns what another process would see.
func stores(t *testing.T, fn func(t *testing.T, store Store, reopen func() Store)) {
	t.Run("memory", func(t *testing.T) {
		m := &Memory{}
		fn(t, m, func() Store { return m })
	})
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "deep", "catalog.json")
		reopen := func() Store {
			f, err := OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		fn(t, reopen(), reopen)
	})
	t.Run("bucket", func(t *testing.T) {
		server := natstest.Start(t)
		conn, err := bus.Connect(t.Context(), bus.Options{URL: server.ClientURL(), Name: "catalog"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu"}}); err != nil {
			t.Fatal(err)
		}
		b, err := bus.Bind(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		store, err := b.Store(messages.BucketCatalog)
		if err != nil {
			t.Fatal(err)
		}
		fn(t, Bucket{store}, func() Store { return Bucket{store} })
	})
}

func TestRebuildFromStorageAlone(t *testing.T) {
	stores(t, func(t *testing.T, store Store, reopen func() Store) {
		repo, dir := newRepository(t, "home", "pinned")
		if kept, err := repo.FindSnapshot(t.Context(), "latest:pinned"); err != nil {
			t.Fatal(err)
		} else if err := repo.Pin(t.Context(), kept, repository.Keep{Reason: "legal"}); err != nil {
			t.Fatal(err)
		}
		c := open(t, store)
		r, err := c.Rebuild(t.Context(), repo)
		if err != nil || r.Added != 2 || r.Snapshots != 2 || r.Removed+r.Changed != 0 {
			t.Fatalf("first rebuild: %+v, %v", r, err)
		}
		home, _, err := c.List(Query{Source: "home"})
		if err != nil || len(home) != 1 {
			t.Fatalf("list: %v, %v", home, err)
		}
		snap, err := repo.FindSnapshot(t.Context(), "latest:home")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(FromSnapshot(snap), home[0]); diff != "" || home[0].Size != int64(len("content of home")) || home[0].Job != "job/home" {
			t.Errorf("entry (-snapshot +catalog):\n%s\n%+v", diff, home[0])
		}
		if pinned, _, _ := c.List(Query{Source: "pinned"}); len(pinned) != 1 || pinned[0].Pinned != "legal" {
			t.Errorf("pinned = %+v", pinned)
		}

		// Marks survive a rebuild; the second one changes nothing.
		event(t, c, messages.KindVerify, "", messages.OutcomeSucceeded, time.Now().Add(time.Hour), map[string]any{"read_data": 100})
		if r, err := c.Rebuild(t.Context(), repo); err != nil || r.Added+r.Changed+r.Removed != 0 {
			t.Errorf("second rebuild: %+v, %v", r, err)
		}
		if again := open(t, reopen()); !cmp.Equal(again.all(), c.all()) || again.all()[snap.ID].VerifiedData != 100 {
			t.Errorf("opened again: %s", cmp.Diff(c.all(), again.all()))
		}

		// A snapshot that is gone goes; one that is damaged stays, with its
		// problem, whether its second copy can be read or not.
		if err := repo.DeleteSnapshot(t.Context(), snap); err != nil {
			t.Fatal(err)
		}
		for i, object := range []string{"snapshots", "copies"} {
			damage(t, filepath.Join(dir, object))
			r, err = c.Rebuild(t.Context(), repo)
			if err != nil || r.Removed != 1-i || len(r.Damaged) != 1 || r.Snapshots != 1-i {
				t.Errorf("rebuild with damaged %s: %+v, %v", object, r, err)
			}
			left, _, err := open(t, reopen()).List(Query{})
			if err != nil || len(left) != 1 || left[0].Source != "pinned" || errors.Is(r.Damaged[0], repository.ErrServed) != (i == 0) ||
				left[0].Problem != r.Damaged[0].Error() {
				t.Errorf("left with damaged %s: %+v, %v", object, left, err)
			}
		}
	})
}

// damage overwrites every object below dir.
func damage(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("junk"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// event applies an event of a job and returns whether it was complete.
func event(t *testing.T, c *Catalog, kind messages.Kind, source string, o messages.Outcome, at time.Time, result any) bool {
	t.Helper()
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	complete, err := c.Apply(t.Context(), messages.Event{
		ID: "e", Time: at, Job: "job/" + source, Kind: kind, Region: "eu", Outcome: o, Source: source, Result: data,
	})
	if err != nil {
		t.Fatal(err)
	}
	return complete
}

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func TestEvents(t *testing.T) {
	c := open(t, &Memory{})
	backup := map[string]any{"snapshot": "00000000000000aa", "type": "full", "bytes": 1000, "stored_bytes": 400, "files": 7, "duration_ms": 60_000, "unreadable_total": 2}
	if !event(t, c, messages.KindBackup, "home", messages.OutcomeSucceeded, noon, backup) {
		t.Error("a backup's event was not enough")
	}
	want := Entry{
		ID: "00000000000000aa", Source: "home", Type: "full", Time: noon.Add(-time.Minute), Approximate: true,
		Start: noon.Add(-time.Minute), End: noon, Job: "job/home", Size: 1000, Stored: 400, Files: 7, Unreadable: 2,
	}
	check := func(what string) {
		t.Helper()
		got, err := c.Get("00000000000000aa")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("after the backup")
	event(t, c, messages.KindBackup, "home", messages.OutcomeSucceeded, noon.Add(time.Hour), backup)
	check("after the event came twice")

	event(t, c, messages.KindVerify, "home", messages.OutcomeSucceeded, noon.Add(time.Second), map[string]any{"source": "home", "read_data": 100, "duration_ms": 5000})
	check("after a verification that began earlier")
	event(t, c, messages.KindVerify, "home", messages.OutcomeSucceeded, noon.Add(time.Hour), map[string]any{"source": "mail"})
	check("after a verification of another source")

	event(t, c, messages.KindVerify, "home", messages.OutcomeSucceeded, noon.Add(time.Hour), map[string]any{"snapshot": want.ID, "read_data": 100})
	want.Verified, want.VerifiedData, want.Checked = noon.Add(time.Hour), 100, noon.Add(time.Hour)
	check("after a verification")

	problems := []map[string]any{
		{"object": "packs/aa/1", "problem": "torn", "harmless": true, "affected": []any{map[string]any{"snapshot": want.ID}}},
		{"object": "packs/ab/2", "problem": "bit flip", "affected": []any{map[string]any{"snapshot": want.ID}}},
	}
	event(t, c, messages.KindVerify, "home", messages.OutcomeFailed, noon.Add(2*time.Hour), map[string]any{"problems": problems, "problems_total": 2, "harmless_total": 1})
	want.Problem, want.Checked = "packs/ab/2: bit flip", noon.Add(2*time.Hour)
	check("after damage was found")
	event(t, c, messages.KindVerify, "home", messages.OutcomeSucceeded, noon.Add(90*time.Minute), map[string]any{})
	check("after an older event came late")
	event(t, c, messages.KindVerify, "home", messages.OutcomeFailed, noon.Add(3*time.Hour), map[string]any{"problems_total": 9})
	want.Checked = noon.Add(3 * time.Hour)
	check("after damage that is not named")
	event(t, c, messages.KindVerify, "home", messages.OutcomeSucceeded, noon.Add(4*time.Hour), map[string]any{"read_data": 5})
	want.Problem, want.Verified, want.VerifiedData, want.Checked = "", noon.Add(4*time.Hour), 5, noon.Add(4*time.Hour)
	check("after all is well again")
	snapshotItself := []map[string]any{{"object": "snapshots/home/20250601T115900Z-" + want.ID, "problem": "truncated"}}
	event(t, c, messages.KindVerify, "home", messages.OutcomeFailed, noon.Add(5*time.Hour), map[string]any{"problems": snapshotItself, "problems_total": 1})
	want.Problem, want.Checked = "snapshots/home/20250601T115900Z-00000000000000aa: truncated", noon.Add(5*time.Hour)
	check("after its own object was damaged")

	event(t, c, messages.KindRestoreTest, "home", messages.OutcomeSucceeded, noon.Add(time.Hour), map[string]any{"snapshot": want.ID})
	want.Tested = noon.Add(time.Hour)
	check("after a restore test")

	forgotten := func(dry bool, n int) map[string]any {
		return map[string]any{"dry_run": dry, "forgotten": n, "decisions": []any{
			map[string]any{"snapshot": want.ID, "keep": false}, map[string]any{"snapshot": "other", "keep": true},
		}}
	}
	event(t, c, messages.KindForget, "home", messages.OutcomeSucceeded, noon, forgotten(true, 1))
	check("after a dry run")
	if event(t, c, messages.KindForget, "home", messages.OutcomeSucceeded, noon, forgotten(false, 2)) {
		t.Error("one of two forgotten snapshots was named, and the event counted as complete")
	}
	if c.Len() != 0 {
		t.Error("a forgotten snapshot is still there")
	}
	if event(t, c, messages.KindBackup, "home", messages.OutcomeSucceeded, noon, map[string]any{}) {
		t.Error("a backup without a snapshot's id counted as complete")
	}
	if !event(t, c, messages.KindBackup, "home", messages.OutcomeRetrying, noon, nil) {
		t.Error("a retry was not complete")
	}
	if _, err := c.Apply(t.Context(), messages.Event{Kind: messages.KindBackup, Outcome: messages.OutcomeSucceeded, Result: []byte("{")}); err == nil {
		t.Error("a broken result was accepted")
	}
}

func fill(t testing.TB, n int) *Catalog {
	t.Helper()
	c, err := Open(context.Background(), &Memory{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e := Entry{
			ID: fmt.Sprintf("%016x", i*0x10001), Source: []string{"home", "mail", "db"}[i%3], Type: []string{"incremental", "full"}[i%2],
			Time: noon.Add(time.Duration(i) * time.Hour), Size: int64(i * 37 % 1000), Stored: int64(i % 7), Files: int64(i % 5), Job: fmt.Sprint("job-", i), Host: "h",
		}
		if i%4 == 0 {
			e.Verified = e.Time.Add(time.Hour)
		}
		if i%5 == 0 {
			e.Tags, e.Problem = []string{"x"}, "broken"
		}
		if _, err := c.put(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestQueries(t *testing.T) {
	c := fill(t, 12)
	for _, test := range []struct {
		name  string
		query Query
		want  string // hours of the entries found, in order
		total int
	}{
		{"all, newest first", Query{}, "11 10 9 8 7 6 5 4 3 2 1 0", 12},
		{"oldest first", Query{Sort: "time", Limit: 3}, "0 1 2", 12},
		{"second page", Query{Sort: "time", Offset: 3, Limit: 3}, "3 4 5", 12},
		{"past the end", Query{Offset: 99}, "", 12},
		{"source", Query{Source: "mail"}, "10 7 4 1", 4},
		{"type and source", Query{Source: "mail", Type: "full"}, "7 1", 2},
		{"tag", Query{Tag: "x"}, "10 5 0", 3},
		{"job", Query{Job: "job-7"}, "7", 1},
		{"host", Query{Host: "other"}, "", 0},
		{"between", Query{Since: noon.Add(2 * time.Hour), Until: noon.Add(5 * time.Hour)}, "4 3 2", 3},
		{"sizes", Query{MinSize: 100, MaxSize: 200}, "5 4 3", 3},
		{"largest first", Query{Sort: "-size", Limit: 2}, "11 10", 12},
		{"stored, ties newest first", Query{Sort: "stored", Limit: 4}, "7 0 8 1", 12},
		{"by source", Query{Sort: "source", Limit: 5}, "11 8 5 2 9", 12},
		{"by type", Query{Sort: "-type", Limit: 2}, "10 8", 12},
		{"by files", Query{Sort: "-files", Limit: 2}, "9 4", 12},
		{"least recently verified", Query{Sort: "verified", Source: "home"}, "9 6 3 0", 4},
		{"never verified or before", Query{NotVerifiedSince: noon.Add(8 * time.Hour), Source: "home"}, "9 6 3 0", 4},
		{"not verified since six", Query{NotVerifiedSince: noon.Add(6 * time.Hour), Source: "mail"}, "10 7 4 1", 4},
		{"verified since", Query{NotVerifiedSince: noon.Add(5 * time.Hour), Source: "mail"}, "10 7 1", 3},
		{"problems", Query{Problems: true, Type: "full"}, "5", 1},
	} {
		got, total, err := c.List(test.query)
		if err != nil {
			t.Fatal(err)
		}
		var hours []string
		for _, e := range got {
			hours = append(hours, fmt.Sprint(int(e.Time.Sub(noon).Hours())))
		}
		if text := strings.Join(hours, " "); text != test.want || total != test.total {
			t.Errorf("%s: %q of %d, want %q of %d", test.name, text, total, test.want, test.total)
		}
	}
	if _, _, err := c.List(Query{Sort: "colour"}); err == nil {
		t.Error("a sort by colour was accepted")
	}
}

func TestGet(t *testing.T) {
	c := fill(t, 12)
	if e, err := c.Get("00000000000b"); err != nil || e.Time != noon.Add(11*time.Hour) {
		t.Errorf("by prefix: %+v, %v", e, err)
	}
	for _, id := range []string{"", "0000", "ff"} {
		if _, err := c.Get(id); !errors.Is(err, ErrNoEntry) {
			t.Errorf("Get(%q) = %v, want ErrNoEntry", id, err)
		}
	}
}

func TestFileSurvivesATornLineAndStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.json")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if err := f.Put(t.Context(), fmt.Sprint("k", i%10), fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Delete(t.Context(), "k0"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, []byte(`{"key":"k1","val`)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = OpenFile(path); err != nil {
		t.Fatal(err)
	}
	if len(f.values) != 9 || string(f.values["k1"]) != `{"n":491}` {
		t.Errorf("read back %d values, k1 = %s", len(f.values), f.values["k1"])
	}
	if small, err := os.ReadFile(path); err != nil || len(small) > len(whole)/10 {
		t.Errorf("the file has %d bytes, %v", len(small), err)
	}
	if err := os.Mkdir(path+".d", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path + ".d"); err == nil {
		t.Error("a directory was opened as a catalog")
	}
}

func TestUnreadableEntriesAreLeftOut(t *testing.T) {
	m := &Memory{}
	for key, value := range map[string]string{"aa": "{", "bb": `{"id":"cc"}`, "dd": `{"id":"dd"}`} {
		if err := m.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if c := open(t, m); c.Len() != 1 {
		t.Errorf("%d entries", c.Len())
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add("aa", []byte(`{"id":"aa","source":"home","time":"2025-06-01T12:00:00Z"}`))
	f.Add("aa", []byte(`{"id":"bb"}`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		e, err := decodeEntry(key, data)
		if err == nil && e.ID != key {
			t.Errorf("entry of %q decoded as %q", key, e.ID)
		}
	})
}

func BenchmarkList(b *testing.B) {
	c := fill(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.List(Query{Source: "home", Sort: "-size", Limit: 50}); err != nil {
			b.Fatal(err)
		}
	}
}
