package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is printed now into the golden files")

// TestBadConfigurations loads each archive in testdata/bad and compares the
// whole message with the archive's file "want". The archive may hold "env" with
// variables, and other files; "name@0644" sets a file's mode (0600 otherwise).
func TestBadConfigurations(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the messages hold paths and modes as Unix writes them")
	}
	paths, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			env, want := unpack(t, archive, dir)
			_, err = Load(filepath.Join(dir, "mahavishnu.yaml"), Environment(env), Set("node.name", "web"))
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("Load = %v, want Errors", err)
			}
			got := strings.ReplaceAll(err.Error(), dir, "$DIR") + "\n"
			if strings.Contains(got, "hunter") {
				t.Errorf("the message shows a secret:\n%s", got)
			}
			if *update {
				writeWant(t, path, archive, got)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func unpack(t *testing.T, archive *txtar.Archive, dir string) (env func(string) (string, bool), want string) {
	t.Helper()
	variables := map[string]string{}
	for _, f := range archive.Files {
		name, mode, found := strings.Cut(f.Name, "@")
		bits := fs.FileMode(0o600)
		if found {
			parsed, err := strconv.ParseUint(mode, 8, 32)
			if err != nil {
				t.Fatal(err)
			}
			bits = fs.FileMode(parsed)
		}
		switch name {
		case "want":
			want = string(f.Data)
			continue
		case "env":
			for line := range strings.Lines(string(f.Data)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				variables[key] = value
			}
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, bits); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, bits); err != nil {
			t.Fatal(err)
		}
	}
	return func(key string) (string, bool) { v, ok := variables[key]; return v, ok }, want
}

func writeWant(t *testing.T, path string, archive *txtar.Archive, got string) {
	t.Helper()
	kept := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != "want" {
			kept = append(kept, f)
		}
	}
	archive.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
