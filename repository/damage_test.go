package repository

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// harm is a way to damage an object's file; other is another one of its kind.
type harm struct {
	name string
	do   func(path, other string) error
}

func flipAt(where func(size int) int) func(string, string) error {
	return func(path, _ string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[where(len(data))] ^= 0x10
		return os.WriteFile(path, data, 0o600)
	}
}

func truncateTo(where func(size int) int) func(string, string) error {
	return func(path, _ string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, int64(where(int(info.Size()))))
	}
}

func swap(path, other string) error {
	return errors.Join(os.Rename(path, path+".x"), os.Rename(other, path), os.Rename(path+".x", other))
}

var harms = []harm{
	{"flip in the magic", flipAt(func(int) int { return 1 })},
	{"flip in the format", flipAt(func(int) int { return 4 })},
	{"flip in the header", flipAt(func(int) int { return 18 })},
	{"flip early", flipAt(func(n int) int { return min(n-1, 100) })},
	{"flip in the middle", flipAt(func(n int) int { return n / 2 })},
	{"flip near the end", flipAt(func(n int) int { return n - 70 })},
	{"flip at the end", flipAt(func(n int) int { return n - 1 })},
	{"zeros in the middle", func(path, _ string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		clear(data[len(data)/2 : min(len(data), len(data)/2+4096)])
		return os.WriteFile(path, data, 0o600)
	}},
	{"longer", func(path, _ string) error {
		data, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, append(data, 0), 0o600))
	}},
	{"one byte short", truncateTo(func(n int) int { return n - 1 })},
	{"half", truncateTo(func(n int) int { return n / 2 })},
	{"empty", truncateTo(func(int) int { return 0 })},
	{"missing", func(path, _ string) error { return os.Remove(path) }},
	{"swapped", swap},
}

// damaged is a repository with two sessions' snapshots, for damaging copies of.
type damaged struct {
	dir  string
	ring *keyring.Ring
	work [2]work
}

