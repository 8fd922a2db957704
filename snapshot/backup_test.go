package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

func noise(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

func sample() map[string]string {
	return map[string]string{
		"a":                                 "alpha",
		"b/c":                               strings.Repeat("some text\n", 1000),
		"b/empty":                           "",
		"b/d/e/f":                           noise(1, 300<<10),
		"big":                               noise(2, 9<<20),
		"void/":                             "",
		"names/\xff\x01":                    "bytes",
		"names/" + strings.Repeat("n", 255): "long",
	}
}

func TestBackupHoldsTheSource(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	s.must(os.Symlink("nowhere/at all", filepath.Join(dir, "link")))
	s.must(os.Chmod(filepath.Join(dir, "a"), 0o4711))
	res := s.backup(dir, func(o *BackupOptions) {
		o.Tags, o.Labels, o.Engine = []string{"x"}, map[string]string{"k": "v"}, "test 1"
	})
	s.wantLive(res.Snapshot, dir)

	st := res.Stats
	want := Stats{Files: Counts{New: 7}, Dirs: Counts{New: 6}, Others: Counts{New: 1}}
	if st.Files != want.Files || st.Dirs != want.Dirs || st.Others != want.Others {
		t.Errorf("counts %+v", st)
	}
	var size int64
	for _, content := range sample() {
		size += int64(len(content))
	}
	if st.Bytes != size || st.BytesRead != size || st.BytesTrusted != 0 || st.BytesNew < size || st.BytesStored == 0 {
		t.Errorf("bytes %+v, want %d read", st, size)
	}
	snap := res.Snapshot
	if snap.Totals.Files != 7 || snap.Totals.Dirs != 6 || snap.Totals.Others != 1 || snap.Totals.Bytes != size {
		t.Errorf("totals %+v", snap.Totals)
	}
	if snap.Source != "home" || snap.Path != dir || snap.Type != Incremental || snap.Host != "test" || snap.Parent != "" ||
		snap.Engine != "test 1" || snap.Tags[0] != "x" || snap.Labels["k"] != "v" || snap.End.Before(snap.Start) {
		t.Errorf("snapshot %+v", snap)
	}
	root := s.read(snap)[""].node
	if root.Type != tree.Dir || len(root.Name) != 0 {
		t.Errorf("root %+v", root)
	}
}

func TestIncrementalReadsWhatChanged(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	first := s.backup(dir)

	second := s.backup(dir)
	if st := second.Stats; st.BytesRead != 0 || st.BytesTrusted != st.Bytes || st.BytesNew != 0 ||
		st.Files != (Counts{Unchanged: 7}) || st.Dirs != (Counts{Unchanged: 6}) {
		t.Errorf("nothing changed: %+v", st)
	}
	if second.Snapshot.Root != first.Snapshot.Root || second.Snapshot.Parent != first.Snapshot.ID {
		t.Errorf("root %s and parent %s after root %s of %s", second.Snapshot.Root, second.Snapshot.Parent, first.Snapshot.Root, first.Snapshot.ID)
	}

	// A file of the same size and time, but changed; one new, one gone, one
	// with another mode, one that became a directory.
	info, err := os.Stat(filepath.Join(dir, "b/c"))
	s.must(err)
	fill(t, dir, map[string]string{"b/c": strings.Repeat("some TEXT\n", 1000), "b/new": "n"})
	s.must(os.Chtimes(filepath.Join(dir, "b/c"), time.Time{}, info.ModTime()))
	s.must(os.RemoveAll(filepath.Join(dir, "names")))
	s.must(os.Chmod(filepath.Join(dir, "big"), 0o600))
	s.must(os.Remove(filepath.Join(dir, "a")))
	fill(t, dir, map[string]string{"a/x": "now a directory"})
	third := s.backup(dir)
	s.wantLive(third.Snapshot, dir)
	st := third.Stats
	if st.Files != (Counts{New: 2, Changed: 2, Unchanged: 2}) || st.Removed != 1 || st.Dirs != (Counts{New: 1, Changed: 2, Unchanged: 3}) {
		t.Errorf("after changes: %+v", st)
	}
	if st.BytesNew > 64<<10 {
		t.Errorf("%d bytes new for a few small changes", st.BytesNew)
	}
	s.wantImage(first.Snapshot, sample())
}

// wantImage compares the files of a snapshot with what they were made from.
func (s *store) wantImage(snap repository.Snapshot, files map[string]string) {
	s.Helper()
	img := s.read(snap)
	for path, want := range files {
		if got, ok := img[strings.TrimSuffix(path, "/")]; !ok || got.content != want {
			s.Errorf("%q: %d bytes, want %d", path, len(got.content), len(want))
		}
	}
}

func TestAFileThatChangedAsTheParentBeganIsNotTrusted(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"f": "content"})
	s.later = -time.Minute // options adds it back: the backup begins now
	s.backup(dir)
	s.later = time.Hour
	if st := s.backup(dir).Stats; st.BytesRead != 7 || st.Files.Unchanged != 1 {
		t.Errorf("a file as young as the parent: %+v, want it read", st)
	}
	if st := s.backup(dir).Stats; st.BytesRead != 0 {
		t.Errorf("an older one: %+v, want it trusted", st)
	}
}

