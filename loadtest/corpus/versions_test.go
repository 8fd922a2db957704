package corpus

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// advanced makes a tree and its next versions.
func advanced(t *testing.T, s Spec, versions int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if _, err := Write(t.Context(), dir, s); err != nil {
		t.Fatal(err)
	}
	for v := 1; v < versions; v++ {
		if changed, err := Advance(t.Context(), dir, s, v); err != nil || changed == "" {
			t.Fatalf("version %d: %q, %v", v, changed, err)
		}
	}
	return dir
}

func TestVersionsAreTheSameEverywhere(t *testing.T) {
	for _, s := range []Spec{
		{Kind: Versions, Files: 300, FileSize: 3000, Seed: 5},
		{Kind: Database, Files: 1, FileSize: 5 << 20, Seed: 5},
	} {
		first, _, size := digest(t, advanced(t, s, 1))
		third, _, thirdSize := digest(t, advanced(t, s, 3))
		again, _, _ := digest(t, advanced(t, s, 3))
		if third != again {
			t.Errorf("%s: the same versions differ", s.Kind)
		}
		if third == first {
			t.Errorf("%s: nothing changed in two versions", s.Kind)
		}
		if thirdSize < size*8/10 || thirdSize > size*13/10 {
			t.Errorf("%s: the tree went from %d bytes to %d", s.Kind, size, thirdSize)
		}
	}
}

func TestAVersionChangesAsMuchAsItSays(t *testing.T) {
	s := Spec{Kind: Versions, Files: 2000, FileSize: 500, Seed: 1}
	before, after := advanced(t, s, 1), advanced(t, s, 2)
	same, gone := 0, 0
	paths, err := regularFiles(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		rel, _ := filepath.Rel(before, path)
		a, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch b, err := os.ReadFile(filepath.Join(after, rel)); {
		case os.IsNotExist(err):
			gone++ // removed, moved, or below the directory that was renamed
		case string(a) == string(b):
			same++
		}
	}
	if edited := len(paths) - same - gone; edited < 40 || edited > 130 {
		t.Errorf("%d of %d files were edited, want about %g %%", edited, len(paths), 100*editedShare)
	}
	if gone < 20 || gone > 60 {
		t.Errorf("%d of %d files are no more where they were, want about 16 and a directory of 20", gone, len(paths))
	}
}

func TestADatabaseHasPagesAndADayChangesSome(t *testing.T) {
	s := Spec{Kind: Database, Files: 1, FileSize: 40 << 20, Seed: 1}
	before, after := advanced(t, s, 1), advanced(t, s, 2)
	a, err := os.ReadFile(table.path(before, 0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(table.path(after, 0))
	if err != nil {
		t.Fatal(err)
	}
	pages, changed := len(a)/pageSize, 0
	for n := range pages {
		p, q := a[n*pageSize:][:pageSize], b[n*pageSize:][:pageSize]
		if version := binary.LittleEndian.Uint16(q[18:]); version != pageSize|4 {
			t.Fatalf("page %d is of layout %x", n, version)
		}
		if string(p) != string(q) {
			changed++
			if binary.LittleEndian.Uint64(p) >= binary.LittleEndian.Uint64(q) {
				t.Fatalf("page %d changed and its log position did not grow", n)
			}
		}
	}
	if share := float64(changed) / float64(pages); share < 0.02 || share > 0.10 {
		t.Errorf("%.3f of the pages changed, want about %g", share, clusteredShare+scatteredShare)
	}
	x, _ := os.Stat(history.path(before, 0))
	y, _ := os.Stat(history.path(after, 0))
	if x == nil || y == nil || y.Size() <= x.Size() {
		t.Error("the history did not grow")
	}
}

func TestOnlySomeKindsChange(t *testing.T) {
	for _, kind := range Kinds() {
		s := Sized(kind, 1<<20)
		if s.Describe() == "" || !strings.Contains(s.Describe(), " ") {
			t.Errorf("%s is not described: %q", kind, s.Describe())
		}
		if kind.Changes() {
			continue
		}
		if _, err := Advance(context.Background(), t.TempDir(), s, 1); err == nil {
			t.Errorf("a tree of kind %s was changed", kind)
		}
	}
}

func TestTenGigabytesAreWhatTheAimsAreAbout(t *testing.T) {
	if s := Sized(Files, 10e9); s.Files != 150_000 {
		t.Errorf("%d files, want 150,000", s.Files)
	}
	if s := Sized(Mixed, 10e9); s.Files != 200 || s.FileSize != 50_000_000 {
		t.Errorf("%+v, want 200 files of 50 MB", s)
	}
}
