package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/storage/local"
)

// objects returns the names of stored objects below a prefix, in order.
func (s *store) objects(prefix string) []string {
	s.Helper()
	var list []string
	s.must(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if name := filepath.ToSlash(path[len(s.dir)+1:]); strings.HasPrefix(name, prefix) && !strings.HasPrefix(filepath.Base(name), ".") {
				list = append(list, name)
			}
		}
		return err
	}))
	return list
}

// copy copies the stored objects into a repository of its own.
func (s *store) copy(t *testing.T) *store {
	t.Helper()
	c := &store{TB: t, dir: t.TempDir(), ring: s.ring}
	s.must(os.CopyFS(c.dir, os.DirFS(s.dir)))
	be, err := local.Open(c.dir)
	c.must(err)
	c.repo, err = repository.Open(t.Context(), be, c.ring, repository.OpenOptions{})
	c.must(err)
	t.Cleanup(func() { c.must(errors.Join(c.repo.Close(), c.repo.Backend().Close())) })
	return c
}

// damages are what can happen to a stored object.
var damages = map[string]func(t *testing.T, path string){
	"first bit flipped":  func(t *testing.T, path string) { flip(t, path, 0) },
	"middle bit flipped": func(t *testing.T, path string) { flip(t, path, 0.5) },
	"last bit flipped":   func(t *testing.T, path string) { flip(t, path, 1) },
	"4 KiB zeroed": func(t *testing.T, path string) {
		edit(t, path, func(b []byte) []byte { clear(b[len(b)/3 : min(len(b), len(b)/3+4096)]); return b })
	},
	"truncated": func(t *testing.T, path string) {
		edit(t, path, func(b []byte) []byte { return b[:len(b)*2/3] })
	},
	"longer":  func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { return append(b, "more"...) }) },
	"empty":   func(t *testing.T, path string) { edit(t, path, func([]byte) []byte { return nil }) },
	"missing": func(t *testing.T, path string) { remove(t, path) },
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		remove(t, path)
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string, where float64) {
	edit(t, path, func(b []byte) []byte { b[int(float64(len(b)-1)*where)] ^= 0x10; return b })
}

// damageSource has files of one blob and of several, and directories of their own.
func damageSource(t *testing.T) string {
	src := t.TempDir()
	files := map[string]string{"empty": "", "large": noise(1, 3<<20)}
	for i := range 12 {
		files[fmt.Sprintf("dir-%d/file", i)] = noise(byte(20+i), 50<<10)
		files[fmt.Sprintf("dir-%d/text", i)] = strings.Repeat(fmt.Sprintf("line %d\n", i), 1000)
	}
	fill(t, src, files)
	return src
}

// TestEveryObjectDamaged is the corruption matrix: verify names the object, and
// a restore gives everything that is whole, names what is not, and never gives
// wrong bytes.
func TestEveryObjectDamaged(t *testing.T) {
	src := damageSource(t)
	whole := newStore(t)
	snap := whole.backup(src).Snapshot
	for name, do := range damages {
		for _, kind := range []string{"config", "config.copy", "index/", "snapshots/", "copies/", "packs/ first", "packs/ second"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				s := whole.copy(t)
				prefix, which, _ := strings.Cut(kind, " ")
				list := s.objects(prefix)
				object := list[0]
				if which == "second" {
					object = list[1]
				}
				do(t, filepath.Join(s.dir, object))
				s.reopen()
				if prefix == "copies/" && name == "missing" {
					checkMended(t, s, object)
				} else {
					checkVerify(t, s, object)
				}
				if prefix == "snapshots/" {
					checkServed(t, s, object)
				}
				// By its name: the snapshot itself may have to come from its copy.
				found, err := s.repo.FindSnapshot(t.Context(), "latest")
				if err != nil || found.Root != snap.Root {
					t.Fatalf("find: %v", err)
				}
				lost := checkRestore(t, s, found, src)
				if prefix != "packs/" && lost {
					t.Error("damage to something that can be done without cost files")
				}
				if name == "missing" && prefix == "packs/" && !lost {
					t.Error("a missing pack cost nothing")
				}
			})
		}
	}
}