func TestFullAndArchivalReadEverything(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	first := s.backup(dir)
	full := s.backup(dir, func(o *BackupOptions) { o.Type = Full })
	if st := full.Stats; st.BytesRead != st.Bytes || st.BytesNew != 0 || st.Files.Unchanged != 7 {
		t.Errorf("full: %+v", st)
	}
	if full.Snapshot.Root != first.Snapshot.Root || full.Snapshot.Type != Full {
		t.Errorf("full: %+v", full.Snapshot)
	}
	archival := s.backup(dir, func(o *BackupOptions) { o.Type = Archival })
	if st := archival.Stats; st.BytesRead != st.Bytes || st.BytesNew < st.Bytes || st.Files.Unchanged != 7 {
		t.Errorf("archival: %+v, want packs of its own", st)
	}
	s.wantLive(archival.Snapshot, dir)
	if st := s.backup(dir).Stats; st.BytesRead != 0 {
		t.Errorf("incremental after archival: %+v", st)
	}
}

func TestTheTreeDoesNotDependOnTheReaders(t *testing.T) {
	dir := t.TempDir()
	files := sample()
	for i := range 300 {
		files[fmt.Sprintf("many/%03d/%d/%x", i/10, i%3, i*7919)] = fmt.Sprint(i)
	}
	fill(t, dir, files)
	s := newStore(t)
	var roots []repository.ID
	for _, readers := range []int{1, 2, 7} {
		res := s.backup(dir, func(o *BackupOptions) { o.Readers, o.Type = readers, Full })
		roots = append(roots, res.Snapshot.Root)
	}
	if roots[0] != roots[1] || roots[1] != roots[2] {
		t.Errorf("roots %v", roots)
	}
}

func TestWhatIsNotStoredAnyMoreIsStoredAgain(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	s.backup(dir)
	s.must(os.RemoveAll(filepath.Join(s.dir, "packs")))
	s.reopen()
	res := s.backup(dir)
	if st := res.Stats; st.BytesRead != st.Bytes || st.BytesNew < st.Bytes {
		t.Errorf("all packs lost: %+v", st)
	}
	s.wantLive(res.Snapshot, dir)
}

func TestInterruptedBackupIsContinued(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("d%d/f%d", i%4, i)] = noise(byte(i), 1<<20)
	}
	fill(t, dir, files)
	lost := errors.New("lease lost")
	for i, cause := range []error{nil, lost} {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := s.options(dir)
		o.Progress = &interruptAfter{bytes: int64(10+i*20) << 20, cancel: cancel, cause: cause}
		res, err := Backup(ctx, s.repo, o)
		if !errors.Is(err, context.Canceled) || cause != nil && !errors.Is(err, cause) {
			t.Fatalf("error %v, want one that wraps context.Canceled and %v", err, cause)
		}
		if len(fault.Hints(err)) == 0 || res.Snapshot.ID != "" {
			t.Errorf("hints %v, snapshot %q", fault.Hints(err), res.Snapshot.ID)
		}
		if res.Stats.BytesRead < 10<<20 || res.Stats.BytesStored == 0 {
			t.Errorf("stats of the interrupted run: %+v", res.Stats)
		}
		s.reopen()
	}
	res := s.backup(dir)
	if st := res.Stats; st.BytesReused < 30<<20 || st.BytesNew > 11<<20 {
		t.Errorf("after interruptions at 10 and 30 MiB of 40: %d reused, %d new", st.BytesReused, st.BytesNew)
	}
	s.wantLive(res.Snapshot, dir)
	var packs int64
	s.must(s.repo.Packs(t.Context(), func(p repository.PackInfo) error { packs += p.Size; return nil }))
	if packs > 42<<20 {
		t.Errorf("%d bytes of packs for 40 MiB: something is stored twice", packs)
	}
}

// TestInterruptionsAnywhere ends a backup after each number of bytes in turn,
// while several workers are in several directories.
func TestInterruptionsAnywhere(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	files := map[string]string{}
	for i := range 120 {
		files[fmt.Sprintf("d%d/%s/f%d", i%7, strings.Repeat("deep/", i%5*9), i)] = "0123456789"
	}
	fill(t, dir, files)
	for after := int64(0); after < 1190; after += 35 {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := s.options(dir)
		o.Progress, o.Type = &interruptAfter{bytes: after, cancel: cancel}, Full
		if _, err := Backup(ctx, s.repo, o); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d bytes: error %v, want context.Canceled", after, err)
		}
	}
	s.wantLive(s.backup(dir).Snapshot, dir)
}

