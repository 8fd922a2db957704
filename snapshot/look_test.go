package snapshot

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

func (s *store) list(t *testing.T, snap repository.Snapshot, path string, recursive bool) ([]string, error) {
	t.Helper()
	var got []string
	err := List(t.Context(), s.repo, snap, path, recursive, func(path string, n tree.Node) error {
		got = append(got, n.Type.String()+" "+path)
		return nil
	})
	return got, err
}

func TestList(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"a": "1", "dir/b": "2", "dir/sub/c": "3"})
	snap := s.backup(src).Snapshot
	for _, test := range []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"", false, []string{"file a", "dir dir"}},
		{"/", true, []string{"file a", "dir dir", "file dir/b", "dir dir/sub", "file dir/sub/c"}},
		{"dir", false, []string{"file dir/b", "dir dir/sub"}},
		{"./dir//sub/", true, []string{"file dir/sub/c"}},
		{"dir/b", true, []string{"file dir/b"}},
	} {
		got, err := s.list(t, snap, test.path, test.recursive)
		if d := cmp.Diff(test.want, got); d != "" || err != nil {
			t.Errorf("%q: %v %s", test.path, err, d)
		}
	}
	for _, path := range []string{"nowhere", "dir/b/below", ".."} {
		if _, err := s.list(t, snap, path, false); !errors.Is(err, ErrNoPath) {
			t.Errorf("%q: got %v", path, err)
		}
	}
}

func TestDumpOfFiles(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	large := noise(1, 9<<20)
	fill(t, src, map[string]string{"dir/large": large, "empty": ""})
	s.must(os.WriteFile(src+"/holes", nil, 0o600))
	s.must(os.Truncate(src+"/holes", 20<<20))
	snap := s.backup(src).Snapshot
	for path, want := range map[string]string{"dir/large": large, "empty": "", "holes": string(make([]byte, 20<<20))} {
		var b bytes.Buffer
		s.must(Dump(t.Context(), s.repo, snap, path, &b))
		if b.String() != want {
			t.Errorf("%s: %d bytes of %d", path, b.Len(), len(want))
		}
	}
	if err := Dump(t.Context(), s.repo, snap, "nowhere", io.Discard); !errors.Is(err, ErrNoPath) {
		t.Errorf("got %v", err)
	}
}

func TestDumpSaysWhatTarCannotHold(t *testing.T) {
	s := newStore(t)
	snap := s.craftDir(tree.Node{Name: []byte("file"), Type: tree.File}, tree.Node{Name: []byte("socket"), Type: tree.Socket})
	var b bytes.Buffer
	if err := Dump(t.Context(), s.repo, snap, "", &b); !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v", err)
	}
	r := tar.NewReader(&b)
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		s.must(err)
		names = append(names, h.Name)
	}
	if d := cmp.Diff([]string{"./", "./file"}, names); d != "" {
		t.Error(d)
	}
}