func TestSwappedObjects(t *testing.T) {
	src := damageSource(t)
	for _, prefix := range []string{"packs/", "snapshots/", "copies/", "index/"} {
		t.Run(prefix, func(t *testing.T) {
			s := newStore(t)
			first := s.backup(src).Snapshot
			fill(t, src, map[string]string{"large": noise(9, 3<<20)})
			second := s.backup(src).Snapshot
			list := s.objects(prefix)
			a, b := filepath.Join(s.dir, list[0]), filepath.Join(s.dir, list[len(list)-1])
			s.must(os.Rename(a, a+"~"))
			s.must(os.Rename(b, a))
			s.must(os.Rename(a+"~", b))
			s.reopen()
			checkVerify(t, s, list[0])
			checkRestore(t, s, second, src)
			_ = first
		})
	}
}

func TestBothConfigurationsDamaged(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"config", "config.copy"} {
		flip(t, filepath.Join(s.dir, name), 0.5)
	}
	s.must(s.repo.Close())
	_, err := repository.Open(t.Context(), s.repo.Backend(), s.ring, repository.OpenOptions{})
	if err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("got %v", err)
	}
}

// checkVerify expects that the object is named, when all data is read.
func checkVerify(t *testing.T, s *store, object string) {
	t.Helper()
	report, err := Verify(t.Context(), s.repo, VerifyOptions{ReadData: 100})
	if !errors.Is(err, repository.ErrDamaged) {
		t.Fatalf("verify: %v", err)
	}
	if !slices.ContainsFunc(report.Problems, func(p VerifyProblem) bool { return p.Object == object && !p.Harmless }) {
		t.Errorf("verify does not name %s: %v", object, report.Problems)
	}
}

// checkServed expects that verify tells how to mend a snapshot from its copy,
// and that this mends it.
func checkServed(t *testing.T, s *store, object string) {
	t.Helper()
	_, err := Verify(t.Context(), s.repo, VerifyOptions{})
	if hints := fault.Hints(err); len(hints) != 1 || !strings.Contains(hints[0], "verify --repair") {
		t.Errorf("hints: %q", hints)
	}
	path := filepath.Join(s.dir, object)
	lost, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	mended, err := os.ReadFile(filepath.Join(s.dir, "copies", object))
	s.must(err)
	s.must(os.WriteFile(path, mended, 0o600))
	if report, err := Verify(t.Context(), s.repo, VerifyOptions{}); err != nil || len(report.Problems) != 0 {
		t.Errorf("mended by hand: %v, %v", err, report.Problems)
	}
	if missing {
		remove(t, path)
	} else {
		s.must(os.WriteFile(path, lost, 0o600))
	}
}

// checkMended expects that the missing copy of a snapshot is named, and stored
// again.
func checkMended(t *testing.T, s *store, object string) {
	t.Helper()
	report, err := Verify(t.Context(), s.repo, VerifyOptions{})
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Object != object || !report.Problems[0].Harmless {
		t.Errorf("verify: %v, %v", err, report.Problems)
	}
	if report, err = Verify(t.Context(), s.repo, VerifyOptions{}); err != nil || len(report.Problems) != 0 {
		t.Errorf("verify again: %v, %v", err, report.Problems)
	}
}

// checkRestore restores what it can, and reports whether anything was lost.
func checkRestore(t *testing.T, s *store, snap repository.Snapshot, src string) bool {
	t.Helper()
	dst := t.TempDir()
	report, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: dst})
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		t.Fatalf("restore: %v", err)
	}
	named := func(path string) bool {
		return slices.ContainsFunc(report.Issues, func(i Issue) bool {
			return i.Kind == IssueDamaged && (i.Path == path || i.Path == "" || strings.HasPrefix(path, i.Path+"/"))
		})
	}
	got, want := contents(t, dst), contents(t, src)
	for path, content := range got {
		switch {
		case isDamaged(path):
			checkSaved(t, report, path, content, want)
		case content != want[path]:
			t.Errorf("%s has wrong content under its own name", path)
		}
	}
	rootLost := err != nil && report.Files == 0 && report.Damaged == 0
	for path := range want {
		if _, ok := got[path]; !ok && !named(strings.TrimSuffix(path, "/")) && !rootLost {
			t.Errorf("%s is missing, and nobody said so", path)
		}
	}
	return err != nil
}