func TestAJobCommitsOnce(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	job := func(attempt int) func(*BackupOptions) {
		return func(o *BackupOptions) {
			o.Job, o.JobTime, o.Attempt = "job-1", time.Unix(1700000000, 0), attempt
		}
	}
	first := s.backup(dir, job(1))
	if first.Existing || !first.Snapshot.Time.Equal(time.Unix(1700000000, 0)) || first.Snapshot.Job != "job-1" {
		t.Errorf("first attempt: %+v", first.Snapshot)
	}
	fill(t, dir, map[string]string{"more": "more"})
	second := s.backup(dir, job(2))
	if !second.Existing || second.Stats.BytesRead != 0 {
		t.Errorf("second attempt: existing %v, %+v", second.Existing, second.Stats)
	}
	if diff := cmp.Diff(first.Snapshot, second.Snapshot); diff != "" {
		t.Errorf("snapshots of one job (-first +second):\n%s", diff)
	}

	fenced := errors.New("fenced")
	_, err := s.try(dir, func(o *BackupOptions) { o.Fence = func(context.Context) error { return fenced } })
	if !errors.Is(err, fenced) {
		t.Errorf("error %v, want %v", err, fenced)
	}
	snaps, _, err := s.repo.Snapshots(t.Context(), "home")
	s.must(err)
	if len(snaps) != 1 {
		t.Errorf("%d snapshots, want 1", len(snaps))
	}
}

func TestParents(t *testing.T) {
	s, dir, other := newStore(t), t.TempDir(), t.TempDir()
	fill(t, dir, sample())
	fill(t, other, map[string]string{"x": "y"})
	first := s.backup(dir)
	s.backup(other)
	if res := s.backup(dir); res.Snapshot.Parent != first.Snapshot.ID {
		t.Errorf("parent %q, want the newest of the same path, %q", res.Snapshot.Parent, first.Snapshot.ID)
	}
	none := s.backup(dir, func(o *BackupOptions) { o.Parent = NoParent })
	if none.Snapshot.Parent != "" || none.Stats.BytesRead != none.Stats.Bytes || none.Stats.Files.New != 7 {
		t.Errorf("without a parent: %q, %+v", none.Snapshot.Parent, none.Stats)
	}
	named := s.backup(dir, func(o *BackupOptions) { o.Parent = first.Snapshot.ID })
	if named.Snapshot.Parent != first.Snapshot.ID {
		t.Errorf("parent %q, want %q", named.Snapshot.Parent, first.Snapshot.ID)
	}
	if _, err := s.try(dir, func(o *BackupOptions) { o.Parent = "ffffffff" }); !errors.Is(err, repository.ErrNoSnapshot) {
		t.Errorf("unknown parent: %v", err)
	}
}

func TestADamagedParentCostsOnlyReading(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, sample())
	first := s.backup(dir)
	loc, ok := s.repo.Locate(first.Snapshot.Root)
	if !ok {
		t.Fatal("the root is not in the index")
	}
	path := filepath.Join(s.dir, filepath.FromSlash(loc.Pack.Object()))
	pack, err := os.ReadFile(path)
	s.must(err)
	copy(pack[loc.Offset+40:loc.Offset+loc.Stored], make([]byte, loc.Stored))
	s.must(os.Chmod(path, 0o600))
	s.must(os.WriteFile(path, pack, 0o600))
	s.reopen()
	res, err := s.try(dir)
	s.must(err)
	if len(res.ParentErrors) == 0 || !errors.Is(res.ParentErrors[0], repository.ErrDamaged) {
		t.Errorf("parent errors %v, want the damage", res.ParentErrors)
	}
	if res.Stats.BytesRead != res.Stats.Bytes {
		t.Errorf("%+v, want everything read", res.Stats)
	}
}

func TestPrintable(t *testing.T) {
	seen := map[string]string{}
	for path, want := range map[string]string{
		"a/b": "a/b", "über": "über", "\xff": `\xff`, `\xff`: `\x5cxff`, "a\nb": `a\x0ab`,
		"\u2028": `\xe2\x80\xa8`, "\ufffd": "\ufffd", "ü\xfc": `ü\xfc`, "": "",
	} {
		if got := Printable(path); got != want {
			t.Errorf("Printable(%q) = %q, want %q", path, got, want)
		}
		if got := ParsePrintable(want); got != path {
			t.Errorf("ParsePrintable(%q) = %q, want %q", want, got, path)
		}
		if other, ok := seen[want]; ok {
			t.Errorf("%q and %q look the same", path, other)
		}
		seen[want] = path
	}
	for _, text := range []string{`\x`, `\xg0`, `a\x0`, `\y00`} {
		if got := ParsePrintable(text); got != text {
			t.Errorf("ParsePrintable(%q) = %q", text, got)
		}
	}
}
