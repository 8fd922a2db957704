package repository

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/storage/faults"
)

func scrubAll(t *testing.T, d damaged, dir string) (map[string]Problem, Scrubbed) {
	t.Helper()
	found := map[string]Problem{}
	bytes := int64(0)
	done, err := ScrubAll(t.Context(), openDir(t, dir), func(p Problem) { found[p.Object] = p }, func(n int64) { bytes += n })
	if err != nil || bytes != done.Bytes || done.Bytes == 0 {
		t.Fatalf("%+v, told of %d bytes, %v", done, bytes, err)
	}
	return found, done
}

// Without a key every damage to stored bytes is found, and what is missing while
// its second copy is there.
func TestScrubAllFindsDamageWithoutAKey(t *testing.T) {
	d := buildForDamage(t)
	if found, done := scrubAll(t, d, d.dir); len(found) != 0 || len(done.Packs) == 0 {
		t.Fatalf("nothing is wrong: %v, %+v", found, done)
	}
	for _, prefix := range []string{"config", "index/", "snapshots/", "copies/", "packs/"} {
		for _, h := range harms {
			if h.name == "swapped" || h.name == "missing" && (prefix == "packs/" || prefix == "copies/") {
				continue // stored bytes are as written; only names tell, or the index
			}
			t.Run(prefix+" "+h.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(d.dir)); err != nil {
					t.Fatal(err)
				}
				victim := d.objects(t, dir, prefix)[0]
				if err := h.do(filepath.Join(dir, victim), ""); err != nil {
					t.Fatal(err)
				}
				found, _ := scrubAll(t, d, dir)
				if p, ok := found[victim]; !ok || p.Harmless || len(found) != 1 {
					t.Errorf("damaged %s, found %v", victim, found)
				}
			})
		}
	}
}

// Two whole objects of one name that differ are damage, though every checksum is
// right.
func TestScrubAllComparesCopies(t *testing.T) {
	d := buildForDamage(t)
	list := d.objects(t, d.dir, "copies/snapshots/")
	data, err := os.ReadFile(filepath.Join(d.dir, list[0]))
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, list[1]), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	found, _ := scrubAll(t, d, d.dir)
	if p := found[list[1]]; len(found) != 1 || !errors.Is(p.Err, ErrDamaged) || p.Kind != ObjectSnapshot {
		t.Errorf("%v", found)
	}
}

// An object that cannot be read is named; a storage that reads nothing ends it.
func TestScrubAllAndAStorageThatFails(t *testing.T) {
	o := newOneSnapshot(t)
	victim := ""
	for _, p := range packsOf(t, o.Repository) {
		victim = p.ID.Object()
	}
	o.be.On(faults.Get).Under(victim).Times(-1).Fail(syscall.EIO)
	var found []Problem
	note := func(p Problem) { found = append(found, p) }
	if _, err := ScrubAll(t.Context(), o.be, note, func(int64) {}); err != nil || len(found) != 1 || !errors.Is(found[0].Err, ErrUnreadable) {
		t.Errorf("%v, %v", found, err)
	}
	s := startSession(t, o.Repository, SessionOptions{PackSize: minPackSize})
	var root ID
	for seed := range uint64(2 * patience) {
		root = mustSave(t, s, KindData, content(seed, minPackSize/2))
	}
	mustCommit(t, s, Snapshot{Source: "home", Time: testTime, Root: root})
	o.be.On(faults.Get).Times(-1).Fail(syscall.ETIMEDOUT)
	if _, err := ScrubAll(t.Context(), o.be, note, func(int64) {}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if _, err := ScrubAll(t.Context(), openDir(t, t.TempDir()), note, func(int64) {}); !errors.Is(err, ErrNotRepository) ||
		!strings.Contains(err.Error(), "no repository") {
		t.Errorf("an empty place: %v", err)
	}
}

// A pack that is gone is named without a key by the parity it left, and only it.
func TestScrubAllNamesLostPacks(t *testing.T) {
	d := buildProtected(t, 0)
	scrub := func() (names []string) {
		t.Helper()
		_, err := ScrubAll(t.Context(), openDir(t, d.dir), func(p Problem) {
			if p.Kind != ObjectPack || !errors.Is(p.Err, ErrMissing) || p.Harmless {
				t.Errorf("%+v", p)
			}
			names = append(names, p.Object)
		}, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names) // named in the order of a listing
		return names
	}
	if found := scrub(); len(found) != 0 {
		t.Fatalf("nothing is wrong: %v", found)
	}
	lost := damaged{}.objects(t, d.dir, "packs/")[:2]
	slices.Sort(lost)
	for _, name := range lost {
		if err := os.Remove(filepath.Join(d.dir, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	if found := scrub(); !slices.Equal(found, lost) {
		t.Errorf("found %v, lost %v", found, lost)
	}
}