// checkSaved expects that what is left of a file is right outside the ranges
// that are named.
func checkSaved(t *testing.T, report RestoreReport, path, content string, want map[string]string) {
	t.Helper()
	i := slices.IndexFunc(report.Issues, func(i Issue) bool { return i.Saved == path })
	if i < 0 {
		t.Errorf("%s is not in the report", path)
		return
	}
	whole := []byte(want[report.Issues[i].Path])
	if len(whole) != len(content) || len(report.Issues[i].Ranges) == 0 {
		t.Errorf("%s has %d bytes of %d, lost %v", path, len(content), len(whole), report.Issues[i].Ranges)
		return
	}
	for _, r := range report.Issues[i].Ranges {
		clear(whole[r.Offset : r.Offset+r.Length])
	}
	if string(whole) != content {
		t.Errorf("%s is wrong outside the ranges %v", path, report.Issues[i].Ranges)
	}
}

func TestDamageIsAttributed(t *testing.T) {
	s := newStore(t)
	src := damageSource(t)
	first := s.backup(src).Snapshot
	fill(t, src, map[string]string{"new": noise(77, 1<<20)})
	s.must(os.RemoveAll(src + "/dir-3"))
	second := s.backup(src).Snapshot

	// Damage the first blob of data of dir-3/file, which only the first
	// snapshot has, and of large, which both have.
	broken := map[string]string{"dir-3/file": "", "large": ""}
	for path := range broken {
		n, _, err := find(t.Context(), treeLoader{s.repo}, first, path)
		s.must(err)
		loc, ok := s.repo.Locate(repository.ID(n.Content.Extents[0].ID))
		if !ok {
			t.Fatal("not stored")
		}
		edit(t, filepath.Join(s.dir, loc.Pack.Object()), func(b []byte) []byte { b[loc.Offset+loc.Stored/2] ^= 1; return b })
	}
	s.reopen()
	lost, got := s.affected(t, VerifyOptions{ReadData: 100})
	want := map[string]string{first.ID: "dir-3/file large", second.ID: "large"}
	if d := cmp.Diff(want, got); lost != 2 || d != "" {
		t.Errorf("%d lost: %s", lost, d)
	}
	// The second snapshot alone suffers from one of them; once both snapshots
	// are gone nothing does, but a backup could still reuse the packs.
	lost, got = s.affected(t, VerifyOptions{ReadData: 100, Snapshots: []repository.Snapshot{second}})
	delete(want, first.ID)
	if d := cmp.Diff(want, got); lost != 1 || d != "" {
		t.Errorf("%d lost: %s", lost, d)
	}
	for _, snap := range []repository.Snapshot{first, second} {
		s.must(s.repo.DeleteSnapshot(t.Context(), snap))
	}
	if lost, got = s.affected(t, VerifyOptions{ReadData: 100}); lost != 0 || len(got) != 0 {
		t.Errorf("%d lost, %v", lost, got)
	}
	// Structure alone does not read data.
	if report, err := Verify(t.Context(), s.repo, VerifyOptions{}); err != nil || report.PacksRead != 0 {
		t.Errorf("%v: %+v", err, report)
	}
}

// affected verifies, expects damage, and returns how many blobs are lost and
// the paths that lost something in each snapshot.
func (s *store) affected(t *testing.T, o VerifyOptions) (lost int, paths map[string]string) {
	t.Helper()
	report, err := Verify(t.Context(), s.repo, o)
	if !errors.Is(err, repository.ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
	all := map[string][]string{}
	for _, p := range report.Problems {
		lost += p.LostBlobs
		for _, a := range p.Affected {
			all[a.Snapshot] = append(all[a.Snapshot], a.Paths...)
		}
	}
	paths = map[string]string{}
	for id, list := range all {
		slices.Sort(list)
		paths[id] = strings.Join(list, " ")
	}
	return lost, paths
}

// What is lost is stored again by the next full backup, and then the snapshots
// that had lost it are whole again as well.
func TestAFullBackupMendsWhatIsMissing(t *testing.T) {
	s := newStore(t)
	src := damageSource(t)
	snap := s.backup(src).Snapshot
	for _, pack := range s.objects("packs/") {
		remove(t, filepath.Join(s.dir, pack))
	}
	s.reopen()
	if !checkRestore(t, s, snap, src) {
		t.Fatal("nothing is missing")
	}
	s.backup(src, func(o *BackupOptions) { o.Type, o.Parent = Full, NoParent })
	s.reopen()
	if checkRestore(t, s, snap, src) {
		t.Error("the old snapshot still lacks something")
	}
}