func buildForDamage(t *testing.T) damaged {
	t.Helper()
	d := damaged{dir: t.TempDir(), ring: keyring.Generate(testTime), work: [2]work{someWork(1), someWork(1000)}}
	r, err := Create(t.Context(), openDir(t, d.dir), d.ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	for i, w := range d.work {
		if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{}), "job-"+string(rune('0'+i))); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// objects lists the objects of a kind.
func (d damaged) objects(t *testing.T, dir, prefix string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(rel, prefix) {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// TestDamage damages each kind of object in each way. Always: the checks name
// the object, no wrong byte is ever returned, and everything that can still be
// read is.
func TestDamage(t *testing.T) {
	d := buildForDamage(t)
	for _, kind := range []struct{ prefix, kind string }{
		{"config", ObjectConfig}, {"index/", ObjectIndex}, {"snapshots/", ObjectSnapshot}, {"copies/", ObjectSnapshot}, {"packs/", ObjectPack},
	} {
		for _, h := range harms {
			if kind.kind == ObjectConfig && h.name == "swapped" {
				continue // both copies are the same
			}
			t.Run(kind.prefix+" "+h.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(d.dir)); err != nil {
					t.Fatal(err)
				}
				objects := d.objects(t, dir, kind.prefix)
				victim, other := objects[0], objects[1]
				if err := h.do(filepath.Join(dir, victim), filepath.Join(dir, other)); err != nil {
					t.Fatal(err)
				}
				d.verify(t, dir, h.name, victim)
			})
		}
	}
}

func (d damaged) verify(t *testing.T, dir, how, victim string) {
	ctx := t.Context()
	be := openDir(t, dir)
	if problem, err := Scrub(ctx, be, victim); err != nil || problem == nil && how != "swapped" {
		t.Errorf("Scrub without a key = %v, %v; want a problem", problem, err)
	}
	r := reopen(t, be, d.ring)
	primary, second := strings.HasPrefix(victim, snapshotPrefix), strings.HasPrefix(victim, copyPrefix)
	wantBad := 0
	if primary {
		wantBad = map[bool]int{false: 1, true: 2}[how == "swapped"]
	}
	snaps, bad, err := r.Snapshots(ctx, "")
	if err != nil || len(snaps) != len(d.work) || len(bad) != wantBad {
		t.Errorf("%d snapshots, %v, %v; want all of them and %d served by copies", len(snaps), bad, err, wantBad)
	}
	for _, err := range bad {
		if !errors.Is(err, ErrServed) {
			t.Errorf("not served: %v", err)
		}
	}

	named := map[string]bool{}
	lost := map[ID]bool{}
	note := func(p Problem) error {
		// A copy that is missing is stored again at once.
		if p.Harmless != (second && how == "missing") || p.String() == "" {
			t.Errorf("told as harmless %v: %v", p.Harmless, p)
		}
		named[p.Object] = true
		for _, id := range p.Blobs {
			lost[id] = true
		}
		return nil
	}
	if err := r.CheckObjects(ctx, note); err != nil {
		t.Fatal(err)
	}
	err = r.Packs(ctx, func(p PackInfo) error {
		problem, err := r.CheckPack(ctx, p.ID)
		if problem != nil {
			return errors.Join(err, note(*problem))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !named[victim] {
		t.Errorf("no check named %s; named were %v", victim, named)
	}
	if second && how == "missing" {
		if err := storedTwice(be, len(d.work)); err != nil {
			t.Error(err)
		}
	}

	for _, w := range d.work {
		for kind, list := range map[Kind][][]byte{KindData: w.data, KindTree: w.trees} {
			for _, want := range list {
				id := r.ids.id(kind, want)
				got, err := r.Load(ctx, id, kind, nil)
				switch {
				case err == nil && !bytes.Equal(got, want):
					t.Fatalf("wrong bytes of blob %s", id)
				case err != nil && !lost[id]:
					t.Errorf("a blob no check named cannot be read: %v", err)
				case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrBlobMissing):
					t.Errorf("neither damaged nor missing: %v", err)
				}
			}
		}
	}
}

func TestBothConfigsDamaged(t *testing.T) {
	d := buildForDamage(t)
	for _, h := range harms[:len(harms)-1] {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(d.dir)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{configName, configCopy} {
			if err := h.do(filepath.Join(dir, name), ""); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(t.Context(), openDir(t, dir), d.ring, OpenOptions{})
		switch {
		case h.name == "missing":
			if !errors.Is(err, ErrNotRepository) {
				t.Errorf("%s: %v, want ErrNotRepository", h.name, err)
			}
		case err == nil || !strings.Contains(err.Error(), configName) || !strings.Contains(err.Error(), configCopy):
			t.Errorf("%s: %v, want an error that names both", h.name, err)
		}
	}
}

// A damaged footer costs nothing: records are found by themselves, even when
// the index is lost too.
func TestPackWithoutFooterAndIndex(t *testing.T) {
	d := buildForDamage(t)
	for _, name := range d.objects(t, d.dir, "index/") {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range d.objects(t, d.dir, "packs/") {
		path := filepath.Join(d.dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(data[:32])           // the header too
		data = data[:len(data)-90] // trailer, and a part of the footer
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := reopen(t, openDir(t, d.dir), d.ring)
	for _, w := range d.work {
		w.check(t, r)
	}
}

// A blob that is stored twice is read from the pack that is whole.
func TestSecondCopyIsFound(t *testing.T) {
	r, ring := newRepo(t, CreateOptions{})
	w := someWork(1)
	for i, typ := range []string{"full", TypeArchival} {
		if _, err := w.run(t.Context(), startSession(t, r, SessionOptions{Type: typ}), string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	var packs []PackID
	r.EachBlob(func(_ ID, loc Location) bool { packs = append(packs, loc.Pack); return true })
	victim := packs[0]
	data, err := storage.ReadAll(t.Context(), r.Backend(), victim.Object(), 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[100 : len(data)-200])
	if err := r.Backend().Put(t.Context(), victim.Object(), data, storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	fresh := reopen(t, r.Backend(), ring)
	w.check(t, fresh)
	var wanted []Wanted
	fresh.EachBlob(func(id ID, loc Location) bool {
		if loc.Pack == victim {
			wanted = append(wanted, Wanted{ID: id, Offset: loc.Offset, Stored: loc.Stored, Raw: loc.Raw})
		}
		return true
	})
	_, err = fresh.LoadPack(t.Context(), victim, wanted, nil, func(w Wanted, data []byte, err error) error {
		if err != nil || len(data) != int(w.Raw) {
			t.Errorf("LoadPack: %d bytes, %v", len(data), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What a storage says is lost is damage, as one does that is spread over several of which too
// many lack their shards; bytes that were damaged on their way may arrive well another time.
func TestStorageSaysThatItIsDamaged(t *testing.T) {
	said := &storage.Error{Op: "get", Object: "packs/a", Err: fmt.Errorf("%w: too few shards", storage.ErrDamaged)}
	if !Damaged(said) || !errors.Is(damage(said), ErrDamaged) {
		t.Error("what the storage lost is no damage")
	}
	if err := readCause(t.Context(), said); errors.Is(err, ErrUnreadable) {
		t.Errorf("%v may pass", err)
	}
	passing := &storage.TemporaryError{Err: said}
	if Damaged(passing) || !errors.Is(readCause(t.Context(), passing), ErrUnreadable) {
		t.Error("what was damaged on its way counts as lost")
	}
}
