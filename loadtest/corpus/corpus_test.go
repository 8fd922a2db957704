package corpus

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func digest(t *testing.T, dir string) (sum [32]byte, files int, size int64) {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		h.Write([]byte(filepath.ToSlash(rel)))
		h.Write(data)
		files++
		size += int64(len(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil)), files, size
}

func TestTheSameSpecMakesTheSameTree(t *testing.T) {
	for _, kind := range Kinds() {
		spec := Spec{Kind: kind, Files: 23, FileSize: 100_001, Seed: 7}
		var sums [3][32]byte
		for i := range sums {
			dir := filepath.Join(t.TempDir(), "tree")
			s := spec
			if i == 2 {
				s.Seed = 8
			}
			written, err := Write(context.Background(), dir, s)
			if err != nil {
				t.Fatal(err)
			}
			sum, files, size := digest(t, dir)
			if kind != Database && files != s.Files || size != written {
				t.Fatalf("%s: %d files of %d bytes on disk, want %d of %d", kind, files, size, s.Files, written)
			}
			if exact := kind == Mixed || kind == Incompressible; exact && size != s.Bytes() || size < s.Bytes()/2 || size > s.Bytes()*2 {
				t.Fatalf("%s: %d bytes, want %d", kind, size, s.Bytes())
			}
			sums[i] = sum
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: the same spec made two different trees", kind)
		}
		if sums[0] == sums[2] {
			t.Errorf("%s: another seed made the same tree", kind)
		}
	}
}

func TestContentIsAsCompressibleAsItsKindSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	if _, err := Write(context.Background(), dir, Spec{Kind: Mixed, Files: 5, FileSize: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for n, limits := range [][2]float64{{0.99, 1.01}, {0.99, 1.01}, {0.2, 0.7}, {0.2, 0.7}, {0.2, 0.7}} {
		data, err := os.ReadFile(filepath.Join(dir, Spec{Kind: Mixed}.path(n)))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if ratio := float64(packed.Len()) / float64(len(data)); ratio < limits[0] || ratio > limits[1] {
			t.Errorf("file %d compresses to %.2f of its size, want %.2f to %.2f", n, ratio, limits[0], limits[1])
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		spec Spec
	}{
		"a directory that holds something": {full, Spec{Kind: Small, Files: 1, FileSize: 1}},
		"an unknown kind":                  {filepath.Join(full, "x"), Spec{Kind: "fractal", Files: 1, FileSize: 1}},
		"no files":                         {filepath.Join(full, "x"), Spec{Kind: Small, FileSize: 1}},
	} {
		if _, err := Write(context.Background(), c.dir, c.spec); err == nil {
			t.Errorf("Write into %s succeeded", name)
		}
	}
}
